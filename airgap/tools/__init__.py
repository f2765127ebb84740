"""Programs that airgap starts (git, git-lfs): checked versions, a fixed environment, time limits,
captured output, no shell.
"""
