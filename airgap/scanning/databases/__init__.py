"""Databases of scanners, read straight from the store: found, unpacked, dated."""
