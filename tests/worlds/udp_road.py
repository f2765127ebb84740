"""The UDP road without sockets: a delivery becomes a list of packets, and packets are given to a receiver."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, TrustError
from airgap.delivery.contents import Contents, volume_name
from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index
from airgap.delivery.journey import EVIDENCE_NAME, Evidence, Journey
from airgap.diode.assembly import Assembly
from airgap.diode.beats import Beat
from airgap.diode.head import encode_signatures
from airgap.diode.inbox import HIDDEN, Inbox
from airgap.diode.outgoing import Outgoing
from airgap.diode.received import Arrived
from airgap.diode.udp.burst import Burst
from airgap.diode.udp.hello import Hello
from airgap.diode.udp.incoming import UdpSession
from airgap.diode.udp.keeper import Keeper
from airgap.diode.udp.pace import Pace
from airgap.diode.udp.packets import HEADER, MAGIC, NONCE_AT, SESSION, TAG, PacketKind, PacketSeal
from airgap.diode.udp.receiver import Newest, PacketReceiver
from airgap.diode.udp.sender import OutgoingFile, PacketSender
from airgap.diode.udp.shape import Block, PacketShape
from airgap.diode.udp.sockets import PacketOutlet

SECRET = b"a key that both sides share, for tests"
SMALL = PacketShape(payload=256, columns=4, rows=16, parity=4, interleave=4, turns=2)
"""Blocks of 16 KiB: a few files have many of them."""
FAST = 10**7


class Goods:
    """Files with random bytes, and an index that lists them."""

    def __init__(self, folder: Path, sizes: Sequence[int]) -> None:
        folder.mkdir(exist_ok=True)
        names = [*(volume_name(number, len(sizes) - 1) for number in range(1, len(sizes))), EVIDENCE_NAME]
        self.data = [os.urandom(size) for size in sizes]
        sums = []
        for name, data in zip(names, self.data, strict=True):
            (folder / name).write_bytes(data)
            sums.append(FileSum(name, hashlib.sha256(data).hexdigest(), len(data)))
        self.parts = [OutgoingFile(one, folder / one.name) for one in sums]
        when = datetime(2026, 11, 1, tzinfo=UTC)
        journey = Journey("id", "main", 1, "bank", when, when, Evidence(sums[-1]))
        self.index = Index(Contents((), (), tuple(sums[:-1]), {}), journey)
        self.index_bytes = os.urandom(3000)
        self.signatures = [b"a signature", b"another"]

    @property
    def digest(self) -> Digest:
        return Digest.of(self.index_bytes)

    @property
    def outgoing(self) -> Outgoing:
        """As a sender finds it in a folder."""
        files = [part.file for part in self.parts]
        found = SimpleNamespace(
            files=files,
            paths=[part.path for part in self.parts],
            parts={number: [(0, file.size)] for number, file in enumerate(files)},
            signatures=self.signatures,
            digest=self.digest,
            media=SimpleNamespace(index_bytes=self.index_bytes),
            order=lambda: range(len(files)),
        )
        return cast(Outgoing, found)

    def blocks(self, shape: PacketShape) -> list[Block]:
        sizes = [part.file.size for part in self.parts]
        return [shape.block(n, number, size) for n, size in enumerate(sizes) for number in range(shape.count(size))]


class _Wire:
    """An outlet that keeps what is sent."""

    def __init__(self, size: int) -> None:
        self.packets, self._size = list[bytes](), size

    def send(self, burst: memoryview) -> None:
        self.packets += [bytes(burst[at : at + self._size]) for at in range(0, len(burst), self._size)]

    def check_neighbour(self) -> None:
        """There is none."""


def packets(
    goods: Goods,
    shape: PacketShape = SMALL,
    *,
    secret: bytes = SECRET,
    name: bytes = b"",
    started: int = 1000,
    blocks: Sequence[Block] | None = None,
    wire: Any = None,
) -> list[bytes]:
    """All packets of a session, in their order."""
    found = wire or _Wire(shape.packet)
    pace = Pace(10**12)
    burst = Burst(cast(PacketOutlet, found), pace, PacketSeal(secret, name or os.urandom(SESSION)), shape, 28)
    head = [encode_signatures(goods.signatures), goods.index_bytes]
    size = sum(part.file.size for part in goods.parts)
    digest = bytes.fromhex(goods.digest.hex)
    hello = Hello(shape, started, len(head[0]), len(head[1]), digest, size, len(goods.parts))
    wanted = goods.blocks(shape) if blocks is None else blocks
    PacketSender(burst, hello, head, goods.parts, FAST).run(wanted, lambda _size: None)
    return list(found.packets)


class Far:
    """A receiver and what it was told; `assembly` is where the bytes go."""

    def __init__(self, goods: Goods, folder: Path, *, secret: bytes = SECRET, trusted: bool = True) -> None:
        self.goods, self.trusted, self.folder = goods, trusted, folder
        (folder / HIDDEN).mkdir(parents=True, exist_ok=True)
        self.assembly = Assembly(folder / "on-the-way", goods.index_bytes, goods.signatures, goods.index)
        self.said = list[str]()
        self.admitted = self.lives = 0
        self.newest = Newest()
        self.keeper = Keeper(cast(Inbox, self), self, lambda started, name: self.said.append("newest"))
        self.receiver = PacketReceiver(secret, self.keeper, self.newest)

    # the inbox

    def claimed(self, signatures: Sequence[bytes]) -> Digest:
        if not self.trusted or list(signatures) != self.goods.signatures:
            raise TrustError("unknown-key", "nobody signed this", "ask who sent it")
        return self.goods.digest

    def admit(self, index: bytes, signatures: Sequence[bytes]) -> Assembly | Arrived:
        assert index == self.goods.index_bytes
        self.admitted += 1
        return self.assembly

    # the listener

    def began(self, assembly: Assembly) -> None:
        self.said.append("began")

    def already(self, arrived: Arrived) -> None:
        self.said.append("already")

    def turned_away(self, delivery: Digest | None, error: AirgapError) -> None:
        self.said.append(error.code)

    def pass_over(self, assembly: Assembly) -> None:
        self.said.append("incomplete" if assembly.missing() else "complete")

    def beat(self, beat: Beat) -> None:
        self.said.append("beat")

    def alive(self) -> None:
        self.lives += 1

    def trouble(self, error: AirgapError) -> None:
        self.said.append(error.code)

    # what tests do

    def take(self, came: Iterable[bytes]) -> Far:
        """Gives packets to the receiver, each as a message of its own; waits for the head, as a sender does."""
        room, before = memoryview(bytearray(1 << 16)), b""
        for packet in came:
            if before != packet[20:21]:
                if before == bytes([PacketKind.HEAD]):
                    self.settle()
                before = packet[20:21]
            room[: len(packet)] = packet
            self.receiver.take(room, len(packet))
            current = self.receiver.current
            if current is not None and current.files is not None and len(current.files._free) < 2:
                self.settle()  # this line is faster than any disk
        return self

    def settle(self) -> None:
        """Waits until the keeper did what it has."""
        done = threading.Event()
        self.keeper._queue.put(done.set)
        assert done.wait(20)

    def close(self) -> None:
        self.receiver.close()
        self.keeper.close()
        self.assembly.close()

    def wrong(self) -> list[str]:
        """The files of which a byte that is said to be there is not the sender's."""
        missing: Mapping[int, Sequence[tuple[int, int]]] = self.assembly.missing()
        found = []
        for number, data in enumerate(self.goods.data):
            name = self.goods.parts[number].file.name
            here = bytearray((self.assembly.folder / name).read_bytes())
            for begin, end in missing.get(number, ()):
                here[begin:end] = data[begin:end]
            if here != data:
                found.append(name)
        return found


