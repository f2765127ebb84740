"""Accepting a delivery: trust first, then bytes. The steps, and the checks of each step."""
