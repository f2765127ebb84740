"""The sites, streams, signers and servers that tests begin with; nothing here is a test."""
