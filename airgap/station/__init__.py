"""What a station or a Sovereign keeps between runs: who signs there, the records, the log heads, the receipts."""
