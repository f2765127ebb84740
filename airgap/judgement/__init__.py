"""Judging content by a Policy: what must be signed by whom, what is waived, what a lock's items get for an answer."""
