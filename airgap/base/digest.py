"""`Digest`: the only key of every store, and the guard against path traversal."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

from airgap.base.errors import IntegrityError
from airgap.base.streams import read_into

CHUNK = 1 << 20
"""Bytes to read at once. Smaller pieces cost 10 to 30 % of a receive (measured); larger ones gain nothing."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Digest(str):
    """`sha256:` and 64 lower-case hex digits, checked when the object is created.

    It is a `str`, so it serves as its own JSON value and dictionary key. Because no other text is allowed, a digest
    from an untrusted source is safe to use in a path. sha512 is refused, because one blob under two names would count
    as two blobs. Source: OCI image-spec v1.1, descriptor.md, "Digests".

    Raises `IntegrityError` (`bad-digest`) for anything else.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Digest:
        if isinstance(value, Digest):
            return value
        if not is_digest(str(value)):
            shown = repr(value)[:100]
            raise IntegrityError("bad-digest", f"not a digest: got {shown}, expected sha256: and 64 hex digits")
        return super().__new__(cls, value)

    @property
    def hex(self) -> str:
        """The 64 hex digits."""
        return self[7:]

    @property
    def short(self) -> str:
        """The prefix and the first twelve hex digits, for people to read."""
        return self[:19]

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of `data`."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def from_hash(cls, hasher: hashlib._Hash) -> Digest:
        """The digest of a finished sha256 hasher."""
        return cls("sha256:" + hasher.hexdigest())


def is_digest(text: str) -> bool:
    """True for text that `Digest` accepts."""
    return _DIGEST.match(text) is not None


def hash_stream(stream: BinaryIO) -> tuple[Digest, int]:
    """Reads `stream` to its end; returns its digest and its length in bytes. Memory use is constant."""
    hasher, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(CHUNK))
    while count := read_into(stream, buffer):
        hasher.update(buffer[:count])
        size += count
    return Digest.from_hash(hasher), size
