"""`Journal`: which bytes of an unfinished delivery are durable. Lines are only added, each with its own checksum.

A line says that bytes of a file are on the disk: it is written after the file was synced. `FILE BEGIN END CRC`, in
decimal digits, the CRC-32 of the words before it in hex; `-FILE BEGIN END CRC` takes bytes back. A line that is not
whole, as a kill leaves it, ends the journal: what came after it was not durable.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from airgap.base.disk import disk_errors, sync_folder
from airgap.base.errors import StoreError
from airgap.base.locks import open_named
from airgap.diode.ranges import Ranges

MAX_LINES = 200_000
"""Lines of a journal, after which it is written anew, with one line for each range."""
MAX_JOURNAL = 32 << 20
"""Bytes of a journal that are read: more than this many lines."""
_LINE = re.compile(rb"(-?)([0-9]{1,5}) ([0-9]{1,16}) ([0-9]{1,16}) ([0-9a-f]{8})\n")


class Journal:
    """The open journal of one delivery; its lock is held until `close`."""

    __slots__ = ("_fd", "_lines", "path")

    def __init__(self, path: Path) -> None:
        """Opens `path`, which is created if it is absent. Raises `StoreError` (`locked` if another process has it)."""
        self.path = path
        self._lines = 0
        with disk_errors(path):
            self._fd = _opened(path)

    def read(self, sizes: Sequence[int]) -> list[Ranges]:
        """The durable bytes of each file, given the sizes of all. Cuts off what a kill left behind the last line."""
        found = [Ranges() for _ in sizes]
        with disk_errors(self.path):
            data = os.pread(self._fd, MAX_JOURNAL, 0)
            at = 0
            while line := _LINE.match(data, at):
                number, begin, end = int(line[2]), int(line[3]), int(line[4])
                if number >= len(sizes) or end > sizes[number] or int(line[5], 16) != _sum(line[0]):
                    break
                (found[number].remove if line[1] else found[number].add)(begin, end)
                at = line.end()
                self._lines += 1
            os.ftruncate(self._fd, at)
        return found

    def add(self, lines: Iterable[tuple[int, int, int]], *, gone: bool = False) -> None:
        """Adds durable bytes (with `gone`, takes them back), as (file, begin, end), durably. Raises `StoreError`."""
        made = [_line(number, begin, end, gone=gone) for number, begin, end in lines]
        if not made:
            return
        with disk_errors(self.path):
            end = os.lseek(self._fd, 0, os.SEEK_END)
            try:
                write_all(self._fd, b"".join(made))
                os.fsync(self._fd)
            except OSError:
                os.ftruncate(self._fd, end)  # a full disk takes half a line, and what follows would not be read
                raise
        self._lines += len(made)

    def shorten(self, files: Sequence[Ranges]) -> None:
        """Writes the journal anew, if it has grown too long. `files` are the durable bytes of each file."""
        if self._lines <= MAX_LINES:
            return
        made = [_line(n, begin, end, gone=False) for n, ranges in enumerate(files) for begin, end in ranges]
        fresh = self.path.with_suffix(".new")
        with disk_errors(self.path):
            fresh.unlink(missing_ok=True)
            fd = _opened(fresh)
            try:
                write_all(fd, b"".join(made))
                os.fsync(fd)
                fresh.replace(self.path)
                sync_folder(self.path.parent)
            except BaseException:
                os.close(fd)
                raise
            os.close(self._fd)
        self._fd, self._lines = fd, len(made)

    def close(self, *, remove: bool = False) -> None:
        """Gives up the lock; with `remove`, the journal is deleted."""
        if remove:
            with disk_errors(self.path):
                self.path.unlink(missing_ok=True)
                sync_folder(self.path.parent)
        os.close(self._fd)


def _opened(path: Path) -> int:
    busy = StoreError(
        "locked",
        f"{path}: another airgap process receives this delivery",
        "end one of the two receivers; one process at a time receives a delivery",
    )
    return open_named(path, busy)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of `data` at the file's position. Raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _line(number: int, begin: int, end: int, *, gone: bool) -> bytes:
    words = b"%s%d %d %d " % (b"-" if gone else b"", number, begin, end)
    return b"%s%08x\n" % (words, zlib.crc32(words))


def _sum(line: bytes) -> int:
    return zlib.crc32(line[:-9])
