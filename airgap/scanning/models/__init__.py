"""Looks into models: which formats are only data, whether headers are right, and what runs code when it is loaded."""
