"""Takes frames of one stream, and gives what they carry to the inbox."""

from __future__ import annotations

import hashlib

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, StoreError, TrustError
from airgap.delivery.index import MAX_INDEX
from airgap.diode.assembly import Assembly
from airgap.diode.beats import Beat
from airgap.diode.events import RoadListener
from airgap.diode.frames import Frame, FrameKind, FrameReader
from airgap.diode.head import MAX_SIGNED, decode_signatures
from airgap.diode.inbox import Inbox
from airgap.diode.ranges import Ranges
from airgap.diode.stream.sender import HELLO, INDEX, SIGNATURES

_SEEN = 16
"""Frames with another seal than ours, after which a stream is reported: damage is rare, a wrong key is in each."""


class _Piecewise:
    """A small file of the head that comes in pieces. `size` was bounded."""

    def __init__(self, size: int) -> None:
        self.data, self.here = bytearray(size), Ranges()

    def put(self, frame: Frame) -> None:
        end = frame.offset + len(frame.payload)
        if frame.total == len(self.data) and end <= len(self.data):
            self.data[frame.offset : end] = frame.payload
            self.here.add(frame.offset, end)

    @property
    def whole(self) -> bool:
        return self.here.count == len(self.data)


class _Session:
    """One delivery that a sender sends: what of its head is there, and the assembly once it was let in."""

    def __init__(self, hello: bytes, digest: Digest, index: int, signatures: int) -> None:
        self.hello, self.digest = hello, digest
        self.index_size = index
        self.signatures = _Piecewise(signatures)
        self.index: _Piecewise | None = None
        self.assembly: Assembly | None = None
        self.over = False
        """True if nothing of it is wanted: it is in the inbox already, or was refused."""

    @property
    def given_up(self) -> bool:
        """True if the inbox took it, or set it aside, while it came."""
        return not self.over and self.assembly is not None and self.assembly.closed


class StreamReceiver:
    """Reads one stream. One thread calls `feed`."""

    def __init__(self, inbox: Inbox, listener: RoadListener, secret: bytes) -> None:
        self._inbox, self._listener = inbox, listener
        self._frames = FrameReader(secret)
        self._session: _Session | None = None
        self._reported = False

    @property
    def skipped(self) -> int:
        """Bytes of the stream that were damaged, or not frames."""
        return self._frames.skipped

    def feed(self, data: bytes | memoryview) -> None:
        """Takes the next bytes of the stream. Errors of the disk and refusals go to the listener."""
        for frame in self._frames.feed(data):
            self._listener.alive()  # also if nothing of it is new, such as a second pass
            try:
                self._take(frame)
            except StoreError as error:
                self._listener.trouble(error)
            except AirgapError as error:
                if self._session is not None:
                    self._session.over = True
                    self._listener.turned_away(self._session.digest, error)
        if self._frames.sealed_otherwise >= _SEEN and not self._reported:
            self._reported = True
            self._listener.trouble(
                TrustError(
                    "sealed-otherwise",
                    f"{_SEEN} frames came that were not sealed with this shared key, or were damaged",
                    "give both sides the same --key-file",
                )
            )

    def _take(self, frame: Frame) -> None:
        if frame.kind is FrameKind.BEAT:
            try:
                self._listener.beat(Beat.decode(frame.payload))
            except ValueError:
                return
        elif frame.kind is FrameKind.HELLO:
            self._hello(frame.payload)
        elif self._session is not None and self._session.over:
            if frame.kind is FrameKind.END:
                self._session = None  # if it comes again, it is asked again
        elif self._session is not None:
            if frame.kind is FrameKind.HEAD:
                self._head(self._session, frame)
            elif self._session.assembly is not None:
                self._content(self._session, self._session.assembly, frame)

    def _hello(self, payload: bytes) -> None:
        """Begins a session, unless it goes on: a hello comes again and again."""
        now = self._session
        if len(payload) != HELLO.size or (now is not None and now.hello == payload and not now.given_up):
            return
        digest, index, signatures = HELLO.unpack(payload)
        if 0 < index <= MAX_INDEX and 0 < signatures <= MAX_SIGNED:
            self._session = _Session(payload, Digest(f"sha256:{digest.hex()}"), index, signatures)

    def _head(self, session: _Session, frame: Frame) -> None:
        """Signatures first: only if one holds there is memory for AIRGAP.json."""
        if session.assembly is not None:
            return
        if frame.file == SIGNATURES and session.index is None:
            session.signatures.put(frame)
            if session.signatures.whole:
                claimed = self._inbox.claimed(decode_signatures(bytes(session.signatures.data)))
                if claimed != session.digest:
                    raise TrustError(
                        "index-mismatch",
                        f"a signature is about {claimed}, and the session about {session.digest}",
                        "send the delivery again",
                    )
                session.index = _Piecewise(session.index_size)
        elif frame.file == INDEX and session.index is not None:
            session.index.put(frame)
            if session.index.whole:
                self._admit(session, bytes(session.index.data))

    def _admit(self, session: _Session, index: bytes) -> None:
        if hashlib.sha256(index).hexdigest() != session.digest.hex:
            session.index = _Piecewise(session.index_size)  # damage that no tag found: it comes again
            return
        session.index = _Piecewise(session.index_size)  # if the disk is full now, the next head is tried again
        found = self._inbox.admit(index, decode_signatures(bytes(session.signatures.data)))
        session.index = None
        if isinstance(found, Assembly):
            session.assembly = found
            self._listener.began(found)
        else:
            session.over = True
            self._listener.already(found)

    def _content(self, session: _Session, assembly: Assembly, frame: Frame) -> None:
        if frame.kind is FrameKind.DATA:
            assembly.write(frame.file, frame.offset, frame.payload)
        elif frame.kind is FrameKind.END:
            self._listener.pass_over(assembly)
