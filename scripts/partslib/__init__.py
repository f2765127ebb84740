"""What `scripts/parts` is made of: the catalogue of real parts, and how each is had.

Standard library only, because it runs before any environment exists.
"""
