"""Gives changed files to every reader of foreign bytes; run by `scripts/fuzz` and tests/property/test_fuzz.py.

`targets` lists the readers, `seeds` has good files, `mutate` changes them, `engine` runs a reader and knows a bad
answer, and `main` is the command.
"""
