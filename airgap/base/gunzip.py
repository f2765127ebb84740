"""Unpacks gzip as a stream, with a limit on what comes out: a kilobyte can hold a megabyte of zeros."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

MAX_PARTS = 64
"""Gzip files in one, one after the other: nearly all have one, and each empty one would take time for 20 bytes."""
_PIECE = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS


class BadGzipError(ValueError):
    """Not gzip, damaged, or beyond a limit."""


class Gunzip(io.RawIOBase):
    """The unpacked bytes of `stream`, at most `limit`, of at most `parts` gzip files one after the other.

    Raises `BadGzipError`, and what the stream raises. The stream is not closed.
    """

    def __init__(self, stream: BinaryIO, limit: int, parts: int = MAX_PARTS) -> None:
        super().__init__()
        self._stream, self._left, self._limit = stream, limit, limit
        self._unpacker = zlib.decompressobj(_GZIP)
        self._parts = parts - 1
        self._packed = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = len(buffer)
        piece = self._some(size) if size else b""
        self._left -= len(piece)
        if self._left < 0:
            raise BadGzipError(f"it unpacks to more than {self._limit} bytes")
        buffer[: len(piece)] = piece
        return len(piece)

    def _some(self, size: int) -> bytes:
        while True:
            self._packed = self._packed or self._stream.read(_PIECE)
            if self._unpacker.eof and not self._next_part():
                return b""
            ended = not self._packed
            try:
                piece = self._unpacker.decompress(self._packed, size)
            except zlib.error as error:
                raise BadGzipError(f"it cannot be unpacked: {error}") from error
            self._packed = self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail
            if piece:
                return piece
            if ended and not self._unpacker.eof:
                raise BadGzipError("it ends too early")

    def _next_part(self) -> bool:
        """Begins the next gzip file; false if there is none. Zeros after a file are padding."""
        while not (rest := self._packed.lstrip(b"\0")):
            self._packed = self._stream.read(_PIECE)
            if not self._packed:
                return False
        self._packed = rest
        self._parts -= 1
        if self._parts < 0:
            raise BadGzipError("it consists of too many gzip files")
        self._unpacker = zlib.decompressobj(_GZIP)
        return True
