"""Reads zip archives of strangers by their central directory, and refuses those that readers take for different files.

Not `zipfile`: it believes overlapping members (CVE-2024-0450), a zip64 record anywhere (CVE-2025-8291), and unpacks
what is larger than its directory says. Here counts and sizes have limits before anything is read, the members must lie
one after the other before the directory, and each local header must say what the directory says.
Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from airgap.base.streams import read_limited

MAX_DIRECTORY = 64 << 20
"""Bytes of a central directory: half a million members with usual names."""
STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_EXTRA = struct.Struct("<2H")
_END_MARK, _MARK64, _LOCATOR_MARK = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_CENTRAL_MARK, _LOCAL_MARK = b"PK\1\2", b"PK\3\4"
_COMMENT = 0xFFFF
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED, _LATER, _UTF8, _MASKED = 1 << 0, 1 << 3, 1 << 11, 1 << 13
_ZIP64, _OTHER_NAME = 0x0001, 0x7075
_PIECE = 1 << 16
_DESCRIPTOR = 24
"""Bytes that may follow a member: a data descriptor with signature and 64-bit sizes."""


class BadZipError(ValueError):
    """Not a zip archive, one beyond a limit, or one that different readers read differently."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One member, as the central directory says. Sizes are in bytes."""

    name: str
    """What is not text in the encoding that the member says is escaped."""
    type: str
    """`file`, `folder`, `symlink`, or `other`: a device or a pipe, where it was packed on Unix."""
    size: int
    packed: int
    method: int
    """`STORED`, `DEFLATED`, or another that `open` refuses."""
    encrypted: bool
    mode: int
    """Permissions on Unix with setuid, setgid and sticky bit; 0 if not packed there."""
    crc: int
    flags: int
    offset: int
    """Of its local header in the file."""
    raw: bytes
    """The name's bytes."""


