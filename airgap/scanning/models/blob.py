"""`Blob`: the bytes of a file, or of a part of one, that can be read from any place, any number of times."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from airgap.base.streams import read_limited

_IN_MEMORY = 4 << 20
"""Bytes that are kept in memory rather than in a file."""


class TooMuchError(ValueError):
    """What comes out of a packed file is beyond the limit of the scan."""


@dataclass(frozen=True, slots=True)
class Blob:
    """`size` bytes. `open` gives a stream at their beginning that can seek; the caller closes it."""

    size: int
    open: Callable[[], BinaryIO]

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes from `at` on."""
        if at >= self.size:
            return b""
        with self.open() as stream:
            stream.seek(at)
            return read_limited(stream, min(size, self.size - at))

    def part(self, at: int, size: int) -> Blob:
        """`size` bytes from `at` on; the caller knows that they exist."""
        return Blob(size, lambda: cast("BinaryIO", _Part(self.open(), at, size)))


class _Part(io.RawIOBase):
    """A part of a stream that can seek, and that is closed with it."""

    def __init__(self, stream: BinaryIO, at: int, size: int) -> None:
        super().__init__()
        self._stream, self._at, self._size, self._place = stream, at, size, 0
        stream.seek(at)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        self._stream.seek(self._at + self._place)
        return self._place

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        found = self._stream.read(left if size < 0 else min(size, left))
        self._place += len(found)
        return found

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._stream.close()
        super().close()


class Budget:
    """How many bytes may still be unpacked in one scan, of all files together."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def spend(self, size: int) -> None:
        """Raises `TooMuchError`."""
        self.left -= size
        if self.left < 0:
            raise TooMuchError(f"more than {self.limit} bytes would be unpacked")


def unpacked(pieces: Iterable[bytes], work: Path, budget: Budget) -> Blob:
    """Keeps what comes in pieces: a little in memory, more in a file in `work`.

    Raises `TooMuchError`, and what the pieces raise.
    """
    kept, size = [], 0
    iterator = iter(pieces)
    for piece in iterator:
        kept.append(piece)
        size += len(piece)
        budget.spend(len(piece))
        if size > _IN_MEMORY:
            return _on_disk(chain(kept, _spending(iterator, budget)), work)
    data = b"".join(kept)
    return Blob(len(data), lambda: io.BytesIO(data))


def _spending(pieces: Iterator[bytes], budget: Budget) -> Iterator[bytes]:
    for piece in pieces:
        budget.spend(len(piece))
        yield piece


def _on_disk(pieces: Iterable[bytes], work: Path) -> Blob:
    descriptor, name = tempfile.mkstemp(dir=work)
    size = 0
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                size += len(piece)
                file.write(piece)
    except BaseException:
        Path(name).unlink()
        raise
    return Blob(size, lambda: Path(name).open("rb", buffering=0))
