"""Streams of frames: cut anywhere, damaged, mixed with noise, begun in the middle, sent by a link that breaks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.base.errors import ExpiredError, IntegrityError
from airgap.diode.frames import MAX_PAYLOAD, SESSION, FrameKind, FrameReader, FrameWriter
from airgap.diode.outgoing import open_outgoing
from airgap.diode.stream.receiver import StreamReceiver
from airgap.diode.stream.sender import LinkLostError, StreamSender
from tests.worlds.diode import DELIVERY, Heard, inbox_in

KEY = b"k" * 32


class Link:
    """A carrier that keeps what was put; it breaks, and is there again, at some frames."""

    piece = 4096

    def __init__(self, *breaks: int) -> None:
        self.streams: list[bytes] = [b""]
        self._breaks, self._count = breaks, 0

    def put(self, data: bytes) -> None:
        self._count += 1
        if self._count in self._breaks:
            self.streams[-1] += data[: len(data) // 2]
            self.streams.append(b"")
            raise LinkLostError
        self.streams[-1] += data

    def close(self) -> None:
        """Nothing is open."""


def stream(passes: int = 1, *breaks: int) -> list[bytes]:
    link = Link(*breaks)
    sender = StreamSender(link, KEY)
    done: list[int] = []
    sender.send(open_outgoing([DELIVERY]), passes, done.append)
    assert sum(done) == passes * sum(file.size for file in open_outgoing([DELIVERY]).files)
    return link.streams


@given(st.data())
@settings(max_examples=30)
def test_frames_are_found_whatever_is_between_them(data: st.DataObject) -> None:
    writer = FrameWriter(KEY, bytes(SESSION))
    payloads = data.draw(st.lists(st.binary(max_size=60), min_size=1, max_size=8))
    noise = data.draw(st.lists(st.binary(max_size=40) | st.just(b"AGS1") | st.just(b"AGS1" + bytes(52)), min_size=9))
    whole = b""
    for payload, between in zip(payloads, noise, strict=False):
        whole += between + writer.frame(FrameKind.DATA, payload)
    reader, found, at = FrameReader(KEY), [], 0
    while at < len(whole):
        step = data.draw(st.integers(1, 200))
        found += [frame.payload for frame in reader.feed(whole[at : at + step])]
        at += step
    assert found == payloads


def test_a_frame_that_claims_too_much_keeps_nothing() -> None:
    reader = FrameReader(KEY)
    header = FrameWriter(b"other", bytes(SESSION)).frame(FrameKind.DATA, bytes(MAX_PAYLOAD))
    for _ in range(40):
        assert not list(reader.feed(header[:60]))
    assert len(reader._buffer) < 3 * MAX_PAYLOAD
    good = FrameWriter(KEY, bytes(SESSION)).frame(FrameKind.DATA, b"good")
    assert [frame.payload for piece in (good, bytes(MAX_PAYLOAD)) for frame in reader.feed(piece)] == [b"good"]


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_with_damage_loses_what_was_hit_and_nothing_is_wrong(tmp_path: Path, seed: int) -> None:
    chance, heard = random.Random(seed), Heard()
    inbox = inbox_in(tmp_path, heard)
    for _ in range(50):
        (whole,) = stream()
        damaged = bytearray(whole)
        for _ in range(chance.randrange(6)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        receiver = StreamReceiver(inbox, heard, KEY)
        receiver.feed(bytes(damaged))
        inbox.settle()
        if heard.arrived:
            break
    assert not heard.refusals
    for path in DELIVERY.glob("*.tar"):
        assert (inbox.folder / heard.arrived[0].folder / path.name).read_bytes() == path.read_bytes()


def test_a_link_that_breaks_goes_on_with_the_head(tmp_path: Path) -> None:
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    streams = stream(1, 3, 12, 30)
    assert len(streams) == 4
    for one in streams:
        StreamReceiver(inbox, heard, KEY).feed(one)
    inbox.settle()
    assert len(heard.arrived) == 1


def test_a_delivery_that_was_set_aside_comes_in_by_the_same_stream_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    receiver = StreamReceiver(inbox, heard, KEY)

    def refuse(_folder: Path) -> None:
        raise ExpiredError("delivery-expired", "the clock is wrong")

    link = Link()
    sender = StreamSender(link, KEY)
    outgoing = open_outgoing([DELIVERY])
    with monkeypatch.context() as patched:
        patched.setattr(inbox._gate, "judge", refuse)
        sender.send(outgoing, 1, lambda _count: None)
        receiver.feed(link.streams[0][:30000])
        inbox.settle()
        receiver.feed(link.streams[0][30000:])
    assert [error.code for error in heard.refusals] == ["delivery-expired"]
    monkeypatch.setattr("airgap.diode.inbox.REFUSED_FOR", 0.0)
    inbox._refused.clear()
    link.streams = [b""]
    sender.send(outgoing, 1, lambda _count: None)
    receiver.feed(link.streams[0])
    inbox.settle()
    assert len(heard.arrived) == 1
    sender.send(outgoing, 1, lambda _count: None)
    receiver.feed(link.streams[0])
    assert len(heard.arrived) == 1


def test_what_is_damaged_at_the_sender_is_said(tmp_path: Path) -> None:
    for path in DELIVERY.rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(DELIVERY)).parent.mkdir(exist_ok=True)
            (tmp_path / path.relative_to(DELIVERY)).write_bytes(path.read_bytes())
    volume = tmp_path / "vol-0002-of-0002.tar"
    volume.write_bytes(volume.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError) as error:
        StreamSender(Link(), KEY).send(open_outgoing([tmp_path]), 1, lambda _count: None)
    assert error.value.code == "damaged-file"
