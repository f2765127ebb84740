"""The receiving end of one-way roads: pieces in any order become a delivery, or nothing."""

from __future__ import annotations

import filecmp
import json
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import DiskFullError, ExpiredError, StoreError, TrustError
from airgap.diode import assembly as assembly_module
from airgap.diode import inbox as inbox_module
from airgap.diode.assembly import Assembly, journal_path
from airgap.diode.inbox import HIDDEN
from airgap.diode.journal import Journal
from airgap.diode.ranges import Ranges
from airgap.diode.received import Arrived
from tests.worlds.diode import DELIVERY, GOLDEN, INDEX, SIGNATURES, Heard, admitted, inbox_in

PIECE = 4096


def pieces(assembly: Assembly, seed: int = 0) -> list[tuple[int, int, bytes]]:
    """All bytes of the delivery in pieces, shuffled, every fifth one twice."""
    found = []
    for number, file in enumerate(assembly.files):
        data = (DELIVERY / file.name).read_bytes()
        found += [(number, at, data[at : at + PIECE]) for at in range(0, len(data), PIECE)]
    found += found[::5]
    random.Random(seed).shuffle(found)
    return found


def is_the_delivery(folder: Path) -> bool:
    names = [path.name for path in DELIVERY.iterdir() if path.is_file()]
    return not any(filecmp.cmpfiles(DELIVERY, folder, names, shallow=False)[1:])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=30))
def test_ranges_are_a_set_of_numbers(steps: list[tuple[bool, int, int]]) -> None:
    ranges, numbers = Ranges(), set[int]()
    for adds, begin, end in steps:
        (ranges.add if adds else ranges.remove)(begin, end)
        numbers = numbers | set(range(begin, end)) if adds else numbers - set(range(begin, end))
        flat = [n for one, other in ranges for n in range(one, other)]
        assert flat == sorted(numbers)
        assert ranges.count == len(numbers)
        assert [n for one, other in ranges.lacking(40) for n in range(one, other)] == sorted(set(range(40)) - numbers)
        assert ranges.covers(begin, end) == (set(range(begin, end)) <= numbers)
        holes = [n for one, other in ranges.holes(begin, end) for n in range(one, other)]
        assert holes == sorted(set(range(begin, end)) - numbers)
        assert all(before < after for (_, before), (after, _) in zip(ranges, list(ranges)[1:], strict=False))


