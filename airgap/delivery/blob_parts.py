"""`Extents`: a blob, from the parts of files that hold it. What reads a part knows nothing of blobs."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import Protocol

from airgap.base.errors import DamageError, IntegrityError
from airgap.delivery.mend import WINDOW, Mender
from airgap.delivery.sealing.stream import AgeFile

_UNREADABLE = "the medium is damaged or was disconnected; try another drive, or copy the delivery again"


class BlobPart(Protocol):
    """A part of a blob. `left` bytes of it are still to be read."""

    left: int

    def read(self, buffer: memoryview) -> int:
        """Fills a part of `buffer`, which has at most `left` bytes. 0 if there are no more. Raises `IntegrityError`."""


@dataclass(slots=True)
class MediaBytes:
    """Bytes of a file as they are on the media."""

    fd: int
    offset: int
    left: int

    def read(self, buffer: memoryview) -> int:
        """As `BlobPart.read`."""
        try:
            count = os.preadv(self.fd, [buffer], self.offset)
        except OSError as error:
            # A bad sector damages only this blob; the other blobs can still be read.
            raise IntegrityError(
                "unreadable",
                f"{os.readlink(f'/proc/self/fd/{self.fd}')}: {error.strerror} at byte {self.offset}",
                _UNREADABLE,
            ) from error
        self.offset, self.left = self.offset + count, self.left - count
        return count


@dataclass(slots=True)
class MendedBytes:
    """Bytes of a file that parity protects: read in whole blocks, and computed where they are not as written."""

    mender: Mender
    row: int
    offset: int
    left: int
    _window: memoryview = field(default_factory=lambda: memoryview(b""))

    def read(self, buffer: memoryview) -> int:
        """As `BlobPart.read`."""
        if not self._window:
            self._window = self._load()
        count = min(len(buffer), len(self._window))
        buffer[:count] = self._window[:count]
        self._window = self._window[count:]
        self.offset, self.left = self.offset + count, self.left - count
        return count

    def _load(self) -> memoryview:
        """The next bytes: as many whole blocks of one part as a window has, and as the piece needs."""
        grid = self.mender.grid
        first = self.offset // grid.block
        start, many = grid.within(first // grid.per_piece)
        last = (self.offset + self.left - 1) // grid.block
        count = min(last + 1, start + many, first + max(1, WINDOW // grid.block)) - first
        view = memoryview(bytearray(count * grid.block))
        self.mender.blocks(self.row, first, count, view)
        return view[self.offset - first * grid.block :][: self.left]


@dataclass(slots=True)
class SealedBytes:
    """Bytes of an encrypted file, decrypted as they are read."""

    file: AgeFile
    offset: int
    left: int

    def read(self, buffer: memoryview) -> int:
        """As `BlobPart.read`."""
        try:
            count = self.file.readinto(buffer, self.offset)
        except OSError as error:
            raise IntegrityError("unreadable", f"{self.file.name}: {error.strerror}", _UNREADABLE) from error
        self.offset, self.left = self.offset + count, self.left - count
        return count


def read_mended(mender: Mender, row: int, size: int, at: int) -> bytes:
    """Up to `size` bytes of a file that parity protects, from `at` on. Raises `BeyondRepairError`."""
    part = MendedBytes(mender, row, at, max(0, min(size, mender.files[row].size - at)))
    made = memoryview(bytearray(part.left))
    done = 0
    while part.left:
        done += part.read(made[done:])
    return bytes(made)


class Extents(io.RawIOBase):
    """Pieces of files, one after the other. Closes the descriptors in `owned`."""

    def __init__(self, pieces: list[BlobPart], owned: list[int]) -> None:
        super().__init__()
        self._pieces, self._owned = pieces, owned

    def close(self) -> None:
        while self._owned:
            os.close(self._owned.pop())
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while self._pieces:
            piece = self._pieces[0]
            if not piece.left:
                self._pieces.pop(0)
                continue
            if not len(buffer):
                return 0
            count = piece.read(memoryview(buffer)[: piece.left])
            if not count:
                raise DamageError(
                    "truncated",
                    f"a volume is {piece.left} bytes short",
                    "run `airgap verify` on it",
                )
            return count
        return 0
