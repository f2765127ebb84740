"""Locks between processes: by files that no other account can open, so that nobody else can hold them."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airgap.base.disk import disk_errors, perhaps_without_modes
from airgap.base.errors import AirgapError, StoreError

HELD = ".airgap.lock"
"""The file by which a folder is held."""


def try_lock(fd: int) -> bool:
    """Locks an open file or folder against other threads and processes until it is closed; false if already locked.

    Raises `OSError` if the file system does not support locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def close_to_others(fd: int, folder: Path) -> None:
    """Sets the mode of a file that is locked: whoever can open it can hold its lock, so others must not.

    The group may open it only if it is the folder's group, and may write there or is alone with the owner. A file of
    another account stays as it is. Raises `OSError`.
    """
    file = os.fstat(fd)
    if file.st_uid != os.geteuid():
        return
    there = os.stat(folder)
    group = 0
    if file.st_gid == there.st_gid and there.st_mode & 0o020:
        group = 0o060
    elif file.st_gid == there.st_gid and not there.st_mode & 0o007:
        group = there.st_mode & 0o040
    if stat.S_IMODE(file.st_mode) != 0o600 | group:
        with perhaps_without_modes():
            os.fchmod(fd, 0o600 | group)


def open_lock(path: Path) -> int:
    """Opens the lock file `path`, which is created if absent, and which no other account can open. Raises `OSError`."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        close_to_others(fd, path.parent)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def locked(path: Path, *, wait: bool = True, busy: AirgapError | None = None) -> Iterator[None]:
    """Holds an exclusive lock on the file `path` (created if absent) against other threads and processes.

    If `wait` is false and another process holds the lock, raises `busy` or `StoreError` (`locked`).
    """
    with disk_errors(path):
        fd = open_lock(path)
    try:
        with disk_errors(path):
            if wait:
                fcntl.flock(fd, fcntl.LOCK_EX)
            elif not try_lock(fd):
                raise busy or _in_use(path)
        yield
    finally:
        os.close(fd)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Creates `folder` and locks it against other processes, by a file `HELD` that is removed at the end.

    The folder itself is not locked: everybody who can read it could do that. Raises `StoreError` (`locked`). On a file
    system without such locks, as some network file systems are, nothing is locked.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fd = open_named(folder / HELD, _in_use(folder), must=False)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / HELD).unlink()
        os.close(fd)


def open_named(path: Path, busy: AirgapError, *, must: bool = True) -> int:
    """The open and locked file that has the name `path`: its last holder may have replaced or removed it meanwhile.

    Raises `busy` if another process has it, `OSError` for all else. Without `must`, file systems without locks will do.
    """
    while True:
        fd = open_lock(path)
        try:
            if not _locked(fd, must=must):
                raise busy
            with suppress(FileNotFoundError):
                if os.stat(path, follow_symlinks=False).st_ino == os.fstat(fd).st_ino:
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _locked(fd: int, *, must: bool) -> bool:
    try:
        return try_lock(fd)
    except OSError:
        if must:
            raise
        return True


def _in_use(path: Path) -> StoreError:
    return StoreError(
        "locked",
        f"{path}: another airgap process is working here",
        "wait until it ends, then run the same command again",
    )
