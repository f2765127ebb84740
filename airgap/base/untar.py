"""Reads tar archives of strangers: ustar, and what GNU tar and pax add for long names and large files.

Not `tarfile`: it reads a long name of any size into memory, matches pax headers in quadratic time (CVE-2024-6232) and
follows negative sizes. Here each extension has a limit, headers are read once, and so are the bytes between them.
Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar, "Basic Tar Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from airgap.base.streams import read_limited

BLOCK = 512
MAX_LONG_NAME = 8192
"""Bytes of a long name of GNU tar: twice PATH_MAX."""
MAX_PAX = 1 << 20
"""Bytes of a pax header: extended attributes can have 64 KiB each."""
MAX_EXTENSIONS = 8
"""Extension headers before one member: GNU tar writes three."""

_SKIP = 1 << 20
_CAPABILITY = b"SCHILY.xattr.security.capability"
"""The keyword of GNU tar and Go. bsdtar also writes one of its own, in base64, beside it."""
_NUMBER = re.compile(rb" *([0-7]+)[ \0]*")
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=]{1,200})=")
_SIZE = re.compile(rb"[0-9]{1,19}")
_FILES = frozenset(b"\x0007")
_OTHERS = dict(zip(b"123456", ("link", "symlink", "other", "other", "folder", "other"), strict=True))
_MEANING = frozenset({b"path", b"linkpath", b"size"})
_PAX = b""
"""Stands for a pax header itself among the records; no record has an empty keyword."""


class BadTarError(ValueError):
    """Not a tar archive, or one beyond a limit. The text names no cause that a stranger wrote."""


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One entry. `offset` is where its content begins in the archive, `size` its length in bytes."""

    name: str
    type: str
    """`file`, `folder`, `link` (hard), `symlink`, or `other`: a device or a pipe."""
    size: int
    offset: int
    link: str = ""
    mode: int = 0
    """Permissions, with setuid, setgid and sticky bit; 0 if they are no number."""
    flag: str = "0"
    """The type as the header says: `3` and `4` are devices, `6` is a pipe."""
    uid: int = 0
    """The number of the owner; 0 if it is no number."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device."""
    capability: bytes = b""
    """The extended attribute `security.capability`."""
    utf8: bool = True
    """False if the name or the target of a link is no UTF-8: then it is shown with escapes."""


