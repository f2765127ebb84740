"""Files that a user named: reads a lock, and recognizes the kind of a resource file."""

from __future__ import annotations

import re
from pathlib import Path

from airgap.base.inputs import read_input
from airgap.content.lock import MAX_LOCK, Lock


def read_lock(path: Path) -> Lock:
    """A lock file. Raises `InputError`."""
    absent = "make it with `airgap lock REQUEST -o LOCK`"
    return Lock.decode(read_input(path, MAX_LOCK, "no-lock", absent=absent), str(path))


def is_trust(path: Path) -> bool:
    """True for a file whose `kind` is Trust."""
    return _says_kind(path, b"Trust")


def is_waiver(path: Path) -> bool:
    """True for a file whose `kind` is Waiver."""
    return _says_kind(path, b"Waiver")


def _says_kind(path: Path, kind: bytes) -> bool:
    data = read_input(path, MAX_LOCK, "resource-file")
    return re.search(rb"^kind:[ \t]+[\"']?" + kind + rb"\b", data, re.MULTILINE) is not None