class ZipReader:
    """The members of the archive in `file`, a seekable file of `size` bytes, in the order of its directory.

    Raises `BadZipError`, at once if there are more than `entries` members, and what the file raises. One thread reads.
    """

    def __init__(self, file: BinaryIO, size: int, *, entries: int) -> None:
        self._file, self._size = file, size
        count, start, length, prefix = self._directory()
        if count > entries:
            raise BadZipError(f"it has {count} members, expected at most {entries}")
        if length > MAX_DIRECTORY:
            raise BadZipError(f"its directory has {length} bytes, expected at most {MAX_DIRECTORY}")
        self._start, self._prefix = start, prefix
        self.entries = tuple(self._entries(self._at(start, length), count))
        self._check_places()

    def __iter__(self) -> Iterator[ZipEntry]:
        return iter(self.entries)

    @property
    def prefix(self) -> int:
        """Bytes before the archive: a program that unpacks itself."""
        return self._prefix

    def open(self, entry: ZipEntry) -> BinaryIO:
        """The content, exactly `size` bytes: reading raises `BadZipError` if it is more or less, or has another CRC."""
        if entry.encrypted:
            raise BadZipError("a member is encrypted")
        if entry.method not in (STORED, DEFLATED):
            raise BadZipError(f"a member is packed by method {entry.method}, which is not supported")
        return cast("BinaryIO", io.BufferedReader(_Member(self._file, self._begin(entry), entry), _PIECE))

    def check(self, entry: ZipEntry) -> int:
        """Where the packed content begins. Raises `BadZipError` unless the member's own header says the same."""
        return self._begin(entry)

    def _directory(self) -> tuple[int, int, int, int]:
        """Count of members, place and length of the directory, and how many bytes stand before the archive."""
        tail_at = max(0, self._size - _END.size - _COMMENT)
        tail = self._at(tail_at, self._size - tail_at)
        ends = [one.start() for one in re.finditer(_END_MARK, tail)]
        ends = [at for at in ends if at + _END.size + _u16(tail, at + 20) == len(tail)] or ends[-1:]
        if not ends or ends[-1] + _END.size + _u16(tail, ends[-1] + 20) != len(tail):
            raise BadZipError("it has no end record, or bytes stand after it")
        at = ends[-1]
        if len(ends) > 1 or _END_MARK in tail[at + 4 :]:
            raise BadZipError("it has two end records")
        _, disk, first, here, count, length, offset, _ = _END.unpack_from(tail, at)
        end = tail_at + at
        if end >= _LOCATOR.size and self._at(end - _LOCATOR.size, 4) == _LOCATOR_MARK:
            if count != here or disk != first:
                raise BadZipError("it consists of several files")
            return self._directory64(end - _LOCATOR.size, (count, length, offset))
        if disk or first or here != count or count == _FULL16 or _FULL32 in (length, offset):
            raise BadZipError("it consists of several files, or its zip64 record is missing")
        return _placed(count, end, length, offset)

    def _directory64(self, locator: int, short: tuple[int, int, int]) -> tuple[int, int, int, int]:
        _, disk, said, disks = _LOCATOR.unpack(self._at(locator, _LOCATOR.size))
        at = locator - _END64.size
        if disk or disks > 1 or at < said:
            raise BadZipError("its zip64 record is not where it must be")
        mark, rest, _, _, one, two, here, count, length, offset = _END64.unpack(self._at(at, _END64.size))
        if mark != _MARK64 or rest != _END64.size - 12 or one or two or here != count:
            raise BadZipError("its zip64 record is not where it must be")
        for value, brief, full in zip((count, length, offset), short, (_FULL16, _FULL32, _FULL32), strict=True):
            if brief not in (full, value):
                raise BadZipError("its two end records say different things")
        made = _placed(count, at, length, offset)
        if said + made[3] != at:
            raise BadZipError("its zip64 record is not where it must be")
        return made

    def _entries(self, data: bytes, count: int) -> Iterator[ZipEntry]:
        at = 0
        for _ in range(count):
            if at + _CENTRAL.size > len(data) or data[at : at + 4] != _CENTRAL_MARK:
                raise BadZipError("its directory is not a list of as many members as it says")
            end = at + _CENTRAL.size + sum(_u16(data, at + place) for place in (28, 30, 32))
            if end > len(data):
                raise BadZipError("its directory ends in the middle of a member")
            yield _entry(data[at:end], self._prefix)
            at = end
        if at != len(data):
            raise BadZipError("its directory is not a list of as many members as it says")

    def _check_places(self) -> None:
        """Members that share bytes unpack to far more than the file has: a 46 MB file to 4.5 PB (Fifield, 2019)."""
        end = 0
        for entry in sorted(self.entries, key=lambda one: one.offset):
            if entry.offset < max(end, self._prefix):
                raise BadZipError("members overlap")
            end = entry.offset + _LOCAL.size + len(entry.raw) + entry.packed
        if end > self._start:
            raise BadZipError("members and the directory overlap")

    def _begin(self, entry: ZipEntry) -> int:
        """Where the content begins."""
        header = self._at(entry.offset, _LOCAL.size + len(entry.raw))
        mark, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack_from(header)
        if mark != _LOCAL_MARK or name != len(entry.raw) or header[_LOCAL.size :] != entry.raw:
            raise BadZipError("a member has another name in its own header than in the directory")
        local = self._at(entry.offset + len(header), extra)
        if _FULL32 in (packed, size):
            size, packed, _ = _sizes64(local, size, packed, 0)
        said, expected = (crc, packed, size), (entry.crc, entry.packed, entry.size)
        later = bool(flags & _LATER) and all(one in (0, other) for one, other in zip(said, expected, strict=True))
        if method != entry.method or (flags ^ entry.flags) & (_ENCRYPTED | _LATER) or not (later or said == expected):
            raise BadZipError("a member's own header says something else than the directory")
        begin: int = entry.offset + len(header) + extra
        if begin + entry.packed > self._start:
            raise BadZipError("members and the directory overlap")
        return begin

    def _at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        data = read_limited(self._file, size)
        if len(data) < size:
            raise BadZipError("it ends too early")
        return data


