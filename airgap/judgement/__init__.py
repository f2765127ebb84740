"""Judging content by a Policy: who must have signed what, what is waived, and the answer for each item of a lock."""
