"""Packets in the making: a buffer with room for one burst, whose places are cut once."""

from __future__ import annotations

import mmap

from airgap.diode.udp.pace import Pace
from airgap.diode.udp.packets import HEAD_BYTES, HEADER, MAGIC, NONCE_AT, TAG, PacketKind, PacketPlace, PacketSeal
from airgap.diode.udp.shape import MAX_COLUMNS, SEND, Block, PacketShape
from airgap.diode.udp.sockets import PacketOutlet

_SPAN = 0.001
"""Seconds that a burst takes at the rate, at most: at low rates a burst is short."""

_COLUMNS = [column.to_bytes(2, "big") for column in range(MAX_COLUMNS)]


class Burst:
    """Seals packets and sends them in bursts, at a rate."""

    def __init__(self, outlet: PacketOutlet, pace: Pace, session: PacketSeal, shape: PacketShape, headers: int) -> None:
        """`headers` are the bytes of IP and UDP in each packet, which count for the rate."""
        self._outlet, self._pace, self._session = outlet, pace, session
        size = shape.packet
        self._each = size + headers
        most = min(64, SEND // size, max(1, int(pace.rate * _SPAN / 8 / self._each)))
        self._buffer = memoryview(mmap.mmap(-1, most * size))
        self._places = [
            (
                packet := self._buffer[at * size : (at + 1) * size],
                packet[:HEAD_BYTES],
                packet[NONCE_AT:HEAD_BYTES],
                packet[:-TAG],
                packet[HEAD_BYTES:-TAG],
                packet[-TAG:],
            )
            for at in range(most)
        ]
        self._size, self._filled = size, 0

    def put(self, place: PacketPlace, payload: bytes | memoryview) -> None:
        """Adds one packet; a short payload is filled with zeros."""
        packet, _, _, _, body, _ = self._places[self._filled]
        body[: len(payload)] = payload
        body[len(payload) :] = bytes(len(body) - len(payload))
        self._session.seal(packet, place)
        self._filled += 1
        if self._filled == len(self._places):
            self.flush()

    def put_row(self, kind: PacketKind, turn: int, block: Block, row: int, data: memoryview) -> None:
        """Adds the packets of one row. `data` are its bytes, `row` its number on the wire."""
        encrypt, places, filled, most = self._session.encrypt, self._places, self._filled, len(self._places)
        first = HEADER.pack(MAGIC, self._size, self._session.name, kind, turn, block.file, block.number, row, 0)[:-2]
        at, payload = 0, len(places[0][4])
        for column in _COLUMNS[: block.columns]:
            _, header, nonce, sealed, body, tag = places[filled]
            header[:] = first + column
            body[:] = data[at : at + payload]
            tag[:] = encrypt(nonce, b"", sealed)
            at += payload
            filled += 1
            if filled == most:
                self._filled = filled
                self.flush()
                filled = 0
        self._filled = filled

    def check_way(self) -> None:
        """Checks that what was sent so far had a way to go. Raises `UnreachableError`."""
        self._outlet.check_neighbour()

    def flush(self) -> None:
        """Sends what is there, when it is time."""
        if self._filled:
            self._pace.wait(self._filled * self._each)
            self._outlet.send(self._buffer[: self._filled * self._size])
            self._filled = 0
