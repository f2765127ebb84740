"""Files that a user named: reads a lock."""

from __future__ import annotations

from pathlib import Path

from airgap.base.inputs import read_input
from airgap.content.lock import MAX_LOCK, Lock


def read_lock(path: Path) -> Lock:
    """A lock file. Raises `InputError`."""
    absent = "make it with `airgap lock REQUEST -o LOCK`"
    return Lock.decode(read_input(path, MAX_LOCK, "no-lock", absent=absent), str(path))
