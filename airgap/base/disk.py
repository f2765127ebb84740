"""Durable writing to a local disk: temp file, fsync, rename, fsync of the folder; one mapping of disk errors."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from airgap.base.errors import AirgapError, StoreError

GIB = 1 << 30
WRITE = 256 << 10
"""Bytes handed to the kernel at once. Of 1 MiB it makes one large folio, for which it may have to search: 512 MiB took
0.13 to 0.97 s of system time in pieces of 1 MiB, 0.10 to 0.13 s in pieces of 16 to 512 KiB (ext4, Linux 6.18)."""
EARLY = 16 << 20
"""Bytes after which the disk is asked to begin: 8 and 32 MiB are as good."""


def disk_error(error: OSError, path: Path | str) -> StoreError:
    """The `StoreError` of an `OSError`: code, path and next step."""
    name = os.fspath(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            "disk-full",
            f"{name}: no space left on the disk",
            "free space or use another disk, then run the same command again",
        )
    if error.errno == errno.EROFS:
        return StoreError(
            "read-only",
            f"{name}: the file system is read-only",
            "mount it read-write, or use another folder",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return StoreError("no-permission", f"{name}: permission denied", "check the owner and mode of the folder")
    return StoreError("disk-error", f"{name}: {error.strerror or error}", "check the disk (dmesg) and the path")


@contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Maps every `OSError` inside to a `StoreError` about `path`."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


class Filling:
    """A file that is written from `at` on, with which the disk begins at once, so that the last sync is short.

    Measured: 4 × 512 MiB at once into a store, 2.0 s when the disk waits for the sync, 1.3 s when it begins early.
    Whoever needs the bytes to be durable still syncs: only that tells whether the disk took them.
    """

    __slots__ = ("_begun", "_fd", "at")

    def __init__(self, fd: int, at: int = 0) -> None:
        self._fd, self.at, self._begun = fd, at, at

    def write(self, piece: memoryview) -> None:
        """Writes all of `piece` behind what is there. Raises `OSError`."""
        while piece:
            count = os.pwrite(self._fd, piece[:WRITE], self.at)
            piece, self.at = piece[count:], self.at + count
        if self.at - self._begun >= EARLY:
            begin_writing(self._fd, self._begun, self.at - self._begun)
            self._begun = self.at


def begin_writing(fd: int, offset: int = 0, size: int = 0) -> None:
    """Asks the disk to begin with `size` bytes of a file (0: all behind `offset`). What fails shows at the sync.

    Source: sync_file_range(2), SYNC_FILE_RANGE_WRITE. Python has no name for it; without it nothing is lost but time.
    """
    _sync_file_range()(fd, offset, size, 2)


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int]:
    import ctypes  # only where something is written

    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is None:
        return lambda _fd, _offset, _size, _flags: 0
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return lambda fd, offset, size, flags: int(found(fd, offset, size, flags))


def sync_folder(folder: Path | str) -> None:
    """Makes renames in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Makes `folder` and those above it, durably: what is kept in it must not be lost with its folder.

    `mode` is that of `folder` itself. Raises `StoreError`.
    """
    with disk_errors(folder):
        if folder.is_dir():
            return
        make_folder(folder.parent)
        folder.mkdir(mode, exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def replacing(path: Path, mode: int = 0o644, *, partial: Path | None = None, sync: bool = True) -> Iterator[int]:
    """The descriptor of a new file, which takes the place of `path` at the end of the block: whole, durable, or not.

    The file is written under another name in the same folder, and gone if the block fails. `partial` is that name
    where a killed run's file is to be used up by the next run, because it is large and nobody tidies up there;
    otherwise the name is new each time. Without `sync` the folder is left to be synced, after the last of several.
    `OSError` inside the block is the caller's; else raises `StoreError`.
    """
    temp = partial or path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_TRUNC if partial else os.O_EXCL
    with disk_errors(path):
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, mode)
    try:
        yield fd
        with disk_errors(path):
            os.fsync(fd)
            temp.replace(path)
            if sync:
                sync_folder(path.parent)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces `path` by `data`: readers see the old or the new bytes, whole, also after a power cut.

    Raises `StoreError`.
    """
    with replacing(path, mode) as fd, disk_errors(path):
        Filling(fd).write(memoryview(data))


def try_lock(fd: int) -> bool:
    """Locks an open file or folder against other threads and processes, until it is closed; false where it is taken.

    Raises `OSError` where the file system has no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, *, wait: bool = True, busy: AirgapError | None = None, mode: int = 0o644) -> Iterator[None]:
    """Holds an exclusive lock on the file `path` (made when absent) against other threads and processes.

    When `wait` is false and someone else holds it, raises `busy`, or `StoreError` (`locked`).
    """
    with disk_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
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
    """Makes `folder`, and holds it against other processes by itself: no lock file stays behind on a medium.

    Raises `StoreError` (`locked`). Where the file system has no such locks, as some network ones, nothing is held.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        taken = False
        with suppress(OSError):
            taken = not try_lock(fd)
        if taken:
            raise _in_use(folder)
        yield
    finally:
        os.close(fd)


def _in_use(path: Path) -> StoreError:
    return StoreError(
        "locked",
        f"{path}: another airgap process is working here",
        "wait until it ends, then run the same command again",
    )


def check_free(folder: Path, needed: int, what: str) -> None:
    """Raises `StoreError` (`disk-full`) when the disk of `folder` has less than `needed` bytes free for `what`."""
    probe = folder
    while not probe.exists() and probe != probe.parent:
        probe = probe.parent
    with disk_errors(probe):
        stat = os.statvfs(probe)
    free = stat.f_bavail * stat.f_frsize
    if free < needed:
        raise StoreError(
            "disk-full",
            f"{folder}: {what} needs {needed / GIB:.2f} GiB ({needed} bytes), {free / GIB:.2f} GiB ({free}) are free",
            "free space or use another disk; nothing was written",
        )
