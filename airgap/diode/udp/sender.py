"""One session of a sender: hello, head, every block in each pass, the end. What it knows afterwards is that it sent."""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from airgap.base.errors import IntegrityError
from airgap.delivery.fields import FileSum
from airgap.delivery.on_media import open_on_media
from airgap.diode.udp.burst import Burst
from airgap.diode.udp.hello import Hello, head_shape
from airgap.diode.udp.packets import PacketKind, PacketPlace
from airgap.diode.udp.shape import Block, PacketShape
from airgap.diode.udp.slots import code_of

WARM_UP = 0.1
"""Seconds of hellos before the first data: losses gather at the begin, and the receiver checks the signatures."""
HEAD_PAUSE = 0.025
"""Seconds of hellos after each file of the head: the receiver checks the signatures before it takes AIRGAP.json."""
HELLO_EVERY = 0.05
HEAD_EVERY = 2.0
"""Seconds between two hellos, and between two heads, for a receiver that starts late."""
HEAD_SHARE = 0.04
"""Of the rate that heads may take, if AIRGAP.json is so large that they need more than `HEAD_EVERY`."""
HEADS = 2
"""Heads at the begin of each pass."""
ENDS = 20
"""Packets that say that a pass has ended, spread over `END_SPAN` seconds: a hole in time must not swallow all."""
END_SPAN = 0.2


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file of the delivery and where it lies."""

    file: FileSum
    path: Path


class _Loaded:
    """The memory of one block with its parity of one pass."""

    __slots__ = ("block", "view")

    def __init__(self, shape: PacketShape) -> None:
        self.view = memoryview(mmap.mmap(-1, (shape.rows + shape.parity) * shape.row_bytes))
        self.block = Block(0, 0, 0, 1, 1, 1)

    def row(self, number: int, payload: int) -> memoryview:
        """The bytes of a row, parity after data."""
        size = self.block.columns * payload
        return self.view[number * size : (number + 1) * size]


class PacketSender:
    """Sends `parts` through `burst`."""

    def __init__(
        self, burst: Burst, hello: Hello, head: Sequence[bytes], parts: Sequence[OutgoingFile], rate: int
    ) -> None:
        self._burst, self._hello, self._head, self._parts, self._rate = burst, hello, head, parts, rate
        self._shape = hello.shape
        self._payload = hello.encode()
        self._hello_due = self._head_due = 0.0

    def run(self, blocks: Sequence[Block], advance: Callable[[int], None]) -> None:
        """Sends `blocks` in every pass; `advance` is told how many bytes of files went.

        Each file that is sent from its first byte to its last is hashed on the way. Raises `IntegrityError`
        (`damaged-file`), `UpstreamError` (`unreachable`), `StoreError`.
        """
        with ExitStack() as stack:
            reader = _Reader(self._shape, self._parts, stack)
            self._pause(WARM_UP)
            self._burst.check_way()
            for turn in range(self._shape.turns):
                begin = turn * len(blocks) // self._shape.turns
                order = [*blocks[begin:], *blocks[:begin]]
                self._send_heads()
                self._pause(WARM_UP)
                self._send_turn(turn, order, reader, advance)
                self._end(turn)

    def _pause(self, seconds: float) -> None:
        """Sends hellos for a while, at the rate of everything else: the load stays the same."""
        until = time.monotonic() + seconds
        for _ in range(max(1, int(seconds * self._rate / 8 / self._shape.packet))):
            self._put_hello()
            if time.monotonic() > until:
                return  # this machine cannot send so fast

    def _put_hello(self) -> None:
        self._burst.put(PacketPlace(PacketKind.HELLO, 0, 0, 0, 0, 0), self._payload)

    def _send_heads(self) -> None:
        for _ in range(HEADS):
            self._send_head()

    def _send_head(self) -> None:
        shape = head_shape(self._shape)
        for file, data in enumerate(self._head):
            for number in range(shape.count(len(data))):
                block = shape.block(file, number, len(data))
                loaded = _Loaded(shape)
                _fill(loaded, block, shape.payload, memoryview(data)[block.offset : block.offset + block.size])
                _add_parity(loaded, shape, 0)
                self._put_hello()
                for row in range(block.rows + shape.parity):
                    self._burst.put_row(PacketKind.HEAD, 0, block, row, loaded.row(row, shape.payload))
            self._pause(HEAD_PAUSE)
        size = sum(len(data) for data in self._head)
        self._head_due = time.monotonic() + max(HEAD_EVERY, size * 2 * 8 / (self._rate * HEAD_SHARE))

    def _send_turn(self, turn: int, order: Sequence[Block], reader: _Reader, advance: Callable[[int], None]) -> None:
        width = self._shape.interleave
        groups = [order[at : at + width] for at in range(0, len(order), width)] or [[]]
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(reader.load, group, turn) for group in groups[:1]]
            for after in [*groups[1:], None]:
                loaded = ahead.pop().result()
                if after is not None:
                    ahead.append(pool.submit(reader.load, after, turn))
                self._send_group(turn, loaded)
                for one in loaded:
                    advance(self._share(one.block.size, turn))

    def _share(self, size: int, turn: int) -> int:
        """What a pass adds to the progress: all passes together are the bytes of the files."""
        turns = self._shape.turns
        return size * (turn + 1) // turns - size * turn // turns

    def _send_group(self, turn: int, loaded: Sequence[_Loaded]) -> None:
        shape, burst = self._shape, self._burst
        most = max((one.block.rows for one in loaded), default=0) + shape.parity
        for row in range(most):
            for one in loaded:
                block = one.block
                if row < block.rows + shape.parity:
                    number = row if row < block.rows else row + turn * shape.parity
                    burst.put_row(PacketKind.DATA, turn, block, number, one.row(row, shape.payload))
            now = time.monotonic()
            if now >= self._hello_due:
                self._hello_due = now + HELLO_EVERY
                self._put_hello()
            if now >= self._head_due:
                self._send_head()

    def _end(self, turn: int) -> None:
        for _ in range(ENDS):
            self._burst.put(PacketPlace(PacketKind.END, turn, 0, 0, 0, 0), b"")
            self._pause(END_SPAN / ENDS)
        self._burst.flush()
        self._burst.check_way()


class _Reader:
    """Reads blocks and computes their parity, into two sets of memory in turn: one is read while the other is sent."""

    def __init__(self, shape: PacketShape, parts: Sequence[OutgoingFile], stack: ExitStack) -> None:
        self._shape, self._parts = shape, parts
        self._sets = [[_Loaded(shape) for _ in range(shape.interleave)] for _ in range(2)]
        self._fds = [open_on_media(part.path) for part in parts]
        for fd in self._fds:
            stack.callback(os.close, fd)
        self._hashes = [(hashlib.sha256(), 0) for _ in parts]

    def load(self, blocks: Sequence[Block], turn: int) -> list[_Loaded]:
        """The blocks with their parity of a pass. Raises `IntegrityError` (`damaged-file`, `unreadable`)."""
        self._sets.reverse()
        chosen = self._sets[0][: len(blocks)]
        for loaded, block in zip(chosen, blocks, strict=True):
            data = loaded.view[: block.size]
            self._read(block, data)
            if not turn:
                self._hash(block, data)
            _fill(loaded, block, self._shape.payload)
            if self._shape.parity:
                _add_parity(loaded, self._shape, turn)
        return chosen

    def _read(self, block: Block, into: memoryview) -> None:
        path, at = self._parts[block.file].path, block.offset
        while into:
            try:
                count = os.preadv(self._fds[block.file], [into], at)
            except OSError as error:
                hint = "the medium is damaged or was disconnected; copy the delivery again, and send that"
                raise IntegrityError("unreadable", f"{path}: {error.strerror} at byte {at}", hint) from error
            if not count:
                raise _damaged(path, "it is shorter than AIRGAP.json says")
            into, at = into[count:], at + count

    def _hash(self, block: Block, data: memoryview) -> None:
        hasher, done = self._hashes[block.file]
        if done != block.offset:
            return  # only a part of this file is sent
        hasher.update(data)
        done += len(data)
        self._hashes[block.file] = (hasher, done)
        part = self._parts[block.file]
        if done == part.file.size and hasher.hexdigest() != part.file.sha256:
            raise _damaged(part.path, "its bytes are not those of AIRGAP.json")


def _fill(loaded: _Loaded, block: Block, payload: int, data: memoryview | None = None) -> None:
    """Puts `data`, if it is not there yet, and zeros up to the end of the last row."""
    loaded.block = block
    if data is not None:
        loaded.view[: len(data)] = data
    end = block.rows * block.columns * payload
    loaded.view[block.size : end] = bytes(end - block.size)


def _add_parity(loaded: _Loaded, shape: PacketShape, turn: int) -> None:
    """Computes the rows of parity of a pass."""
    rows, parity = loaded.block.rows, shape.parity
    code = code_of(rows, parity * shape.turns)
    whole = [loaded.row(row, shape.payload) for row in range(rows)]
    missing: list[memoryview | None] = [None] * (parity * shape.turns)
    first = rows + turn * parity
    code.rebuild([*whole, *missing], {first + at: loaded.row(rows + at, shape.payload) for at in range(parity)})


def _damaged(path: Path, why: str) -> IntegrityError:
    hint = "stop the receiver's session, copy the delivery again from where it was cut, and send that"
    return IntegrityError("damaged-file", f"{path}: {why}", hint)
