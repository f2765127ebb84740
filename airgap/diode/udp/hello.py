"""`Hello`: one packet that describes a session. The head (`airgap.diode.head`) follows in blocks, like any file."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from airgap.delivery.index import MAX_INDEX
from airgap.diode.head import MAX_SIGNED
from airgap.diode.udp.shape import PacketShape

SIGNATURES, INDEX = 0, 1
"""The numbers of the two files of the head."""
HEAD_ROWS = 64
"""Rows of a block of the head, and as many of parity: half of its packets may be lost."""
_FIELDS = struct.Struct("!QII32sQI")


@dataclass(frozen=True, slots=True)
class Hello:
    """What a session sends, in which shape."""

    shape: PacketShape
    started: int
    """When the sender started, in milliseconds since 1970 by its clock: an older session does not end a newer one."""
    signatures: int
    """Bytes of the signatures."""
    index: int
    """Bytes of AIRGAP.json."""
    digest: bytes
    """sha256 of AIRGAP.json."""
    size: int
    """Bytes of all that is sent in one pass: for a display only."""
    files: int
    """The number of files: for a display only."""

    def encode(self) -> bytes:
        """The begin of the packet's payload; the rest is zeros."""
        fields = (self.started, self.signatures, self.index, self.digest, self.size, self.files)
        return self.shape.encode() + _FIELDS.pack(*fields)

    @classmethod
    def decode(cls, payload: bytes) -> Hello:
        """Reads a payload. Raises `ValueError` if a number is out of its bounds, or something follows."""
        begin, end = PacketShape.CODE.size, PacketShape.CODE.size + _FIELDS.size
        if len(payload) < end or any(payload[end:]):
            raise ValueError("a hello is too short, or has bytes after its last field")
        made = cls(PacketShape.decode(payload[:begin]), *_FIELDS.unpack(payload[begin:end]))
        if len(payload) != made.shape.payload:
            raise ValueError(f"got {len(payload)} bytes in a packet, expected the {made.shape.payload} that it names")
        if not 0 < made.signatures <= MAX_SIGNED:
            raise ValueError(f"got {made.signatures} bytes of signatures, expected at most {MAX_SIGNED}")
        if not 0 < made.index <= MAX_INDEX:
            raise ValueError(f"got {made.index} bytes of AIRGAP.json, expected at most {MAX_INDEX}")
        return made


def head_shape(shape: PacketShape) -> PacketShape:
    """The shape of the head's files: packets as the session's, with as much parity as data, once."""
    return PacketShape(shape.payload, shape.columns, HEAD_ROWS, HEAD_ROWS, 1, 1)