class _Member(io.RawIOBase):
    """The content of one member."""

    def __init__(self, file: BinaryIO, offset: int, entry: ZipEntry) -> None:
        super().__init__()
        self._file, self._offset, self._packed, self._left = file, offset, entry.packed, entry.size
        self._unpacker = None if entry.method == STORED else zlib.decompressobj(-zlib.MAX_WBITS)
        self._crc, self._expected = 0, entry.crc
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not len(buffer):
            return 0
        # One byte more than is left, to see that there is none.
        piece = self._piece(min(len(buffer), self._left + 1))
        self._left -= len(piece)
        self._crc = zlib.crc32(piece, self._crc)
        if self._left < 0 or (not piece and self._left):
            raise BadZipError("a member is larger or smaller than the directory says")
        if not piece and self._crc != self._expected:
            raise BadZipError("a member has another checksum than the directory says")
        buffer[: len(piece)] = piece
        return len(piece)

    def _piece(self, size: int) -> bytes:
        if self._unpacker is None:
            return self._more(size)
        while not self._unpacker.eof:
            self._input = self._input or self._more(_PIECE)
            ended = not self._input
            try:
                piece = self._unpacker.decompress(self._input, size)
            except zlib.error as error:
                raise BadZipError(f"a member cannot be unpacked: {error}") from error
            self._input = self._unpacker.unconsumed_tail
            if piece:
                return piece
            if ended and not self._unpacker.eof:
                raise BadZipError("a member ends too early")
        if self._packed or self._unpacker.unused_data:
            raise BadZipError("bytes follow the content of a member")
        return b""

    def _more(self, size: int) -> bytes:
        self._file.seek(self._offset)
        data = read_limited(self._file, min(size, self._packed))
        self._offset += len(data)
        self._packed -= len(data)
        return data


def _placed(count: int, end: int, length: int, offset: int) -> tuple[int, int, int, int]:
    start = end - length
    if start < offset:
        raise BadZipError("its directory is not where its end record says")
    return count, start, length, start - offset


def _entry(data: bytes, prefix: int) -> ZipEntry:
    fields = _CENTRAL.unpack_from(data)
    made_by, flags, method, crc, packed, size = fields[1], fields[3], fields[4], fields[7], fields[8], fields[9]
    name_size, extra_size, disk, outside, offset = fields[10], fields[11], fields[13], fields[15], fields[16]
    raw = data[_CENTRAL.size : _CENTRAL.size + name_size]
    extra = data[_CENTRAL.size + name_size : _CENTRAL.size + name_size + extra_size]
    if _FULL32 in (size, packed, offset):
        size, packed, offset = _sizes64(extra, size, packed, offset)
    if disk not in (0, _FULL16):
        raise BadZipError("it consists of several files")
    if b"\0" in raw or not raw:
        raise BadZipError("a member's name is empty, or contains a zero byte")
    if flags & _MASKED:
        raise BadZipError("its directory is encrypted")
    other = _field(extra, _OTHER_NAME)
    if other is not None and other[5:] != raw and zlib.crc32(raw) == int.from_bytes(other[1:5], "little"):
        raise BadZipError("a member has two names")
    if method == STORED and size != packed and not flags & _ENCRYPTED:
        raise BadZipError("a member that is not packed has two sizes")
    unix = outside >> 16 if made_by >> 8 == 3 else 0
    text = raw.decode("utf-8" if flags & _UTF8 or raw.isascii() else "cp437", "backslashreplace")
    offset += prefix
    encrypted = bool(flags & _ENCRYPTED)
    return ZipEntry(
        text, _type(raw, unix), size, packed, method, encrypted, stat.S_IMODE(unix), crc, flags, offset, raw
    )


def _type(name: bytes, mode: int) -> str:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        return "symlink"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "other"
    return "folder" if name.endswith(b"/") else "file"


def _sizes64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The values that do not fit in 32 bits, from the extra field, which has only these, in this order."""
    field, at, found = _field(extra, _ZIP64) or b"", 0, []
    for value in (size, packed, offset):
        if value == _FULL32:
            if at + 8 > len(field):
                raise BadZipError("a member's zip64 field is missing or too short")
            value = int.from_bytes(field[at : at + 8], "little")  # noqa: PLW2901
            at += 8
        found.append(value)
    return found[0], found[1], found[2]


def _field(extra: bytes, wanted: int) -> bytes | None:
    """The first extra field of this id. What stands behind the last whole field is padding."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, size = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == wanted:
            if at + size > len(extra):
                raise BadZipError("an extra field is longer than its place")
            return extra[at : at + size]
        at += size
    return None


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
