"""One session that is being received: which blocks have memory, which are whole. One thread calls it.

The blocks of a delivery get memory only after its signatures were checked (`admit`). Until then there is memory for
the head.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence

from airgap.base.errors import StoreError
from airgap.diode.assembly import Assembly
from airgap.diode.udp.hello import SIGNATURES, Hello, head_shape
from airgap.diode.udp.packets import PacketSeal
from airgap.diode.udp.shape import PacketShape
from airgap.diode.udp.slots import Slot

MEMORY = 200 << 20
"""Bytes of all slots of a session, at most."""
HEAD_SLOTS = 4
"""Blocks of the head that have memory at once: they are sent one after the other."""
SPARE = 2
"""Blocks that may be open besides those that are sent in turn: packets that were late."""


class Blocks:
    """The open blocks of some files, and the slots that they use."""

    def __init__(self, shape: PacketShape, sizes: Sequence[int], slots: int, opened: int) -> None:
        """`slots` are there in all, `opened` of them may be in the making at once."""
        self.shape, self.sizes, self._most = shape, sizes, opened
        self.done = [bytearray(shape.count(size)) for size in sizes]
        """1 for each block of each file that is not wanted any more."""
        self.open: dict[int, Slot] = {}
        """By file << 32 | block, in the order in which they were begun."""
        self.partial: set[int] = set()
        """Blocks of which the sink may have a part, because they were open before."""
        self._free = deque(Slot(shape) for _ in range(slots))

    def wants(self, file: int, number: int) -> bool:
        """True if there is such a block, and it is not done."""
        return file < len(self.done) and number < len(self.done[file]) and not self.done[file][number]

    def begin(self, file: int, number: int) -> Slot | None:
        """A slot for a block that `wants` said is wanted; `None` if there is no memory now."""
        if not self._free:
            return None
        slot = self._free.popleft()
        slot.assign(self.shape.block(file, number, self.sizes[file]))
        self.open[file << 32 | number] = slot
        return slot

    def late(self) -> Slot | None:
        """The block that was begun first, if so many are open that it is given up; its slot is the caller's."""
        if len(self.open) <= self._most:
            return None
        key = next(iter(self.open))
        self.partial.add(key)
        return self.open.pop(key)

    def drain(self) -> list[Slot]:
        """All open blocks; their slots are the caller's."""
        found = list(self.open.values())
        self.partial.update(self.open)
        self.open.clear()
        return found

    def whole(self, slot: Slot) -> None:
        """Notes that a block is whole; its slot is the caller's until `give_back`."""
        block = slot.block
        self.done[block.file][block.number] = 1
        del self.open[block.file << 32 | block.number]

    def again(self, slot: Slot) -> None:
        """Takes back that a block is whole: it could not be kept."""
        self.done[slot.block.file][slot.block.number] = 0

    def give_back(self, slot: Slot) -> None:
        """Another block may have the slot. Any thread may call this."""
        self._free.append(slot)


class DeliveryBlocks(Blocks):
    """The open blocks of a delivery that was let in. What an earlier session brought of them is not wanted again."""

    def __init__(self, shape: PacketShape, sink: Assembly) -> None:
        """Raises `ValueError` if there is no memory for such blocks."""
        slots = slots_for(shape)
        super().__init__(shape, [file.size for file in sink.files], slots, min(slots - 1, shape.interleave + SPARE))
        self.sink, self._resumed = sink, sink.received > 0
        self.look()

    def look(self) -> None:
        """Finds out which blocks are whole in the sink."""
        for file, size in enumerate(self.sizes):
            for number in range(len(self.done[file])):
                block = self.shape.block(file, number, size)
                here = self.sink.has(file, block.offset, block.offset + block.size)
                self.done[file][number] = here and (file << 32 | number) not in self.open
                if not here and self._resumed:
                    self.partial.add(file << 32 | number)

    def recall(self, slot: Slot) -> None:
        """Fills a new slot with what the sink has of its block."""
        block, payload, sink = slot.block, slot.payload, self.sink
        for at in range(block.rows * block.columns):
            begin, end = at * payload, min((at + 1) * payload, block.size)
            if begin >= block.size:
                slot.view[begin : begin + payload] = bytes(payload)
                slot.count(at)
            elif sink.has(block.file, block.offset + begin, block.offset + end):
                with contextlib.suppress(StoreError):
                    sink.read(block.file, block.offset + begin, slot.view[begin:end])
                    slot.view[end : begin + payload] = bytes(payload - (end - begin))
                    slot.count(at)


class UdpSession:
    """A session: first its head, then its files."""

    def __init__(self, session: PacketSeal, hello: Hello) -> None:
        self.session, self.hello = session, hello
        self.head = self._head([hello.signatures])
        self.pieces: dict[tuple[int, int], bytes] = {}
        """The blocks of the head that are whole, by file and number."""
        self.signatures: list[bytes] = []
        """Those that came, once one of them is good."""
        self.files: DeliveryBlocks | None = None
        """`None` until AIRGAP.json was checked."""
        self.over = False
        """True if nothing of this session is wanted any more."""
        self.finished = False
        """True if the sender said that it sent everything."""
        self.settled = False
        """True if what there is was kept, and nothing came since."""
        self.turn_ended = -1
        self.heard = 0.0

    def _head(self, sizes: Sequence[int]) -> Blocks:
        shape = head_shape(self.hello.shape)
        return Blocks(shape, sizes, HEAD_SLOTS, HEAD_SLOTS - 1)

    def claim(self, signatures: list[bytes]) -> None:
        """One of the signatures is good: gives memory for AIRGAP.json."""
        head = self._head([self.hello.signatures, self.hello.index])
        for number in range(len(head.done[SIGNATURES])):
            head.done[SIGNATURES][number] = 1
        self.pieces.clear()
        self.signatures, self.head = signatures, head

    def admit(self, sink: Assembly) -> None:
        """AIRGAP.json is what a signature speaks of: gives memory for the files. Raises `ValueError` (`slots_for`)."""
        files = DeliveryBlocks(self.hello.shape, sink)
        self.head = Blocks(self.head.shape, [], 0, 0)
        self.pieces.clear()
        self.files = files


def slots_for(shape: PacketShape) -> int:
    """How many slots a session gets. Raises `ValueError` if its blocks are too large for `MEMORY`."""
    slots = min(2 * shape.interleave + 4, MEMORY // shape.slot)
    if slots < min(shape.interleave, 4) + 1:
        raise ValueError(f"got {shape.interleave} blocks of {shape.slot} bytes in turn, which need more than {MEMORY}")
    return slots