def test_a_delivery_arrives_in_any_order_and_across_kills(tmp_path: Path) -> None:
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    assembly = admitted(inbox)
    todo = pieces(assembly)
    for number, at, data in todo[: len(todo) // 2]:
        assert assembly.write(number, at, data)
    assembly.sync()
    half = assembly.received
    assembly.write(*todo[-1])  # not durable: a kill loses it
    assembly.close()  # as a kill does: only the lock is gone
    assert not [path for path in inbox.folder.iterdir() if path.name != HIDDEN]

    inbox = inbox_in(tmp_path, heard)
    (assembly,) = inbox.on_the_way()
    assert assembly.received == half
    assert admitted(inbox) is assembly
    for number, at, data in todo:
        if not assembly.has(number, at, at + len(data)):
            assembly.write(number, at, data)
    assert not assembly.missing()
    inbox.work()
    (arrived,) = heard.arrived
    assert arrived.folder == f"main-0001-{Digest.of(INDEX).hex[:12]}"
    assert is_the_delivery(inbox.folder / arrived.folder)
    assert not heard.refusals
    assert sorted(os.listdir(inbox.folder / HIDDEN)) == ["received.jsonl"]
    assert inbox.admit(INDEX, SIGNATURES) == arrived
    shutil.rmtree(inbox.folder / arrived.folder)  # it was imported
    assert inbox_in(tmp_path, heard).admit(INDEX, SIGNATURES) == arrived


def test_nothing_is_kept_of_what_is_forged_or_foreign(tmp_path: Path) -> None:
    inbox = inbox_in(tmp_path, Heard())
    stranger = [(GOLDEN / "receipt.json").read_bytes()]
    assert inbox.claimed(SIGNATURES) == Digest.of(INDEX)
    for signatures in ([], stranger, [SIGNATURES[0][:-2]], SIGNATURES * 20):
        with pytest.raises(TrustError):
            inbox.claimed(signatures)
    for index, signatures in ((INDEX + b" ", SIGNATURES), (INDEX, []), (INDEX, stranger)):
        with pytest.raises(TrustError):
            inbox.admit(index, signatures)
    other = tmp_path / "trust.yaml"
    shutil.copytree(GOLDEN.parent / "keys", tmp_path / "keys")
    text = (GOLDEN / "trust.yaml").read_text().replace("sovereign: golden", "sovereign: other")
    other.write_text(text.replace("../keys", "keys"))
    with pytest.raises(TrustError) as refusal:
        inbox_in(tmp_path, Heard(), other).admit(INDEX, SIGNATURES)
    assert refusal.value.code == "wrong-sovereign"
    assert os.listdir(inbox.folder / HIDDEN) == []


def test_bytes_out_of_bounds_and_too_many_ranges_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assembly = admitted(inbox_in(tmp_path, Heard()))
    size = assembly.files[0].size
    for number, at, data in ((0, size, b"x"), (0, -1, b"x"), (3, 0, b"x"), (-1, 0, b"x"), (0, size - 1, b"xx")):
        assert not assembly.write(number, at, data)
    monkeypatch.setattr(assembly_module, "MAX_RANGES", 2)
    assert assembly.write(0, 0, b"x")
    assert assembly.write(0, 10, b"x")
    assert not assembly.write(1, 20, b"x")
    assert assembly.write(0, 1, b"x")
    assert assembly.missing()[0] == [(2, 10), (11, size)]


def test_damage_costs_the_blobs_that_it_hits(tmp_path: Path) -> None:
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    assembly = admitted(inbox)
    for number, file in enumerate(assembly.files):
        data = bytearray((DELIVERY / file.name).read_bytes())
        if number == 0:
            data[1536] ^= 1
        assembly.write(number, 0, data)
    inbox.work()
    assert heard.lost == [("vol-0001-of-0002.tar", heard.lost[0][1])]
    assert not heard.arrived
    lost = assembly.missing()
    assert list(lost) == [0]
    assert lost[0][0][0] <= 1536 < lost[0][0][1]
    right = (DELIVERY / "vol-0001-of-0002.tar").read_bytes()
    for begin, end in lost[0]:
        assembly.write(0, begin, right[begin:end])
    inbox.work()
    assert len(heard.arrived) == 1
    assert is_the_delivery(inbox.folder / heard.arrived[0].folder)


def test_a_kill_between_the_rename_and_the_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = inbox_in(tmp_path, Heard())
    assembly = admitted(inbox)
    for piece in pieces(assembly):
        assembly.write(*piece)

    def killed(_self: object, _arrived: Arrived) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("airgap.diode.received.Received.add", killed)
        with pytest.raises(KeyboardInterrupt):
            inbox.work()
    assembly.close()
    again = inbox_in(tmp_path, Heard())
    assert not again.on_the_way()
    assert isinstance(again.admit(INDEX, SIGNATURES), Arrived)
    assert sorted(os.listdir(inbox.folder / HIDDEN)) == ["received.jsonl"]


def test_a_delivery_is_received_by_one_process(tmp_path: Path) -> None:
    admitted(inbox_in(tmp_path, Heard()))
    second = inbox_in(tmp_path, Heard())
    assert not second.on_the_way()
    with pytest.raises(StoreError) as error:
        second.admit(INDEX, SIGNATURES)
    assert error.value.code == "locked"


def test_a_delivery_without_room_is_refused_before_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = inbox_in(tmp_path, Heard())
    monkeypatch.setattr(inbox_module, "SLACK", 1 << 60)
    with pytest.raises(DiskFullError):
        inbox.admit(INDEX, SIGNATURES)
    assert os.listdir(inbox.folder / HIDDEN) == []


def test_what_is_refused_is_kept_and_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    assembly = admitted(inbox)

    def refuse(_folder: Path) -> None:
        raise ExpiredError("delivery-expired", "the clock is wrong")

    with monkeypatch.context() as patched:
        patched.setattr(inbox._gate, "verify", refuse)
        for piece in pieces(assembly):
            assembly.write(*piece)
        inbox.work()
        assert [error.code for error in heard.refusals] == ["delivery-expired"]
        assert not inbox.on_the_way()
        with pytest.raises(ExpiredError):
            inbox.admit(INDEX, SIGNATURES)
        inbox.work()  # not yet
    later = time.monotonic() + 61
    monkeypatch.setattr("airgap.diode.inbox.time.monotonic", lambda: later)
    inbox.work()
    inbox.work()
    assert len(heard.arrived) == 1
    assert is_the_delivery(inbox.folder / heard.arrived[0].folder)


def test_after_a_start_with_a_wrong_trust_resource_nothing_is_lost(tmp_path: Path) -> None:
    inbox = inbox_in(tmp_path, Heard())
    assembly = admitted(inbox)
    assembly.write(2, 0, (DELIVERY / "evidence.tar").read_bytes())
    inbox.stop()
    text = (GOLDEN / "trust.yaml").read_text().replace("sovereign: golden", "sovereign: other")
    (tmp_path / "trust.yaml").write_text(text.replace("../keys", str(GOLDEN.parent / "keys")))
    heard = Heard()
    inbox_in(tmp_path, heard, tmp_path / "trust.yaml").stop()
    assert [error.code for error in heard.refusals] == ["wrong-sovereign"]
    (assembly,) = inbox_in(tmp_path, Heard()).on_the_way()
    assert list(assembly.missing()) == [0, 1]


def test_bytes_that_are_there_are_never_written_again(tmp_path: Path) -> None:
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    assembly = admitted(inbox)
    right = (DELIVERY / "vol-0001-of-0002.tar").read_bytes()
    assembly.write(0, 1000, right[1000:50000])
    assembly.write(0, 0, right[:1000] + b"wrong" * 5000)  # damaged, and reaches into what is there
    assembly.write(0, 40000, b"x" * 10000 + right[50000:])
    assembly.write(0, 0, b"x" * len(right))
    for number in (1, 2):
        assembly.write(number, 0, (DELIVERY / assembly.files[number].name).read_bytes())
    inbox.work()
    assert not heard.lost
    assert is_the_delivery(inbox.folder / heard.arrived[0].folder)


def test_two_roads_of_which_one_damages(tmp_path: Path) -> None:
    """Both bring everything at the same time: what the damaged one wrote first is found, and brought again."""
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    assembly = admitted(inbox)

    def bring(seed: int, spoil: int) -> None:
        for number, at, data in pieces(assembly, seed):
            assembly.write(number, at, bytes([data[0] ^ spoil]) + data[1:])

    threads = [threading.Thread(target=bring, args=(seed, seed % 2)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inbox.work()
    while assembly.missing():
        bring(0, 0)
        inbox.work()
    assert is_the_delivery(inbox.folder / heard.arrived[0].folder)


def test_a_full_disk_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    inbox = inbox_in(tmp_path, heard)
    assembly = admitted(inbox)
    for piece in pieces(assembly):
        assembly.write(*piece)

    def full(_path: Path, _data: bytes, _mode: int) -> None:
        raise DiskFullError("disk-full", "no space")

    with monkeypatch.context() as patched:
        patched.setattr("airgap.diode.received.write_durably", full)
        inbox.work()
    assert [error.code for error in heard.troubles] == ["disk-full"]
    assert len(heard.arrived) == 1
    assert isinstance(inbox.admit(INDEX, SIGNATURES), Arrived)
    assert isinstance(inbox_in(tmp_path, Heard()).admit(INDEX, SIGNATURES), Arrived)


def test_a_bug_ends_the_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = inbox_in(tmp_path, Heard())
    monkeypatch.setattr(inbox, "work", lambda: 1 / 0)
    inbox.start()
    assert inbox._thread is not None
    inbox._thread.join()
    with pytest.raises(ZeroDivisionError):
        inbox.check()
    inbox.stop()


@given(st.integers(0, 200), st.binary(max_size=9))
def test_a_torn_journal_ends_before_the_tear(cut: int, garbage: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.journal"
        journal = Journal(path)
        lines = [(n % 2, n * 10, n * 10 + 5) for n in range(8)]
        journal.add(lines)
        journal.close()
        data = path.read_bytes()
        path.write_bytes(data[:cut] + garbage)
        again = Journal(path)
        found = again.read([100, 100])
        kept = data[:cut].count(b"\n")
        expected = [[(b, e) for n, b, e in lines[:kept] if n == one] for one in (0, 1)]
        assert [list(ranges) for ranges in found] == expected or data[:cut] + garbage == data[: cut + len(garbage)]
        again.add([(0, 90, 95)])
        again.close()
        assert Journal(path).read([100, 100])[0].covers(90, 95)


def test_a_long_journal_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.diode.journal.MAX_LINES", 3)
    journal, ranges = Journal(journal_path(tmp_path / "x")), [Ranges()]
    for at in range(0, 50, 10):
        journal.add([(0, at, at + 10)])
        ranges[0].add(at, at + 10)
        journal.shorten(ranges)
    journal.add([(0, 60, 70)])
    journal.close()
    assert journal.path.read_bytes().count(b"\n") <= 4
    assert list(Journal(journal.path).read([100])[0]) == [(0, 50), (60, 70)]


def test_a_list_of_what_was_received_that_is_damaged(tmp_path: Path) -> None:
    inbox = inbox_in(tmp_path, Heard())
    good = {"digest": str(Digest.of(INDEX)), "folder": "x", "stream": "main", "sequence": 1, "bytes": 2, "at": "now"}
    lines = [json.dumps(good), "{", json.dumps({**good, "folder": "../x", "digest": "sha256:" + "0" * 64}), "[]", "7"]
    (inbox.folder / HIDDEN / "received.jsonl").write_text("\n".join(lines))
    assert [one.folder for one in inbox_in(tmp_path, Heard()).received.all()] == ["x"]
