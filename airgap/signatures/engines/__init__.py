"""Finds out who signed, and when: verification by key and by certificate, with the proofs of logs and time stamps."""
