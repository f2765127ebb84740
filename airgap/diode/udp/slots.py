"""Blocks that are being received: each has a slot of memory, and there is a fixed number of them.

A slot holds all rows of its block, and its rows of parity. A column is whole as soon as it has as many rows as the
block has rows of data, whichever they are; the block is, when all its columns are.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from functools import lru_cache

from airgap.diode.udp.shape import Block, PacketShape
from airgap.erasure.code import Code


class Slot:
    """The memory of one block. One thread fills it; another may then take what it holds."""

    __slots__ = ("block", "columns", "got", "left", "need", "payload", "rows", "view")

    def __init__(self, shape: PacketShape) -> None:
        # The kernel gives pages of such a mapping when they are written: rows of parity that do not come cost none.
        self.view = memoryview(mmap.mmap(-1, shape.slot))
        self.payload = shape.payload
        self.rows = shape.code_rows - shape.rows
        """Rows of parity, in all passes."""
        self.assign(Block(0, 0, 0, 1, 1, 1))

    def assign(self, block: Block) -> None:
        """Empties the slot for another block."""
        self.block = block
        self.got = bytearray((block.rows + self.rows) * block.columns)
        """1 for each packet that is there, by row and column."""
        self.columns = [0] * block.columns
        """How many rows of each column are there."""
        self.need = block.rows
        self.left = block.columns
        """Columns that are not whole."""

    def count(self, at: int) -> None:
        """Counts the packet `at` (row × columns + column), whose bytes are in the view now."""
        self.got[at] = 1
        column = at % self.block.columns
        self.columns[column] += 1
        if self.columns[column] == self.need:
            self.left -= 1

    def runs(self) -> Iterator[tuple[int, int]]:
        """What is there of the data itself, as ranges [begin, end) of bytes in the block."""
        size, payload, begin = self.block.size, self.payload, -1
        data = self.got[: self.block.rows * self.block.columns]
        at = data.find(1)
        while at >= 0:
            begin, at = at, data.find(0, at)
            end = len(data) if at < 0 else at
            yield begin * payload, min(size, end * payload)
            at = data.find(1, end)

    def mend(self) -> None:
        """Computes what was lost of the data. The block is whole."""
        rows, columns = self.block.rows, self.block.columns
        if 0 not in self.got[: rows * columns]:
            return
        code, step = code_of(rows, self.rows), columns * self.payload
        for first, last in self._alike():
            there = bytes(self.got[first::columns])
            lost = [row for row in range(rows) if not there[row]]
            if lost:
                places = range(first * self.payload, (rows + self.rows) * step, step)
                code.rebuild_in(self.view, places, there, lost, (last - first) * self.payload)

    def _alike(self) -> Iterator[tuple[int, int]]:
        """Ranges of columns that lost the same rows: a hole in time takes whole rows, and is mended at once."""
        columns = self.block.columns
        first, known = 0, self.got[0::columns]
        for column in range(1, columns):
            mine = self.got[column::columns]
            if mine != known:
                yield first, column
                first, known = column, mine
        yield first, columns


@lru_cache(maxsize=64)
def code_of(rows: int, parity: int) -> Code:
    """The code of a block with so many rows. Its matrices are made once."""
    return Code(rows, parity)
