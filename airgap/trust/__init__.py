"""Statements, envelopes, keys and acceptance. No network."""
