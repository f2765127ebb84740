"""Letting a delivery in: trust first, then bytes. The steps, and what each of them checks."""
