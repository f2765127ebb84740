"""The data that a station or a Sovereign keeps between runs: its signer, the records, the log heads, the receipts."""
