"""What a medium is: its file system and what that cannot hold; reading what really lies on it, past the page cache."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from airgap.base.digest import CHUNK
from airgap.base.disk import disk_errors

FAT_FILE = (4 << 30) - 1
"""Bytes of the largest file on FAT32. Source: Microsoft, "FAT: General Overview of On-Disk Format", 1.03."""
_FAT = frozenset({"vfat", "msdos", "fuse.fusefat"})
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_MOUNTS = Path("/proc/self/mountinfo")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system below a folder: its type as the kernel names it, where it is mounted, and its device."""

    type: str
    mounted: Path
    device: str

    @property
    def largest_file(self) -> int | None:
        """Bytes of the largest file that it holds; `None` if that is no limit in practice."""
        return FAT_FILE if self.type in _FAT else None

    @property
    def in_memory(self) -> bool:
        """True if what is written there is gone without power."""
        return self.type in _IN_MEMORY


def file_system(folder: Path) -> FileSystem:
    """The file system of `folder`, or of its nearest parent that exists. Source: proc_pid_mountinfo(5).

    Raises `StoreError`.
    """
    with disk_errors(folder):
        there = folder.resolve()
        while not there.exists() and there != there.parent:
            there = there.parent
        found = FileSystem("unknown", Path("/"), "")
        for line in _MOUNTS.read_text(errors="surrogateescape").splitlines():
            before, _, after = line.partition(" - ")
            mounted = Path(_unescaped(before.split(" ")[4]))
            # Of two at one place, the later one hides the earlier one.
            if there.is_relative_to(mounted) and len(mounted.parts) >= len(found.mounted.parts):
                kind, device, *_ = after.split(" ")
                found = FileSystem(kind, mounted, _unescaped(device))
    return found


def _unescaped(text: str) -> str:
    for code, plain in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, plain)
    return text


class Reading(StrEnum):
    """How a file was read back, from the surest to the weakest."""

    DIRECT = "direct"
    """From the medium: the page cache was passed by."""
    DROPPED = "dropped"
    """The page cache was told to forget the file, and had forgotten it."""
    CACHED = "cached"
    """Perhaps from memory: the file system allows neither."""


class ReadBack:
    """Reads a file that was written and synced from its medium. `how` says how that went, once it was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.how = Reading.DIRECT

    def pieces(self) -> Iterator[memoryview]:
        """The file in pieces of at most 1 MiB; each is valid until the next. Raises `StoreError`."""
        # A buffer that begins at a page, as O_DIRECT demands (open(2)).
        with disk_errors(self._path), mmap.mmap(-1, CHUNK) as buffer, memoryview(buffer) as view:
            fd, count = self._begin(view)
            try:
                at, size = 0, os.fstat(fd).st_size
                while count:
                    with view[:count] as piece:
                        yield piece
                    at += count
                    count = os.preadv(fd, [view], at) if at < size else 0
            finally:
                os.close(fd)

    def _begin(self, view: memoryview) -> tuple[int, int]:
        """The open file, and the bytes of its first piece, past the page cache if the file system allows that.

        Some take the flag and then do not read. Each byte is asked for once: there are drivers whose second answer
        differs.
        """
        fd = os.open(self._path, _READ)
        with suppress(OSError):  # advice; what came of it is looked at below
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        with suppress(OSError):
            direct = os.open(self._path, _READ | os.O_DIRECT)
            try:
                count = os.preadv(direct, [view], 0)
            except OSError:
                os.close(direct)
                raise
            os.close(fd)
            return direct, count
        self.how = Reading.CACHED if _is_cached(fd) else Reading.DROPPED
        return fd, os.preadv(fd, [view], 0)


def _is_cached(fd: int) -> bool:
    """True if the first byte of a file can be read without waiting for the medium. Source: preadv2(2), RWF_NOWAIT."""
    try:
        return os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError:
        return True


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def sync_file_system(folder: Path) -> None:
    """Writes everything of the file system of `folder` to its medium. Source: syncfs(2). Raises `StoreError`."""
    with disk_errors(folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _libc().syncfs(fd):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(fd)


def forget_device(medium: FileSystem) -> None:
    """Lets the kernel forget what it keeps of the device: a driver in user space (FUSE) reads the device through it.

    Whoever may not open the device reads what the driver gives.
    """
    with suppress(OSError):
        fd = os.open(medium.device, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
