"""Unpacks what strangers packed, as a stream: gzip, bzip2, xz and Zstandard, with limits on what comes out.

A bomb is found by its ratio as soon as it is large enough to matter, and by its size at the latest. A dictionary or a
window of more than 128 MiB is refused: xz can ask for 4 GiB before it gives the first byte.
Sources: RFC 1952; the .xz file format 1.2.1; RFC 8878, section 3.1.1.1.2.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from airgap.base.errors import InputError
from airgap.base.gunzip import BadGzipError, Gunzip

MAX_WINDOW = 128 << 20
"""Bytes of a dictionary or a window: what `xz -9` needs is 65 MiB, and zstd refuses more than 128 MiB by itself."""
HEAD = 512
"""Bytes from which `packed_as` tells what a file is."""

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\3\4", "zip"),
    (b"PK\5\6", "zip"),
)
_SKIPPABLE = b"\x2a\x4d\x18"
"""Frames of zstd that hold no content begin with 0x50 to 0x5f and this."""
_CHECKSUM = re.compile(rb" *([0-7]{1,7})[ \0]{0,7}")
_PIECE = 1 << 16
_ZSTD_PIECE = 1 << 10
"""A block of zstd of 4 bytes can become 128 KiB, so this gives at most 32 MiB at once."""


class BadPackedError(ValueError):
    """It cannot be unpacked: damaged, cut, or of a kind that is refused."""


class BombError(BadPackedError):
    """It unpacks to more than allowed."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may come out of one packed file."""

    size: int
    """Bytes, whatever went in."""
    ratio: int
    """Times the bytes that went in, once `unsuspected` bytes have come out."""
    unsuspected: int
    """Bytes that may come out of any file."""
    parts: int
    """Files of one format, one after the other: eStargz has one for each file of a layer."""


def packed_as(head: bytes) -> str:
    """How a file is packed that begins with `head`: `gzip`, `bzip2`, `xz`, `zstd`, `zip`, `tar`, or `""` if it is not.

    A zip archive with a program before it is not found.
    """
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return form
    if len(head) > 4 and 0x50 <= head[0] <= 0x5F and head.startswith(_SKIPPABLE, 1):
        return "zstd"
    return "tar" if head[257:262] == b"ustar" or _is_old_tar(head) else ""


def _is_old_tar(head: bytes) -> bool:
    """True for a header of before POSIX, which has no magic: its checksum is right."""
    said = _CHECKSUM.fullmatch(head[148:156]) if len(head) == HEAD else None
    return said is not None and int(said[1], 8) == sum(head) - sum(head[148:156]) + 8 * ord(" ")


class Unpacked(io.RawIOBase):
    """The unpacked bytes of `stream`, which is packed as `form` (`gzip`, `bzip2`, `xz` or `zstd`), within `bounds`.

    Raises `BombError` beyond them, another `BadPackedError` if it is damaged, `InputError` (`missing-extra`) without
    the package that zstd needs, and what the stream raises. The stream is not closed.
    """

    def __init__(self, stream: BinaryIO, form: str, bounds: Bounds) -> None:
        super().__init__()
        self._input, self._bounds = _Counted(stream), bounds
        self._stream = _opened(self._input, form, bounds.parts)
        self.size = 0
        """Bytes that came out."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            count = self._stream.readinto(buffer) or 0
        except BadGzipError as error:
            raise BadPackedError(str(error)) from error
        self.size += count
        bounds = self._bounds
        if self.size > bounds.size:
            raise BombError(f"it unpacks to more than {bounds.size} bytes")
        if self.size > bounds.unsuspected and self.size > self._input.count * bounds.ratio:
            raise BombError(f"it unpacks to more than {bounds.ratio} times its size ({self._input.count} bytes so far)")
        return count


class _Counted:
    """Counts what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


def _opened(stream: _Counted, form: str, parts: int) -> io.RawIOBase:
    source = cast("BinaryIO", stream)
    if form == "gzip":
        return Gunzip(source, 1 << 62, parts)
    if form == "zstd":
        return _Zstd(source, parts)
    return _Limited(source, parts, xz=form == "xz")


class _Parts(io.RawIOBase):
    """Files of one format, one after the other. A subclass gives the next bytes of one."""

    _piece = _PIECE

    def __init__(self, stream: BinaryIO, parts: int) -> None:
        super().__init__()
        self._stream, self._parts = stream, parts
        self._unpacker: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            found = self._next(len(buffer))
            if found is None:
                return 0
            self._ready = memoryview(found)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next(self, size: int) -> bytes | None:
        """The next bytes, perhaps none; `None` at the end."""
        if self._unpacker is not None and self._unpacker.eof:
            self._packed, self._unpacker = self._unpacker.unused_data, None
        hungry = self._unpacker is None or self._hungry()
        if hungry and not self._packed:
            self._packed = self._stream.read(self._piece)
            if not self._packed:
                if self._unpacker is not None:
                    raise BadPackedError("it ends too early")
                return None
        if self._unpacker is None:
            # Zeros after a file are padding.
            self._packed = self._packed.lstrip(b"\0")
            if not self._packed:
                return b""
            self._parts -= 1
            if self._parts < 0:
                raise BadPackedError("it consists of too many packed files")
            self._unpacker = self._begin()
        packed, self._packed = (self._packed, b"") if hungry else (b"", self._packed)
        return self._unpack(packed, size)

    def _begin(self) -> Any:
        raise NotImplementedError

    def _hungry(self) -> bool:
        return True

    def _unpack(self, packed: bytes, size: int) -> bytes:
        raise NotImplementedError


class _Limited(_Parts):
    """bzip2 and xz, whose unpackers give as much as they are asked for."""

    def __init__(self, stream: BinaryIO, parts: int, *, xz: bool) -> None:
        super().__init__(stream, parts)
        self._xz = xz

    def _begin(self) -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW) if self._xz else bz2.BZ2Decompressor()

    def _hungry(self) -> bool:
        return bool(self._unpacker.needs_input)

    def _unpack(self, packed: bytes, size: int) -> bytes:
        try:
            found: bytes = self._unpacker.decompress(packed, size)
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise BadPackedError(f"it cannot be unpacked: {error}") from error
        return found


class _Zstd(_Parts):
    """zstd, in pieces that bound what one gives."""

    _piece = _ZSTD_PIECE

    def __init__(self, stream: BinaryIO, parts: int) -> None:
        super().__init__(cast("BinaryIO", io.BufferedReader(_Raw(stream), _PIECE)), parts)
        try:
            import zstandard
        except ImportError as error:
            what = "reading content that is packed with zstd needs the Python package zstandard"
            raise InputError("missing-extra", what, "pip install 'airgap[zstd]'") from error
        self._error = zstandard.ZstdError
        self._context = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)

    def _begin(self) -> Any:
        return self._context.decompressobj()

    def _unpack(self, packed: bytes, size: int) -> bytes:
        try:
            found: bytes = self._unpacker.decompress(packed)
        except self._error as error:
            raise BadPackedError(f"it cannot be unpacked: {error}") from error
        return found


class _Raw(io.RawIOBase):
    """A stream that only has `read`, for a buffer."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
