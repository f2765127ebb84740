"""The programs that airgap starts: git and git-lfs.

Their versions are checked. They run with a fixed environment, time limits and captured output, and without a shell.
"""