# for the fuzz harness


class _Nothing:
    """A keeper that does nothing, and an assembly of two files that has nothing."""

    files = (FileSum("vol-0001-of-0001.tar", "0" * 64, 40_000), FileSum(EVIDENCE_NAME, "0" * 64, 100))
    received = 1

    def has(self, _file: int, begin: int, _end: int) -> bool:
        return begin == 512

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments: None


def messages() -> list[bytes]:
    """Messages of some packets of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        sent = packets(Goods(Path(folder), (40_000, 100)), name=bytes(SESSION))
    kinds = [[one for one in sent if one[20] == kind] for kind in PacketKind]
    return [b"".join(of_kind[at : at + 5]) for of_kind in kinds for at in (0, len(of_kind) // 2) if of_kind]


def take_anything(data: bytes) -> None:
    """Gives bytes to receivers that are at the begin, at the head and at the data of a session.

    First as they are; then each packet again with the right tag, so that what is behind the tag is reached, too.
    """
    seal, size = PacketSeal(SECRET, bytes(SESSION)), SMALL.packet
    sealed = bytearray(data[: len(data) // size * size])
    for at in range(0, len(sealed), size):
        packet = memoryview(sealed)[at : at + size]
        packet[: HEADER.size - 12] = HEADER.pack(MAGIC, size, seal.name, 0, 0, 0, 0, 0, 0)[:-12]
        packet[-TAG:] = seal.encrypt(packet[NONCE_AT : HEADER.size], b"", packet[:-TAG])
    for stage in range(3):
        nothing = cast(Any, _Nothing())
        receiver = PacketReceiver(SECRET, nothing, Newest())
        if stage:
            receiver.current = UdpSession(seal, Hello(SMALL, 1, 200, 3000, bytes(32), 1, 1))
            if stage == 2:
                receiver.current.admit(nothing)
        for message in (data, bytes(sealed)):
            receiver.take(memoryview(message), len(message))
        receiver.tick(0)
        receiver.close()
