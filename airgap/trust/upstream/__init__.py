"""Signatures that others made: found, read into one record whatever the format, and verified without a network."""
