"""Small files whose content is large: what holders of media, and of keys, can write with any tool."""

from __future__ import annotations

import hashlib
import struct
import zlib

from airgap.delivery import tar as tape

BASE = 1 << 24
"""Bytes of the object that a bomb's delta copies again and again."""
COPY = bytes([0x80 | 0x10 | 0x20 | 0x40, 0xFF, 0xFF, 0xFF])
"""Of a delta: copy 2^24 - 1 bytes from the beginning. Source: gitformat-pack(5), "Deltified representation"."""


def git_bundle(size: int) -> tuple[bytes, str]:
    """A bundle of 16 KB with one file of about `size` bytes, stored as a delta; and the commit of its branch main.

    The file's object id is wrong: git builds the file before it can know.
    """
    count = size // (BASE - 1)
    delta = _number(BASE) + _number(count * (BASE - 1)) + COPY * count
    tree = b"100644 big\0" + bytes(range(20))
    person = b" a <a@example.org> 1 +0000\n"
    commit = b"tree " + _oid(b"tree", tree).hex().encode() + b"\nauthor" + person + b"committer" + person + b"\nx\n"
    objects = (
        _header(3, BASE) + zlib.compress(bytes(BASE), 9),
        _header(7, len(delta)) + _oid(b"blob", bytes(BASE)) + zlib.compress(delta, 9),
        _header(2, len(tree)) + zlib.compress(tree),
        _header(1, len(commit)) + zlib.compress(commit),
    )
    pack = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(objects)
    name = _oid(b"commit", commit).hex()
    head = f"# v2 git bundle\n{name} refs/heads/main\n{name} HEAD\n\n".encode()
    return head + pack + hashlib.sha1(pack, usedforsecurity=False).digest(), name


def _oid(kind: bytes, data: bytes) -> bytes:
    return hashlib.sha1(b"%s %d\0" % (kind, len(data)) + data, usedforsecurity=False).digest()


def _header(kind: int, size: int) -> bytes:
    """Type and size of an object: the low four bits of the size with the type, then as in `_number`."""
    first, rest = kind << 4 | size & 15, size >> 4
    return bytes([first | 0x80]) + _number(rest) if rest else bytes([first])


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def tar_member(name: str, kind: bytes, size: bytes) -> bytes:
    """The header of a member of any type, with any text for its size, and the right checksum."""
    block = bytearray(tape.header(name, 0))
    block[124:136] = size
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def sparse_evidence() -> bytes:
    """A tar of an old GNU sparse file: the map in its header says that it has -2^62 bytes, of which 512 are there."""
    block = bytearray(tar_member("locks/x.json", b"S", b"00000001000\0"))
    block[257:265] = b"ustar  \0"
    negative = (-(1 << 62)).to_bytes(12, "big", signed=True)
    block[386:398], block[398:410] = b"00000000000\0", b"00000001000\0"
    block[483:495] = bytes([0xFF]) + negative[1:]
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(512) + tape.END
