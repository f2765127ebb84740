"""Erasure coding: parity rows from which lost rows are computed again. Bytes in, bytes out; no files and no trust."""
