"""The programs that airgap starts: git and git-lfs.

Their versions are checked. They run with a fixed environment, captured output, and limits of time, memory and disk. A
shell sets these limits, by a fixed script; no text of others is part of it.
"""
