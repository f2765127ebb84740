"""Reading from any stream: into a buffer, until a buffer is full, or completely up to a limit."""

from __future__ import annotations

import io
from typing import BinaryIO, cast


def read_into(stream: BinaryIO, buffer: memoryview) -> int:
    """Reads once into `buffer`, also from a stream that only has `read`; returns the number of bytes, 0 at the end."""
    readinto = getattr(stream, "readinto", None)
    if readinto is not None:
        return readinto(buffer) or 0
    piece = stream.read(len(buffer))
    buffer[: len(piece)] = piece
    return len(piece)


def fill(stream: BinaryIO, buffer: memoryview) -> int:
    """Reads until `buffer` is full or the stream ends, however short the reads are; returns the number of bytes."""
    filled = 0
    while filled < len(buffer) and (count := read_into(stream, buffer[filled:])):
        filled += count
    return filled


def read_limited(stream: BinaryIO, limit: int) -> bytes:
    """Reads at most `limit` bytes, however short the reads are."""
    pieces, left = [], limit
    while left > 0 and (piece := stream.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def with_head(stream: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """The first bytes, `size` of them if there are as many, however short the reads are; and all of them, `joined`."""
    head = read_limited(stream, size)
    return head, joined(head, stream)


def joined(head: bytes, rest: BinaryIO) -> BinaryIO:
    """What was read of a stream, and then its rest. Closing it does not close `rest`."""
    return cast("BinaryIO", _Joined(head, rest))


class _Joined(io.RawIOBase):
    """See `joined`."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        if not self._head:
            return read_into(self._rest, view)
        data = self._head[: len(view)]
        self._head = self._head[len(data) :]
        view[: len(data)] = data
        return len(data)
