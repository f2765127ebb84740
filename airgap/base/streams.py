"""Reading from any stream: into a buffer, until a buffer is full, or completely up to a limit."""

from __future__ import annotations

from typing import BinaryIO


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
