"""The receiving end: takes packets, finds out what they are, and hands whole blocks to a thread that keeps them.

One thread calls `take` and `tick`, and never waits: what there is no memory for is dropped and counted, and is in the
next pass. The other thread (`airgap.diode.udp.keeper`) checks signatures, mends blocks, and writes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag

from airgap.diode.beats import Beat
from airgap.diode.udp.hello import Hello
from airgap.diode.udp.incoming import Blocks, DeliveryBlocks, UdpSession
from airgap.diode.udp.keeper import Keeper
from airgap.diode.udp.packets import HEAD_BYTES, HEADER, MAGIC, NONCE_AT, OVERHEAD, TAG, PacketKind, PacketSeal
from airgap.diode.udp.slots import Slot
from airgap.diode.udp.warnings import Counts, Warnings

IDLE = 2.0
"""Seconds without a packet after which a session gives way to any other."""
SILENCE = 5.0
"""Seconds without a packet after which a session is thought to be interrupted."""
STRANGERS = 500
"""Packets a second that may begin a session and are looked at: each costs a key."""


@dataclass(slots=True)
class Newest:
    """The session that began last: an older one is a replay. It outlives the process where sessions have a key."""

    started: int = 0
    name: bytes = b""


@dataclass(slots=True)
class _Strangers:
    """How many packets that may begin a session were looked at in this second."""

    second: int = 0
    seen: int = 0

    def may(self, now: float) -> bool:
        if int(now) != self.second:
            self.second, self.seen = int(now), 0
        self.seen += 1
        return self.seen <= STRANGERS


class PacketReceiver:
    """Takes what the socket gives."""

    def __init__(self, secret: bytes, keeper: Keeper, newest: Newest) -> None:
        self._secret, self._keeper, self._newest = secret, keeper, newest
        self.counts = Counts()
        self.current: UdpSession | None = None
        self._strangers = _Strangers()
        self._beat: datetime | None = None
        self._good = 0
        self._greeted = 0.0
        self._warnings = Warnings()

    def take(self, message: memoryview, length: int) -> None:
        """Takes one message of the kernel: packets of one size, one after the other; the last may be shorter."""
        unpack, counts = HEADER.unpack_from, self.counts
        at = 0
        while length - at >= OVERHEAD:
            magic, size, name, kind, turn, file, number, row, column = unpack(message, at)
            if magic != MAGIC or not OVERHEAD <= size <= length - at:
                counts.foreign += 1
                return
            packet = message[at : at + size]
            at += size
            now = self.current
            if now is None or name != now.session.name:
                self._stranger(packet, name, kind)
            elif kind == PacketKind.DATA:
                files = now.files
                if files is None:
                    counts.early += not now.over
                    continue
                self._place(now, files, packet, file, number, row, column)
                at += size * self._rest(now, files, message[at:length])
            elif kind == PacketKind.HEAD and now.files is None:
                self._place(now, now.head, packet, file, number, row, column)
            elif kind == PacketKind.END:
                self._end(now, packet, turn)
            elif kind == PacketKind.HELLO:
                self._hello(now, packet)
        if at < length:
            counts.foreign += 1

    def _place(
        self, now: UdpSession, blocks: Blocks, packet: memoryview, file: int, number: int, row: int, column: int
    ) -> None:
        """Puts a packet where it belongs. Only one that is sealed by the session's key changes anything."""
        slot = blocks.open.get(file << 32 | number)
        if slot is None:
            slot = self._begun(now, blocks, packet, file, number)
            if slot is None:
                return
            if not slot.left:
                self._whole(now, blocks, slot)
                return
        width = slot.block.columns
        at, got = row * width + column, slot.got
        if column >= width or at >= len(got) or got[at] or slot.columns[column] >= slot.need:
            self.counts.again += 1
            return
        payload = slot.payload
        if len(packet) != payload + OVERHEAD or not now.session.is_right(packet):
            self.counts.wrong += 1
            return
        slot.view[at * payload : (at + 1) * payload] = packet[HEAD_BYTES:-TAG]
        got[at] = 1
        self.counts.good += 1
        there = slot.columns[column] + 1
        slot.columns[column] = there
        if there == slot.need:
            slot.left -= 1
            if not slot.left:
                self._whole(now, blocks, slot)

    def _rest(self, now: UdpSession, files: DeliveryBlocks, message: memoryview) -> int:
        """Places the data packets of open blocks at the begin of `message` as `_place` does; returns their number.

        This is where the time of a receiver goes: some 2 µs a packet, half of it for the tag. So nothing is called here
        but what must be.
        """
        unpack, decrypt, name, blocks = HEADER.unpack, now.session.decrypt, now.session.name, files.open
        size, payload = files.shape.packet, files.shape.payload
        begin, tag = size - TAG - payload, size - TAG
        counts, done = self.counts, 0
        for at in range(0, len(message) - size + 1, size):
            header = message[at : at + HEAD_BYTES]
            magic, length, session, kind, _, file, number, row, column = unpack(header)
            slot = blocks.get(file << 32 | number)
            if slot is None or kind != PacketKind.DATA or session != name or length != size or magic != MAGIC:
                break
            width, got, columns = slot.block.columns, slot.got, slot.columns
            place = row * width + column
            done += 1
            if column >= width or place >= len(got) or got[place] or columns[column] >= slot.need:
                counts.again += 1
                continue
            try:
                decrypt(header[NONCE_AT:], message[at + tag : at + size], message[at : at + tag])
            except InvalidTag:
                counts.wrong += 1
                continue
            slot.view[place * payload : (place + 1) * payload] = message[at + begin : at + tag]
            got[place] = 1
            counts.good += 1
            columns[column] = there = columns[column] + 1
            if there == slot.need:
                slot.left -= 1
                if not slot.left:
                    self._whole(now, files, slot)
        return done

    def _begun(self, now: UdpSession, blocks: Blocks, packet: memoryview, file: int, number: int) -> Slot | None:
        """The new slot of the block that a packet is of, if there may be one."""
        if not blocks.wants(file, number):
            self.counts.again += 1
            return None
        if len(packet) != blocks.shape.packet or not now.session.is_right(packet):
            self.counts.wrong += 1
            return None
        now.heard = time.monotonic()
        late = blocks.late()
        if late is not None:
            self._keeper.put_parts(blocks, late)
        slot = blocks.begin(file, number)
        if slot is None:
            self.counts.crowded += 1
        elif isinstance(blocks, DeliveryBlocks) and (file << 32 | number) in blocks.partial:
            blocks.recall(slot)
        return slot

    def _whole(self, now: UdpSession, blocks: Blocks, slot: Slot) -> None:
        blocks.whole(slot)
        if isinstance(blocks, DeliveryBlocks):
            self._keeper.put_block(blocks, slot)
        else:
            self._keeper.put_head(now, slot)

    def _hello(self, now: UdpSession, packet: memoryview) -> None:
        """A sign of life of a session that is known, which is looked at once a second."""
        moment = time.monotonic()
        if moment - self._greeted >= 1.0 and now.session.is_right(packet):
            self._greeted = moment
            self._keeper.put_alive()

    def _end(self, now: UdpSession, packet: memoryview, turn: int) -> None:
        files = now.files
        if turn <= now.turn_ended or files is None or not now.session.is_right(packet):
            return
        now.turn_ended = turn
        if turn + 1 == now.hello.shape.turns:
            now.finished = True
            self.settle(now)
        else:
            files.look()  # the inbox may have found meanwhile that a file is not as signed

    def settle(self, now: UdpSession) -> None:
        """Nothing more comes now: keeps what there is of blocks that are not whole, and looks what is missing."""
        now.settled = True
        self._drain(now)
        self._keeper.put_end(now)

    def _drain(self, now: UdpSession) -> None:
        files = now.files  # the keeper takes it away when the delivery is whole
        if files is not None:
            for slot in files.drain():
                self._keeper.put_parts(files, slot)

    def _stranger(self, packet: memoryview, name: bytes, kind: int) -> None:
        """A packet of a session that is not the current one: it may begin one, or say that its sender is alive."""
        now = time.monotonic()
        if kind not in (PacketKind.HELLO, PacketKind.BEAT) or not self._strangers.may(now):
            self.counts.foreign += 1
            return
        session = PacketSeal(self._secret, name)
        if not session.is_right(packet):
            self.counts.wrong += 1
            return
        payload = bytes(packet[HEAD_BYTES:-TAG])
        if kind == PacketKind.BEAT:
            self._heard_beat(payload)
            return
        try:
            hello = Hello.decode(payload)
        except ValueError as error:
            self._keeper.put_unusable(None, str(error))
            self.counts.foreign += 1
            return
        if self._secret and hello.started <= self._newest.started and name != self._newest.name:
            self.counts.replayed += 1
        elif self._may_begin(hello, now):
            self._begin(UdpSession(session, hello), now)

    def _heard_beat(self, payload: bytes) -> None:
        try:
            beat = Beat.decode(payload.rstrip(b"\0"))
        except ValueError:
            self.counts.foreign += 1
            return
        if self._beat is not None and beat.at <= self._beat:
            self.counts.replayed += 1
            return
        self._beat = beat.at
        self._keeper.listener.beat(beat)

    def _may_begin(self, hello: Hello, now: float) -> bool:
        """Whether a session takes the place of the current one."""
        current = self.current
        if current is None or current.over or now - current.heard > IDLE:
            return True
        newer = hello.started > current.hello.started
        return newer and (bool(self._secret) or current.files is None)

    def _begin(self, incoming: UdpSession, now: float) -> None:
        if self.current is not None:
            self.settle(self.current)
        incoming.heard = now
        self.current = incoming
        if self._secret and incoming.hello.started > self._newest.started:
            self._newest.started, self._newest.name = incoming.hello.started, incoming.session.name
            self._keeper.put_newest(incoming.hello.started, incoming.session.name)

    def tick(self, dropped: int) -> None:
        """Called some times a second. `dropped` is what the kernel dropped since the start."""
        self.counts.dropped = dropped
        current, now = self.current, time.monotonic()
        self._warnings.look(self.counts, now, self._keeper.put_warning)
        if current is None or current.over:
            return
        if self.counts.good != self._good:
            self._good, current.heard, current.settled = self.counts.good, now, False
        elif now - current.heard > SILENCE and not current.settled:
            self.settle(current)

    def close(self) -> None:
        """Keeps what there is of blocks that are not whole."""
        if self.current is not None:
            self._drain(self.current)
