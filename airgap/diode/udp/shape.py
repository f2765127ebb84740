"""How a file becomes packets: blocks of rows, rows of columns, and rows of parity. Bounded before it is believed.

A file is cut into blocks of at most `rows × columns × payload` bytes. A row is one piece of the file after the other,
so a packet lost is one byte row of one column. Each column with its parity rows is one codeword of `airgap.erasure`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from airgap.diode.udp.packets import MAX_PAYLOAD, MIN_PAYLOAD, OVERHEAD

MAX_COLUMNS = 64
MAX_TURNS = 32
MAX_INTERLEAVE = 64
MAX_CODE = 256
"""Rows of data and of parity together: the field of `airgap.erasure` has so many numbers."""
MAX_BLOCK = 64 << 20
"""Bytes of a block with its parity."""
SEND = 65507
"""Bytes of the largest UDP datagram, and of what the kernel cuts into datagrams at once."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a file: `size` bytes at `offset`, in `rows` of `columns` packets."""

    file: int
    number: int
    offset: int
    size: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class PacketShape:
    """The numbers of a session, which its hello names."""

    payload: int = 1408
    columns: int = 44
    rows: int = 128
    parity: int = 13
    """Rows of parity of a block in one pass; each pass has others."""
    interleave: int = 8
    """Blocks whose rows are sent in turn, so that a hole in time costs each block little."""
    turns: int = 2
    """How often everything is sent."""

    CODE = struct.Struct("!HBBBBB")

    def encode(self) -> bytes:
        """The bytes in a hello."""
        return self.CODE.pack(self.payload, self.columns, self.rows, self.parity, self.interleave, self.turns)

    @classmethod
    def decode(cls, data: bytes) -> PacketShape:
        """Reads what `encode` wrote. Raises `ValueError` for a number out of its bounds."""
        made = cls(*cls.CODE.unpack(data))
        made.check()
        return made

    def check(self) -> None:
        """Raises `ValueError` for a number out of its bounds."""
        for name, least, most in (
            ("payload", MIN_PAYLOAD, MAX_PAYLOAD),
            ("columns", 1, MAX_COLUMNS),
            ("rows", 1, MAX_CODE - 1),
            ("parity", 0, MAX_CODE - 1),
            ("interleave", 1, MAX_INTERLEAVE),
            ("turns", 1, MAX_TURNS),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name}: got {value}, expected {least} to {most}")
        if self.code_rows > MAX_CODE:
            raise ValueError(f"got {self.code_rows} rows of data and parity in all passes, expected at most {MAX_CODE}")
        if self.slot > MAX_BLOCK:
            raise ValueError(f"got {self.slot} bytes of a block, expected at most {MAX_BLOCK}")

    @property
    def packet(self) -> int:
        """Bytes of a packet, without those of UDP and IP."""
        return self.payload + OVERHEAD

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a whole block."""
        return self.columns * self.payload

    @property
    def block_bytes(self) -> int:
        """Bytes of a file in a whole block."""
        return self.rows * self.row_bytes

    @property
    def code_rows(self) -> int:
        """Rows of a whole block and of its parity in all passes."""
        return self.rows + self.parity * self.turns

    @property
    def slot(self) -> int:
        """Bytes of a whole block and of its parity in all passes."""
        return self.code_rows * self.row_bytes

    def count(self, size: int) -> int:
        """The number of blocks of a file of `size` bytes."""
        return -(-size // self.block_bytes)

    def block(self, file: int, number: int, size: int) -> Block:
        """A block of a file of `size` bytes. The last one has fewer columns, and then fewer rows: it is no longer than
        what it has to carry."""
        offset = number * self.block_bytes
        length = min(self.block_bytes, size - offset)
        columns = -(-length // (self.rows * self.payload))
        return Block(file, number, offset, length, -(-length // (columns * self.payload)), columns)


def shape_for(mtu: int, headers: int, *, parity: int, turns: int) -> PacketShape:
    """The shape whose packets fit an MTU; `headers` are the bytes of IP and UDP in it. Raises `ValueError`."""
    payload = min((mtu - headers - OVERHEAD) // 64 * 64, MAX_PAYLOAD)
    if payload < MIN_PAYLOAD:
        raise ValueError(f"got an MTU of {mtu}, expected at least {MIN_PAYLOAD + headers + OVERHEAD}")
    made = PacketShape(payload, min(44, SEND // (payload + OVERHEAD)), 128, parity, 8, turns)
    made.check()
    return made
