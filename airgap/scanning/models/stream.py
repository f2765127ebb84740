"""`BoundedStream`: reads a file from its beginning, in pieces, so that memory does not grow with the file."""

from __future__ import annotations

from typing import BinaryIO

_PIECE = 1 << 18


class EndsTooEarlyError(ValueError):
    """The file ends inside something that it began."""


class BoundedStream:
    """The bytes of a file, each once. `at` is the position of the next one."""

    __slots__ = ("_buffer", "_file", "_from", "_index")

    def __init__(self, file: BinaryIO, at: int = 0) -> None:
        self._file = file
        self._buffer = b""
        self._index = 0
        self._from = at
        """The position of the buffer's first byte."""

    @property
    def at(self) -> int:
        """The position of the next byte."""
        return self._from + self._index

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes, for which the caller has a limit. Raises `EndsTooEarlyError`."""
        end = self._index + size
        if end > len(self._buffer):
            self._fill(size)
            end = self._index + size
            if end > len(self._buffer):
                raise EndsTooEarlyError
        found = self._buffer[self._index : end]
        self._index = end
        return found

    def peek(self, size: int) -> bytes:
        """Up to `size` next bytes, which are read again afterwards."""
        if self._index + size > len(self._buffer):
            self._fill(size)
        return self._buffer[self._index : self._index + size]

    def skip(self, size: int) -> None:
        """Passes `size` bytes without keeping them. Raises `EndsTooEarlyError`."""
        while size > (left := len(self._buffer) - self._index):
            size -= left
            self._from += len(self._buffer)
            self._buffer, self._index = self._file.read(_PIECE), 0
            if not self._buffer:
                raise EndsTooEarlyError
        self._index += size

    def line(self, limit: int) -> tuple[bytes, bool]:
        """The bytes up to a line feed, without it, at most `limit` of them; true if there were no more.

        Raises `EndsTooEarlyError`.
        """
        kept = b""
        while (end := self._buffer.find(b"\n", self._index)) < 0:
            piece = self._buffer[self._index : self._index + limit + 1 - len(kept)]
            kept += piece
            self._from += len(self._buffer)
            self._buffer, self._index = self._file.read(_PIECE), 0
            if not self._buffer:
                raise EndsTooEarlyError
        kept += self._buffer[self._index : min(end, self._index + limit + 1 - len(kept))]
        self._index = end + 1
        return kept[:limit], len(kept) <= limit

    def _fill(self, size: int) -> None:
        rest = self._buffer[self._index :]
        self._from += self._index
        pieces, have = [rest], len(rest)
        while have < size and (piece := self._file.read(max(_PIECE, size - have))):
            pieces.append(piece)
            have += len(piece)
        self._buffer, self._index = b"".join(pieces), 0