class TarReader:
    """The members of an archive, in its order; the content of the current one by `read`.

    At most `entries` headers, extensions included, and at most `total` bytes of archive are read. A stream that can
    `seek` is not read where nobody asks for the content. Raises `BadTarError`, and what the stream raises.
    """

    def __init__(self, stream: BinaryIO, *, entries: int, total: int, seek: bool = False) -> None:
        self._stream, self._entries, self._total, self._seek = stream, entries, total, seek
        self._at = 0
        self._end = 0
        """Where the next header begins."""
        self._left = 0
        """Bytes of the current member that were not read."""

    def __iter__(self) -> Iterator[TarEntry]:
        while (found := self._next()) is not None:
            yield found

    def read(self, limit: int) -> bytes:
        """The content of the current member, at most `limit` bytes of it."""
        wanted = min(self._left, limit)
        self._left -= wanted
        return self._exactly(wanted)

    def _next(self) -> TarEntry | None:
        said = dict[bytes, bytes]()
        for _ in range(MAX_EXTENSIONS):
            block = self._header()
            if block is None:
                return None
            kind, length = block[156], _number(block[124:136])
            if kind in b"LK":
                text = self._extension(length, MAX_LONG_NAME).rstrip(b"\0")
                more = {b"path" if kind == ord("L") else b"linkpath": text}
            elif kind in b"xg":
                more = self._records(length, is_global=kind == ord("g"), first=not said)
            else:
                return self._member(block, said, length)
            # Programs differ in which of two counts.
            if said.keys() & more.keys() or any(b"\0" in more.get(key, b"") for key in _MEANING):
                raise BadTarError("two extension headers say the same of a member, or a name contains a zero byte")
            said |= more
        raise BadTarError(f"more than {MAX_EXTENSIONS} extension headers before a member")

    def _records(self, length: int, *, is_global: bool, first: bool) -> dict[bytes, bytes]:
        """What a pax header says. Go drops those before a second one, so a member has one at most."""
        found = _pax(self._extension(length, MAX_PAX))
        if is_global and (found.keys() & _MEANING or not first):
            raise BadTarError("a global header changes names or sizes of members, or stands before one of them")
        if any(key.startswith(b"GNU.sparse.") for key in found):
            raise BadTarError("sparse files are not supported")
        if b"size" in found:
            _pax_size(found[b"size"])
        return {} if is_global else {_PAX: b"", **found}

    def _header(self) -> bytes | None:
        """The next header; `None` at the end of the archive."""
        self._skip()
        block = self._some(BLOCK)
        self._end = self._at
        if not any(block):
            return None
        if len(block) < BLOCK:
            raise BadTarError("it ends in the middle of a header")
        if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
            raise BadTarError(f"the checksum of the header at byte {self._at - BLOCK} is wrong")
        self._entries -= 1
        if self._entries < 0:
            raise BadTarError("it has too many entries")
        return block

    def _member(self, block: bytes, said: Mapping[bytes, bytes], length: int) -> TarEntry:
        name, kind = said.get(b"path", b""), block[156]
        size = _pax_size(said[b"size"]) if b"size" in said else length
        if kind not in _FILES and kind not in _OTHERS:
            raise BadTarError(f"an entry of type {chr(kind)!r} is not supported")
        short = block[:100].partition(b"\0")[0]
        if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
            short = prefix + b"/" + short
        elif block[257:265] == b"ustar  \0":
            # GNU tar has times there; where they are no numbers, Go takes them for a prefix.
            _number(block[345:357]), _number(block[357:369])
        target = said.get(b"linkpath", b"") or block[157:257].partition(b"\0")[0]
        # Whatever the size of a link, a device, a folder or a pipe says, no content follows.
        self._left = size if kind in _FILES else 0
        self._end = self._at + self._left + -self._left % BLOCK
        if self._left and (name or short).endswith(b"/"):
            raise BadTarError("a folder in the way of old archives has content, where others find headers")
        return TarEntry(
            _text(name or short),
            _OTHERS.get(kind, "file"),
            self._left,
            self._at,
            _text(target),
            _loose(block[100:108]) & 0o7777,
            chr(kind or 0x30),
            _loose(block[108:116]) if b"uid" not in said else _loose_text(said[b"uid"]),
            (_loose(block[329:337]), _loose(block[337:345])) if kind in b"34" else (0, 0),
            said.get(_CAPABILITY, b""),
            _is_utf8(name or short) and _is_utf8(target),
        )

    def _extension(self, size: int, limit: int) -> bytes:
        if size > limit:
            raise BadTarError(f"an extension header has {size} bytes, expected at most {limit}")
        data = self._exactly(size)
        self._end = self._at + -size % BLOCK
        return data

    def _skip(self) -> None:
        """Goes to the next header."""
        self._left = 0
        if self._end > self._total:
            raise BadTarError(f"it has more than {self._total} bytes")
        if self._seek and self._end > self._at:
            self._stream.seek(self._end - self._at - 1, 1)
            self._at = self._end - 1
        while self._at < self._end:
            self._exactly(min(self._end - self._at, _SKIP))

    def _exactly(self, size: int) -> bytes:
        data = self._some(size)
        if len(data) < size:
            raise BadTarError("it ends in the middle of a member")
        return data

    def _some(self, size: int) -> bytes:
        if self._at + size > self._total:
            raise BadTarError(f"it has more than {self._total} bytes")
        data = read_limited(self._stream, size)
        self._at += len(data)
        return data


def _number(field: bytes) -> int:
    """An octal number, or one of GNU tar's for large files, whose first bit is set; never a negative one."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    found = _NUMBER.fullmatch(field)
    if found is None:
        if any(field.strip(b" \0")):
            raise BadTarError("a number in a header is not octal")
        return 0
    return int(found[1], 8)


def _pax(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header, each `length keyword=value` and a line feed; the last of a keyword counts."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        record = _RECORD.match(data, at)
        end = at + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(data) or data[end - 1] != ord("\n"):
            raise BadTarError("a pax header is not a list of records")
        found[record[2]] = data[record.end() : end - 1]
        at = end
    return found


def _pax_size(text: bytes) -> int:
    if not _SIZE.fullmatch(text):
        raise BadTarError("the size in a pax header is not a number")
    return int(text)


def _loose(field: bytes) -> int:
    """A number on which nothing depends but what is said of the member; 0 if it is none."""
    found = _NUMBER.fullmatch(field)
    if found is None:
        return int.from_bytes(field[1:]) if field[:1] == b"\x80" else 0
    return int(found[1], 8)


def _loose_text(text: bytes) -> int:
    return int(text) if _SIZE.fullmatch(text) else 0


def _is_utf8(name: bytes) -> bool:
    if name.isascii():
        return True
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(name: bytes) -> str:
    """A name as text; what is not UTF-8 is escaped, so that names stay different and can be shown."""
    return name.decode("utf-8", "backslashreplace")
