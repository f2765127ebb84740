"""Plain deterministic tar: the headers of volumes and of evidence.tar.

ustar; mode 0644, ids 0, no names, mtime 0; a pax header only for sizes that ustar cannot express (8 GiB and more).
Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable

from airgap.base.errors import IntegrityError

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two zero blocks end an archive; no padding to 10 KiB follows."""
MAX_MEMBERS = 100_000
"""Members of evidence.tar: more than the statements of any delivery."""

_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
"""A number in a header. Larger and negative numbers have another form, which no file of at most 1 GiB needs."""


def header(name: str, size: int) -> bytes:
    """The header block of a file; three blocks if it needs a pax header."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> int:
    """The number of zero bytes after a file of `size` bytes."""
    return -size % BLOCK


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A complete small archive."""
    pieces = []
    for name, data in files:
        pieces += [header(name, len(data)), data, bytes(padding(len(data)))]
    return b"".join([*pieces, END])


def read_archive(data: bytes, limit: int) -> dict[str, bytes]:
    """The files of an archive like those that `pack` makes, by name in its order, at most `limit` bytes in total.

    Takes ustar headers of plain files only: no links, devices, sparse files or pax headers, whose sizes are not what is
    in the archive. Nothing but zeros follows the last file, and no name occurs twice. Raises `IntegrityError`
    (`bad-archive`).
    """
    files: dict[str, bytes] = {}
    at = 0
    while any(block := data[at : at + BLOCK]):
        name, size = _member(block)
        begin, at = at + BLOCK, at + BLOCK + size + padding(size)
        if at > min(len(data), limit) or len(files) >= MAX_MEMBERS:
            raise IntegrityError("bad-archive", f"{name!r}: reaches beyond the end, or is one file too many")
        if name in files:
            raise IntegrityError("bad-archive", f"{name!r} occurs twice")
        files[name] = data[begin : begin + size]
    if len(data) - at < len(END) or data.count(0, at) != len(data) - at:
        raise IntegrityError("bad-archive", f"not a tar archive: it does not end with zeros at byte {at}")
    return files


def _member(block: bytes) -> tuple[str, int]:
    """Name and size of a plain file, from its header. Raises `IntegrityError` (`bad-archive`)."""
    name = block[:100].rstrip(b"\0").decode("ascii", "backslashreplace")
    size, checksum = _OCTAL.fullmatch(block[124:136]), _OCTAL.fullmatch(block[148:156])
    plain = block[156:157] in (b"0", b"\0") and block[257:265] == b"ustar\x0000" and not any(block[345:])
    if not plain or not name or size is None or checksum is None:
        raise IntegrityError("bad-archive", f"{name!r}: not the ustar header of a plain file")
    if int(checksum[1], 8) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise IntegrityError("bad-archive", f"{name!r}: the checksum of its header is wrong")
    return name, int(size[1], 8)
