"""Signatures by other parties: finds, reads and verifies upstream signatures and attestations, offline."""
