"""Single packed streams: what `base/unpack` knows, and the two formats besides in which joblib packs pickles."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, Protocol, cast

from airgap.base.unpack import MAX_WINDOW, BadPackedError, Bounds, Unpacked, packed_as

MAX_STREAM = 64 << 30
"""Bytes of one stream when it is unpacked: some minutes. What is kept of it has a limit of its own."""
_PIECE = 1 << 16
_BOUNDS = Bounds(MAX_STREAM, ratio=1 << 40, unsuspected=MAX_STREAM, parts=100_000)
"""Bombs are for the scanner of archives to find: here, only what would not end has an end."""


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _PackedByJoblib(io.RawIOBase):
    """The unpacked bytes of the first stream in `file`, which is closed with it."""

    def __init__(self, file: BinaryIO, unpacker: _Unpacker) -> None:
        super().__init__()
        self._file, self._unpacker, self._rest = file, unpacker, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        found = self._some(len(buffer)) if len(buffer) else b""
        buffer[: len(found)] = found
        return len(found)

    def _some(self, size: int) -> bytes:
        unpacker = self._unpacker
        while not unpacker.eof:
            data = self._rest or (b"" if self._holds_back() else self._file.read(_PIECE))
            ended = not data and not self._holds_back()
            try:
                found = unpacker.decompress(data, size)
            except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, MemoryError) as error:
                raise BadPackedError(f"it cannot be unpacked: {type(error).__name__}") from error
            self._rest = getattr(unpacker, "unconsumed_tail", b"")
            if found:
                return found
            if ended and not unpacker.eof:
                raise BadPackedError("it ends too early")
        return b""

    def _holds_back(self) -> bool:
        """True if the unpacker still has input: bz2 and lzma keep it, zlib gives it back."""
        return not getattr(self._unpacker, "needs_input", True)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Closing(Unpacked):
    """Closes the file, too."""

    def __init__(self, file: BinaryIO, form: str) -> None:
        super().__init__(file, form, _BOUNDS)
        self._file = file

    def close(self) -> None:
        self._file.close()
        super().close()


def _zlib(file: BinaryIO) -> io.RawIOBase:
    return _PackedByJoblib(file, cast("_Unpacker", zlib.decompressobj()))


def _lzma(file: BinaryIO) -> io.RawIOBase:
    return _PackedByJoblib(file, lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_WINDOW))


_BY_JOBLIB: tuple[tuple[tuple[bytes, ...], Callable[[BinaryIO], io.RawIOBase]], ...] = (
    ((b"\x5d\x00\x00",), _lzma),
    ((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), _zlib),
)
CLOSED = {
    b"7z\xbc\xaf'\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
    b"LZIP": "lzip",
}
"""Packed formats that this scanner cannot look into, by their first bytes."""


def unpacker(head: bytes) -> Callable[[BinaryIO], BinaryIO] | None:
    """What unpacks a file that begins so, `None` if it is not packed. It closes the file when it is closed."""
    form = packed_as(head)
    found: Callable[[BinaryIO], io.RawIOBase] | None
    if form in ("gzip", "bzip2", "xz", "zstd"):
        found = partial(_Closing, form=form)
    else:
        found = next((make for magics, make in _BY_JOBLIB if head.startswith(magics)), None)
    return cast("Callable[[BinaryIO], BinaryIO] | None", found)
