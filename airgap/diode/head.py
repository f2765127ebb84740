"""What a receiver needs first: the signatures, then AIRGAP.json. Memory is given in this order, each bounded.

Memory for the signatures; for AIRGAP.json, if one of them holds (`InboxGate.claimed`); for the delivery, if AIRGAP.json
is what it speaks of (`InboxGate.admit`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from airgap.base.errors import IntegrityError, TooLargeError
from airgap.delivery.index import MAX_SIGNATURE, MAX_SIGNATURES

MAX_SIGNED = 4 << 20
"""Bytes of all signatures together: 32 have some 100 KB."""
_LENGTH = struct.Struct("!I")


def encode_signatures(signatures: Sequence[bytes]) -> bytes:
    """The signatures, each behind its length. Raises `TooLargeError` (`too-large`)."""
    made = b"".join(_LENGTH.pack(len(data)) + data for data in signatures)
    if len(made) > MAX_SIGNED:
        what = f"the signatures of the delivery: got {len(made)} bytes, expected at most {MAX_SIGNED}"
        raise TooLargeError("too-large", what, "remove signatures that nobody needs from signatures/")
    return made


def decode_signatures(data: bytes) -> list[bytes]:
    """The signatures; none is believed yet. Raises `IntegrityError` (`bad-head`)."""
    found, at = list[bytes](), 0
    while at < len(data):
        if at + _LENGTH.size > len(data) or len(found) >= MAX_SIGNATURES:
            raise _bad("it ends in the middle of a signature, or has too many")
        (length,) = _LENGTH.unpack_from(data, at)
        begin, at = at + _LENGTH.size, at + _LENGTH.size + length
        if length > MAX_SIGNATURE or at > len(data):
            raise _bad(f"got a signature of {length} bytes")
        found.append(data[begin:at])
    return found


def _bad(what: str) -> IntegrityError:
    return IntegrityError("bad-head", f"the head of a session: {what}", "send the delivery again")
