"""The folder in which scanners unpack: private, and gone after the run. A killed run's is removed by the next one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airgap.base.disk import disk_errors, make_private
from airgap.base.locks import locked, open_lock, try_lock

_LOCK = ".lock"
_RUN = "run-"


@contextmanager
def scan_folder(base: Path) -> Iterator[Path]:
    """A new folder below `base`, which is made, closed to others, and shared by runs that work at the same time.

    Raises `StoreError` (`folder-open`, …). What cannot be removed at the end, the next run removes.
    """
    make_private(base)
    name = f"{_RUN}{secrets.token_hex(8)}"
    folder, lock = base / name, base / f"{name}.lock"
    with disk_errors(base), locked(base / _LOCK):
        _clean(base)
        fd = open_lock(lock)
        try_lock(fd)
        folder.mkdir(0o700)
    try:
        yield folder
    finally:
        with suppress(OSError):
            remove_tree(folder)
            lock.unlink(missing_ok=True)
        os.close(fd)


def _clean(base: Path) -> None:
    """Removes the folders of runs that were killed: nobody holds their lock."""
    for lock in base.glob(f"{_RUN}*.lock"):
        fd = open_lock(lock)
        try:
            if try_lock(fd):
                remove_tree(lock.with_suffix(""))
                lock.unlink(missing_ok=True)
        finally:
            os.close(fd)


def remove_tree(folder: Path) -> None:
    """Removes a folder, however deep it is, and also where nobody may write in it. Raises `OSError`."""
    if folder.is_symlink() or not folder.is_dir():
        return
    found = [os.fspath(folder)]
    for one in found:  # grows meanwhile; a recursion would end at a thousand levels
        os.chmod(one, 0o700)
        with os.scandir(one) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append(entry.path)
                else:
                    os.unlink(entry.path)
    for one in reversed(found):
        os.rmdir(one)
