"""Frames: how a delivery goes through a stream, such as TCP, a pipe, a serial line or a file. Format: docs/format.md.

A frame is header, payload, tag. The header has its own checksum, so that a reader finds the next frame after damage:
it looks for the magic, checks the header, waits for the payload, and checks the tag. Nothing of a payload is used
before its tag is right. With a shared key the tag says who sent; without one it only finds damage.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airgap.diode.keys import derived

MAGIC = b"AGS1"
"""airgap stream, first version."""
HEADER = struct.Struct("!4sBBH16sQQQII")
"""magic, kind, zero, file, session, number, offset, total, length, CRC-32 of all before it."""
TAG = 16
SESSION = 16
"""Bytes of a session's name, which is random and new at each start of a sender: it is the salt of its key."""
MAX_PAYLOAD = 1 << 20
_INFO = b"airgap-stream-1"
_CHECKED = HEADER.size - 4


class FrameKind(IntEnum):
    """What a frame carries."""

    HELLO = 1
    """The session: sha256 of AIRGAP.json, bytes of AIRGAP.json and of the signatures. Begins each head."""
    HEAD = 2
    """A piece of the signatures (file 0) or of AIRGAP.json (file 1)."""
    DATA = 3
    """A piece of a file of the delivery."""
    END = 4
    """A pass is over: what has not come now comes only if it is sent again."""
    BEAT = 5
    """The sender is alive (`airgap.diode.beats`)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose tag was right."""

    kind: FrameKind
    file: int
    session: bytes
    number: int
    offset: int
    total: int
    """Bytes of the file that `payload` is a piece of."""
    payload: bytes


class FrameWriter:
    """Seals the frames of one session."""

    def __init__(self, secret: bytes, session: bytes) -> None:
        """`secret` is the shared key, empty for none; `session` has `SESSION` random bytes."""
        self.session = session
        self._seal = AESGCM(derived(secret, session, _INFO)).encrypt
        self._number = 0

    def frame(
        self, kind: FrameKind, payload: bytes | memoryview = b"", *, file: int = 0, offset: int = 0, total: int = 0
    ) -> bytes:
        """The bytes of the next frame. No two have the same number, which is the nonce of AES-GMAC."""
        fields = (MAGIC, kind, 0, file, self.session, self._number, offset, total, len(payload))
        header = HEADER.pack(*fields, 0)[:_CHECKED]
        body = b"".join((header, struct.pack("!I", zlib.crc32(header)), payload))
        tag = self._seal(_nonce(self._number), b"", body)
        self._number += 1
        return body + tag


def _nonce(number: int) -> bytes:
    return struct.pack("!QI", number, 0)


class FrameReader:
    """Finds frames in the bytes of a stream. Holds at most one frame that is not whole."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._buffer = bytearray()
        self._session, self._open = b"", AESGCM(bytes(32)).decrypt
        self.skipped = 0
        """Bytes that belong to no frame that is right."""
        self.sealed_otherwise = 0
        """Frames whose header was whole and whose tag was wrong: damage, or another key."""

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """The frames that are whole with these bytes."""
        self._buffer += data
        at = 0
        while True:
            at = self._next(at)
            found = self._read(at)
            if found is None:
                break
            frame, at = found
            if frame is not None:
                yield frame
        del self._buffer[:at]

    def _next(self, at: int) -> int:
        """Where the next header may begin."""
        found = self._buffer.find(MAGIC, at)
        if found < 0:  # the last bytes may be the begin of it
            found = max(at, len(self._buffer) - len(MAGIC) + 1)
        self.skipped += found - at
        return found

    def _read(self, at: int) -> tuple[Frame | None, int] | None:
        """The frame at `at`, `None` for one that is not right, and where to go on. `None` if more bytes are needed."""
        if len(self._buffer) - at < HEADER.size:
            return None
        fields = HEADER.unpack_from(self._buffer, at)
        _, kind, zero, file, session, number, offset, total, length, crc = fields
        known = not zero and kind in FrameKind.__members__.values() and length <= MAX_PAYLOAD
        if fields[0] != MAGIC or not known or zlib.crc32(self._buffer[at : at + _CHECKED]) != crc:
            self.skipped += 1
            return None if fields[0] != MAGIC and len(self._buffer) - at < len(MAGIC) else (None, at + 1)
        end = at + HEADER.size + length + TAG
        if len(self._buffer) < end:
            return None
        body, tag = bytes(self._buffer[at : end - TAG]), bytes(self._buffer[end - TAG : end])
        if not self._is_right(session, number, body, tag):
            self.sealed_otherwise += 1
            self.skipped += 1
            return None, at + 1
        return Frame(FrameKind(kind), file, session, number, offset, total, body[HEADER.size :]), end

    def _is_right(self, session: bytes, number: int, body: bytes, tag: bytes) -> bool:
        if session != self._session:
            self._session, self._open = session, AESGCM(derived(self._secret, session, _INFO)).decrypt
        try:
            self._open(_nonce(number), tag, body)
        except InvalidTag:
            return False
        return True
