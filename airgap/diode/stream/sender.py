"""Sends deliveries as frames. What it knows afterwards is that it sent."""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from airgap.base.errors import IntegrityError
from airgap.delivery.on_media import open_on_media
from airgap.diode.beats import Beat
from airgap.diode.frames import SESSION, FrameKind, FrameWriter
from airgap.diode.head import encode_signatures
from airgap.diode.outgoing import Outgoing

HELLO = struct.Struct("!32sII")
"""Payload of a hello: sha256 of AIRGAP.json, bytes of AIRGAP.json, bytes of the signatures behind their lengths."""
SIGNATURES, INDEX = 0, 1
"""The numbers of the two files of the head."""
REPEAT = 64 << 20
"""Bytes after which the head is sent again, for a receiver that starts late; at least this many times the head."""
_SHARE = 20
REWIND = 64 << 20
"""Bytes that are sent again after a connection broke: nobody knows what was lost in the buffers on the way."""


class LinkLostError(Exception):
    """What carries the stream broke, and goes on at its beginning."""


class Carrier(Protocol):
    """What carries a stream."""

    piece: int
    """Bytes of a file in one frame."""

    def put(self, data: bytes) -> None:
        """Sends all of `data`. Raises `LinkLostError` once it carries again after it broke, else `UpstreamError`."""

    def close(self) -> None:
        """Sends what is in buffers, and ends the stream."""


class StreamSender:
    """Sends deliveries and beats through a carrier."""

    def __init__(self, carrier: Carrier, secret: bytes, rate: int = 0) -> None:
        """`secret` is the shared key, empty for none; `rate` is in bits a second, 0 for as fast as it goes."""
        self._carrier, self._rate = carrier, rate
        self._writer = FrameWriter(secret, secrets.token_bytes(SESSION))
        self._due = 0.0

    def send(self, outgoing: Outgoing, passes: int, advance: Callable[[int], None]) -> None:
        """Sends a delivery; `advance` is told how many bytes of files went (negative if some go again).

        Raises `IntegrityError` (`damaged-file`, `unreadable`), `UpstreamError`, `StoreError`.
        """
        for turn in range(passes):
            self._turn(outgoing, advance, check=not turn)

    def beat(self, beat: Beat) -> None:
        """Sends a sign of life. Raises `UpstreamError`."""
        with suppress(LinkLostError):
            self._put(self._writer.frame(FrameKind.BEAT, beat.encode()))

    def close(self) -> None:
        """Ends the stream."""
        self._carrier.close()

    def _turn(self, outgoing: Outgoing, advance: Callable[[int], None], *, check: bool) -> None:
        head = [encode_signatures(outgoing.signatures), outgoing.media.index_bytes]
        every = max(REPEAT, _SHARE * sum(map(len, head)))
        at = 0
        while True:
            try:
                self._head(outgoing, head)
                for data, file, offset in self._pieces(outgoing, at, check=check):
                    self._put(
                        self._writer.frame(
                            FrameKind.DATA, data, file=file, offset=offset, total=outgoing.files[file].size
                        )
                    )
                    advance(len(data))
                    if at // every != (at + len(data)) // every:
                        self._head(outgoing, head)
                    at += len(data)
                self._put(self._writer.frame(FrameKind.END))
            except LinkLostError:
                back = min(at, REWIND)
                advance(-back)
                at -= back
            else:
                return

    def _head(self, outgoing: Outgoing, head: list[bytes]) -> None:
        digest = bytes.fromhex(outgoing.digest.hex)
        self._put(self._writer.frame(FrameKind.HELLO, HELLO.pack(digest, len(head[INDEX]), len(head[SIGNATURES]))))
        for file, data in enumerate(head):
            for at in range(0, len(data), self._carrier.piece):
                piece = data[at : at + self._carrier.piece]
                self._put(self._writer.frame(FrameKind.HEAD, piece, file=file, offset=at, total=len(data)))

    def _pieces(self, outgoing: Outgoing, skip: int, *, check: bool) -> Iterator[tuple[bytes, int, int]]:
        """The pieces of what is to be sent, without the first `skip` bytes: data, file and offset."""
        for number in outgoing.order():
            path, file = outgoing.paths[number], outgoing.files[number]
            hasher, hashed = hashlib.sha256(), 0
            fd = open_on_media(path)
            try:
                for begin, end in outgoing.parts[number]:
                    skipped = min(skip, end - begin)
                    skip -= skipped
                    at = begin + skipped
                    while at < end:
                        data = _read(fd, min(self._carrier.piece, end - at), at, path)
                        if check and hashed == at:
                            hasher.update(data)
                            hashed += len(data)
                        yield data, number, at
                        at += len(data)
            finally:
                os.close(fd)
            if hashed == file.size and hasher.hexdigest() != file.sha256:
                raise _damaged(path, "its bytes are not those of AIRGAP.json")

    def _put(self, data: bytes) -> None:
        if self._rate:
            now = time.monotonic()
            self._due = max(self._due, now - 0.1)
            if self._due > now:
                time.sleep(self._due - now)
            self._due += len(data) * 8 / self._rate
        self._carrier.put(data)


def _read(fd: int, size: int, at: int, path: object) -> bytes:
    try:
        data = os.pread(fd, size, at)
    except OSError as error:
        hint = "the medium is damaged or was disconnected; copy the delivery again, and send that"
        raise IntegrityError("unreadable", f"{path}: {error.strerror} at byte {at}", hint) from error
    if not data:
        raise _damaged(path, "it is shorter than AIRGAP.json says")
    return data


def _damaged(path: object, why: str) -> IntegrityError:
    return IntegrityError("damaged-file", f"{path}: {why}", "have the delivery cut again, and send that")
