"""Gives changed files to every reader of foreign bytes; run by `scripts/fuzz` and tests/property/test_fuzz.py.

`targets` lists the readers, `mutate` changes what they are given, `engine` runs one and knows a bad answer, and `main`
is the command.
"""
