"""One packet: header, payload, tag. Nothing of it is read before its tag is right. Format: docs/format.md, "UDP".

The header is `magic, size, session, kind, pass, file, block, row, column`. The last six are the nonce of AES-GMAC, so
two packets of a session with one nonce have the same bytes. Without a key that both sides have, the tag finds damage
and does not say who sent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airgap.diode.keys import derived

HEADER = struct.Struct("!2sH16sBBHIHH")
MAGIC = b"a1"
"""airgap, first version of this format."""
HEAD_BYTES = HEADER.size
NONCE_AT = HEAD_BYTES - 12
TAG = 16
OVERHEAD = HEAD_BYTES + TAG
SESSION = 16
"""Bytes of a session's name, which is random and new at each start of a sender."""
MIN_PAYLOAD, MAX_PAYLOAD = 256, 9216
_INFO = b"airgap-udp-1"


class PacketKind(IntEnum):
    """What a packet carries."""

    HELLO = 1
    """The session: its shape and what it sends. The same bytes each time."""
    HEAD = 2
    """A piece of AIRGAP.json and its signatures (`airgap.diode.udp.head`)."""
    DATA = 3
    """A piece of a file of the delivery, or of its parity."""
    END = 4
    """Everything of this pass was sent."""
    BEAT = 5
    """The sender is alive. Its block number counts up."""


@dataclass(frozen=True, slots=True)
class PacketPlace:
    """Where a payload belongs; the six numbers of the header after the session."""

    kind: int
    turn: int
    """The pass, from 0."""
    file: int
    block: int
    row: int
    column: int


class PacketSeal:
    """Seals and opens the packets of one session."""

    __slots__ = ("decrypt", "encrypt", "name")

    def __init__(self, secret: bytes, name: bytes) -> None:
        """`secret` is what both sides have; empty if they have none. `name` has `SESSION` bytes."""
        self.name = name
        cipher = AESGCM(derived(secret, name, _INFO))
        self.encrypt, self.decrypt = cipher.encrypt, cipher.decrypt

    def seal(self, packet: memoryview, place: PacketPlace) -> None:
        """Writes header and tag into `packet`, whose payload is there already."""
        fields = (place.kind, place.turn, place.file, place.block, place.row, place.column)
        HEADER.pack_into(packet, 0, MAGIC, len(packet), self.name, *fields)
        packet[-TAG:] = self.encrypt(packet[NONCE_AT:HEAD_BYTES], b"", packet[:-TAG])

    def is_right(self, packet: memoryview) -> bool:
        """Whether the tag is that of these bytes. `packet` is at least `OVERHEAD` long."""
        try:
            self.decrypt(packet[NONCE_AT:HEAD_BYTES], packet[-TAG:], packet[:-TAG])
        except InvalidTag:
            return False
        return True
