"""The UDP road by its packets, without sockets: whatever a line does to them, no byte is wrong."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.errors import DiskFullError, InputError
from airgap.diode.beats import Beat
from airgap.diode.inbox import HIDDEN, Inbox
from airgap.diode.udp.hello import Hello
from airgap.diode.udp.incoming import MEMORY, slots_for
from airgap.diode.udp.packets import HEADER, MAGIC, NONCE_AT, TAG, PacketKind, PacketPlace, PacketSeal
from airgap.diode.udp.receiver import STRANGERS
from airgap.diode.udp.road import UdpReceiver, UdpSender, UdpSettings
from airgap.diode.udp.shape import PacketShape, shape_for
from tests.worlds.effort import cases
from tests.worlds.udp_road import SECRET, SMALL, Far, Goods, packets

SIZES = (150_000, 16_384, 1, 3_000)


@pytest.fixture
def goods(tmp_path: Path) -> Goods:
    return Goods(tmp_path / "out", SIZES)


@pytest.fixture
def far(goods: Goods, tmp_path: Path) -> Iterator[Far]:
    made = Far(goods, tmp_path / "in")
    yield made
    made.close()


def is_data(packet: bytes) -> bool:
    return packet[20] == PacketKind.DATA


# packets and shapes


def test_a_packet_that_differs_in_one_bit_is_not_right() -> None:
    seal = PacketSeal(SECRET, bytes(16))
    packet = memoryview(bytearray(os.urandom(400)))
    seal.seal(packet, PacketPlace(3, 1, 2, 3, 4, 5))
    assert seal.is_right(packet)
    assert HEADER.unpack_from(packet, 0) == (MAGIC, 400, bytes(16), 3, 1, 2, 3, 4, 5)
    for at in range(len(packet)):
        packet[at] ^= 1 << at % 8
        assert not seal.is_right(packet), at
        packet[at] ^= 1 << at % 8
    assert not PacketSeal(b"", bytes(16)).is_right(packet)
    assert not PacketSeal(SECRET, b"x" * 16).is_right(packet)


def test_no_two_packets_of_a_session_have_one_nonce_and_other_bytes(goods: Goods) -> None:
    """AES-GMAC would give its key away."""
    seen: dict[bytes, bytes] = {}
    for packet in packets(goods):
        assert seen.setdefault(packet[NONCE_AT : HEADER.size], packet) == packet
    assert len(seen) > 500


@given(st.integers(0, 4 * SMALL.block_bytes), st.sampled_from([SMALL, PacketShape(), PacketShape(300, 1, 3, 1, 1, 1)]))
def test_blocks_cover_a_file_and_nothing_else(size: int, shape: PacketShape) -> None:
    at = 0
    for number in range(shape.count(size)):
        block = shape.block(0, number, size)
        assert (block.offset, block.number) == (at, number)
        assert 1 <= block.rows <= shape.rows
        assert 1 <= block.columns <= shape.columns
        assert block.size <= block.rows * block.columns * shape.payload < block.size + block.columns * shape.payload
        at += block.size
    assert at == size


@pytest.mark.parametrize(
    "shape",
    [
        PacketShape(payload=100), PacketShape(columns=0), PacketShape(rows=0), PacketShape(parity=65),
        PacketShape(turns=0), PacketShape(interleave=0), PacketShape(payload=9216, columns=64),
    ],
)  # fmt: skip
def test_a_shape_out_of_its_bounds_is_refused(shape: PacketShape) -> None:
    with pytest.raises(ValueError, match="got"):
        PacketShape.decode(shape.encode())


def test_shapes_of_networks() -> None:
    usual, jumbo = shape_for(1500, 28, parity=13, turns=2), shape_for(9000, 28, parity=13, turns=2)
    assert (usual.packet + 28 <= 1500, jumbo.packet + 28 <= 9000) == (True, True)
    assert PacketShape.decode(usual.encode()) == usual
    assert (usual.columns, jumbo.columns, slots_for(usual) > usual.interleave) == (44, 7, True)
    assert slots_for(usual) * usual.slot <= MEMORY
    with pytest.raises(ValueError, match="MTU"):
        shape_for(300, 28, parity=13, turns=1)
    with pytest.raises(ValueError, match="need more"):
        slots_for(PacketShape(9216, 44, 128, 13, 8, 2))


@given(st.binary(max_size=300))
def test_any_payload_is_a_hello_within_its_bounds_or_none(data: bytes) -> None:
    good = Hello(SMALL, 1, 10, 10, bytes(32), 10, 1).encode()
    for payload in (data, good + data, (good + data)[: SMALL.payload].ljust(SMALL.payload, b"\0")):
        try:
            hello = Hello.decode(payload)
        except ValueError:
            continue
        assert 0 < hello.index <= 64 << 20
        assert 0 < hello.signatures <= 4 << 20
        assert hello.shape.slot <= 64 << 20


# what a line does


def test_everything_arrives(goods: Goods, far: Far) -> None:
    far.take(packets(goods)).settle()
    assert (far.said, far.wrong(), far.assembly.missing()) == (["newest", "began", "complete"], [], {})
    assert far.receiver.counts.wrong == far.receiver.counts.foreign == 0
    assert far.lives == 1  # within a second


def test_without_parity_a_line_that_loses_nothing_is_enough(goods: Goods, tmp_path: Path) -> None:
    far = Far(goods, tmp_path / "in")
    far.take(packets(goods, replace(SMALL, parity=0, turns=1))).settle()
    far.close()
    assert (far.assembly.missing(), far.wrong()) == ({}, [])


def test_blocks_are_whole_without_their_last_rows(goods: Goods, far: Far) -> None:
    """One packet in a hundred is lost, and the first pass is enough."""
    chance = random.Random(7)
    first = [one for one in packets(goods) if not is_data(one) or (one[21] == 0 and chance.random() > 0.01)]
    far.take(first).settle()
    assert (far.assembly.missing(), far.wrong()) == ({}, [])


@settings(max_examples=cases(15, 500))
@given(st.integers(0, 1 << 32), st.sampled_from([0.0, 0.01, 0.03, 0.2, 0.6]))
def test_no_byte_is_wrong_whatever_a_line_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int, loss: float
) -> None:
    """Lost, twice, late, cut short, changed, of another session, of an old one: what is there is as it was sent."""
    chance, folder = random.Random(seed), tmp_path_factory.mktemp("line")
    goods, other = Goods(folder / "out", (40_000, 5_000)), Goods(folder / "other", (40_000, 5_000))
    far = Far(goods, folder / "in")
    came = list[bytes]()
    strange = packets(other, secret=b"another key") + packets(goods, started=1)
    for packet in packets(goods):
        if is_data(packet) and chance.random() < loss:
            continue
        came.append(packet)
        kind = chance.random()
        if kind < 0.02:
            came.append(packet)
        elif kind < 0.04:
            came.insert(chance.randrange(max(0, len(came) - 200), len(came)), came.pop())
        elif kind < 0.05:
            came.append(packet[: chance.randrange(len(packet))])
        elif kind < 0.06:
            at = chance.randrange(len(packet))
            came.append(packet[:at] + bytes([packet[at] ^ 1 << chance.randrange(8)]) + packet[at + 1 :])
        elif kind < 0.07:
            came.append(chance.choice(strange))
    far.take(came).settle()
    far.close()
    assert far.wrong() == []
    if loss <= 0.01:
        assert far.assembly.missing() == {}
    # What is said to be missing is exactly what is.
    assert far.said[-1] in ("complete", "incomplete")
    assert (far.said[-1] == "complete") == (far.assembly.missing() == {})


def test_a_hole_in_time_costs_each_block_little(goods: Goods, far: Far) -> None:
    """Four rows of parity and four blocks in turn: a hole of 16 rows is made good, wherever it is."""
    first = [one for one in packets(goods) if not is_data(one) or one[21] == 0]
    begin = next(at for at, one in enumerate(first) if is_data(one)) + 40
    hole = 12 * SMALL.columns
    far.take([*first[:begin], *first[begin + hole :]]).settle()
    assert (far.assembly.missing(), far.wrong()) == ({}, [])


def test_the_second_pass_completes_what_the_first_began(goods: Goods, far: Far) -> None:
    """A quarter of the packets of each pass is lost: what came of a block in the first one is used in the second."""
    chance = random.Random(3)
    came = [one for one in packets(goods) if not is_data(one) or chance.random() < 0.75]
    far.take([one for one in came if one[21] == 0]).settle()
    assert far.receiver.current is not None
    far.receiver.settle(far.receiver.current)
    far.settle()
    first = far.assembly.received
    assert first < sum(SIZES)
    assert far.wrong() == []
    far.take([one for one in came if one[21] == 1]).settle()
    assert (far.assembly.missing(), far.wrong()) == ({}, [])


def test_a_resend_brings_only_what_is_missing(goods: Goods, far: Far) -> None:
    lost = [one for one in packets(goods) if not is_data(one) or one[22:28] != bytes([0, 0, 0, 0, 0, 3])]
    far.take(lost).settle()
    missing = far.assembly.missing()
    assert list(missing) == [0]
    [(begin, end)] = missing[0]
    again = [one for one in goods.blocks(SMALL) if one.file == 0 and one.offset < end and begin < one.offset + one.size]
    assert len(again) == 1
    far.take(packets(goods, blocks=again, started=2000)).settle()
    assert (far.assembly.missing(), far.wrong(), far.said[-1]) == ({}, [], "complete")


def test_another_receiver_goes_on_with_what_is_there(goods: Goods, tmp_path: Path) -> None:
    """A receiver that is started again, and a sender that is: other sessions, the same delivery."""
    sent = packets(goods)
    one = Far(goods, tmp_path / "in")
    one.take(sent[: len(sent) // 4])
    one.settle()
    one.close()
    there = Far(goods, tmp_path / "in")
    there.take(packets(goods, started=3000)).settle()
    there.close()
    assert (there.assembly.missing(), there.wrong()) == ({}, [])


def test_a_receiver_that_starts_late_takes_the_second_pass(goods: Goods, far: Far) -> None:
    sent = packets(goods)
    far.take(sent[len(sent) // 3 :]).settle()
    assert (far.assembly.missing(), far.wrong()) == ({}, [])


# what others send


def test_a_session_of_another_key_gets_nothing(goods: Goods, far: Far) -> None:
    far.take(packets(goods, secret=b"a key of somebody else, as long as ours"))
    far.receiver.tick(0)
    far.settle()
    assert (far.admitted, far.receiver.current) == (0, None)
    assert far.said == ["sealed-otherwise"]


def test_what_nobody_signed_gets_no_memory(goods: Goods, tmp_path: Path) -> None:
    far = Far(goods, tmp_path / "in", trusted=False)
    far.take(packets(goods)).settle()
    far.close()
    assert (far.admitted, far.said.count("unknown-key")) == (0, 1)
    current = far.receiver.current
    assert current is not None
    assert (current.files, current.over) == (None, True)


def test_an_old_session_is_not_taken_again(goods: Goods, far: Far) -> None:
    old, new = packets(goods, started=1000), packets(goods, started=2000)
    far.take(new).take(old)
    far.receiver.tick(0)
    far.settle()
    assert far.receiver.counts.replayed > 0
    assert "session-old" in far.said
    assert far.receiver.current is not None
    assert far.receiver.current.hello.started == 2000


def test_a_newer_session_takes_over_at_once(goods: Goods, far: Far) -> None:
    """A sender that was killed and started again."""
    old, new = packets(goods, started=1000), packets(goods, started=2000)
    far.take(old[: len(old) // 4]).take(new).settle()
    assert (far.assembly.missing(), far.wrong()) == ({}, [])


def test_hellos_of_strangers_take_constant_memory_and_time(goods: Goods, tmp_path: Path) -> None:
    """Without a key anybody can say hello. One session at a time is begun, and its memory is bounded."""
    far = Far(goods, tmp_path / "in", secret=b"")
    huge = Hello(SMALL, 5, 4 << 20, 64 << 20, bytes(32), 1 << 60, 1 << 30).encode()
    room = memoryview(bytearray(SMALL.packet))
    for number in range(2000):
        room[32 : 32 + len(huge)] = huge
        PacketSeal(b"", number.to_bytes(16, "big")).seal(room, PacketPlace(PacketKind.HELLO, 0, 0, 0, 0, 0))
        far.receiver.take(room, len(room))
    current = far.receiver.current
    assert current is not None
    slots = len(current.head._free)
    assert slots * current.head.shape.slot < 64 << 20
    assert far.receiver.counts.foreign >= 2000 - 3 * STRANGERS
    far.close()


def test_a_hello_with_a_huge_index_is_refused(goods: Goods, far: Far) -> None:
    payload = Hello(SMALL, 5, 10, (64 << 20) + 1, bytes(32), 1, 1).encode()
    room = memoryview(bytearray(SMALL.packet))
    room[32 : 32 + len(payload)] = payload
    PacketSeal(SECRET, bytes(16)).seal(room, PacketPlace(PacketKind.HELLO, 0, 0, 0, 0, 0))
    far.receiver.take(room, len(room))
    far.settle()
    assert (far.receiver.current, far.said) == (None, ["diode-session"])


@given(st.binary(max_size=600))
def test_any_bytes_are_taken_for_nothing(data: bytes) -> None:
    """Short packets, wrong sizes, unknown kinds: nothing is begun, and nothing raises."""
    receiver = _alone()
    room = memoryview(bytearray(2048))
    for packet in (data, MAGIC + data, MAGIC + len(data).to_bytes(2, "big") + data, HEADER.pack(
        MAGIC, 600, bytes(16), 1, 0, 0, 0, 0, 0) + data):  # fmt: skip
        room[: len(packet)] = packet
        receiver.receiver.take(room, len(packet))
    assert receiver.receiver.current is None


_ALONE: list[Far] = []


def _alone() -> Far:
    if not _ALONE:
        import tempfile

        folder = Path(tempfile.mkdtemp())
        _ALONE.append(Far(Goods(folder / "out", (10, 10)), folder / "in"))
    return _ALONE[0]


# sockets


@pytest.mark.parametrize(("host", "plain"), [("127.0.0.1", False), ("127.0.0.1", True), ("::1", False)])
def test_sockets_with_and_without_what_the_kernel_offers(goods: Goods, far: Far, host: str, plain: bool) -> None:
    """Bursts in one call and packets in a call each, by IPv4 and IPv6.

    Twice and not too fast, because a busy machine loses packets.
    """
    try:
        receiver = UdpReceiver(cast(Inbox, far), far, SECRET, (host, 0), plain=plain)
    except InputError:
        pytest.skip("needs IPv6 on loopback")
    stop = threading.Event()
    thread = threading.Thread(target=receiver.run, args=(stop,))
    thread.start()
    port = int(receiver.where.rpartition(":")[2])
    sender = UdpSender(host, port, SECRET, lambda: datetime.now(UTC), UdpSettings(rate=10**8, passes=2, plain=plain))
    sender.send(goods.outgoing, lambda _size: None)
    sender.beat(Beat(datetime.now(UTC), 30))
    until = time.monotonic() + 10
    while not {"complete", "beat"} <= set(far.said) and time.monotonic() < until:
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert (far.assembly.missing(), far.wrong()) == ({}, [])
    assert "beat" in far.said
    assert (far.folder / HIDDEN / f"udp-session-{port}").read_bytes()
    with pytest.raises(InputError, match="IP address"):
        UdpSender("diode.example", 4000, SECRET, lambda: datetime.now(UTC))


def test_a_port_that_is_taken_is_said(far: Far) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="in use"):
            UdpReceiver(cast(Inbox, far), far, SECRET, other.getsockname())


# the disk


def test_a_full_disk_loses_a_block_and_not_the_rest(goods: Goods, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    write, full = far.assembly.write, [True]

    def failing(file: int, offset: int, data: memoryview) -> bool:
        if file == 0 and offset == 0 and full:
            full.pop()
            raise DiskFullError("disk-full", "no space left", "free space")
        return write(file, offset, data)

    monkeypatch.setattr(far.assembly, "write", failing)
    far.take(packets(goods)).settle()
    assert "disk-full" in far.said
    assert (far.assembly.missing(), far.wrong()) == ({}, [])  # the second pass brought it


def test_a_bug_ends_the_receiver(goods: Goods, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go on receiving what nobody keeps."""
    monkeypatch.setattr(far.assembly, "write", lambda *_arguments: 1 // 0)
    receiver = UdpReceiver(cast(Inbox, far), far, SECRET, ("127.0.0.1", 0))
    port = int(receiver.where.rpartition(":")[2])
    settings = UdpSettings(rate=10**9, passes=1)
    sender = UdpSender("127.0.0.1", port, SECRET, lambda: datetime.now(UTC), settings)
    thread = threading.Thread(target=sender.send, args=(goods.outgoing, lambda _size: None))
    thread.start()
    with pytest.raises(ZeroDivisionError):
        receiver.run(threading.Event())
    thread.join()


def test_a_file_that_changes_while_it_is_sent_ends_the_session(goods: Goods) -> None:
    path = goods.parts[0].path
    path.write_bytes(bytes(SIZES[0]))
    with pytest.raises(Exception, match="not those of AIRGAP"):
        packets(goods)
    path.write_bytes(b"short")
    with pytest.raises(Exception, match="shorter"):
        packets(goods)


def test_tags_are_at_the_end(goods: Goods) -> None:
    assert all(len(one) == SMALL.packet and len(one[-TAG:]) == TAG for one in packets(goods))
