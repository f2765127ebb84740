"""What a station keeps beside its store: its own statements, those that came in, locks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import StoreError
from airgap.content.lock import Lock
from airgap.station.files import Records
from tests.worlds.trust import image

SUBJECT = Digest.of(b"a lock")


def test_a_station_goes_by_its_own_statement_and_else_by_the_newest_that_came_in(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.statement("pull", SUBJECT) is None
    records.receive("pull", SUBJECT, [b"first"], replace=True)
    records.receive("pull", SUBJECT, [b"third", b"second"], replace=True)
    assert records.received("pull", SUBJECT) == [b"third", b"second", b"first"]
    assert records.statement("pull", SUBJECT) == b"third"
    records.save_statement("pull", SUBJECT, b"own")
    assert records.statement("pull", SUBJECT) == b"own"
    assert records.received("pull", SUBJECT)[0] == b"third"


def test_an_earlier_delivery_does_not_take_the_place_of_what_came_later(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.receive("pull", SUBJECT, [b"old"], replace=False)
    assert records.statement("pull", SUBJECT) == b"old"
    records.receive("pull", SUBJECT, [b"new"], replace=True)
    records.receive("pull", SUBJECT, [b"old"], replace=False)
    assert records.received("pull", SUBJECT) == [b"new", b"old"]


def test_what_comes_in_twice_is_kept_once(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for _ in range(3):
        records.receive("approval", SUBJECT, [b"b", b"a"], replace=True)
    assert records.received("approval", SUBJECT) == [b"b", b"a"]


def test_a_lock_is_kept_under_a_plain_name(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for name in ("platform-2026", "../../etc/passwd", "...", "x" * 300, "ä b"):
        lock = Lock.of(name, [image("alpine:3.20")])
        path = records.save_lock(lock)
        assert path.parent == tmp_path / "locks"
        assert path.read_bytes() == lock.encode()
        assert path.name.endswith(f"-{lock.digest.hex[:12]}.json")
    assert len(list((tmp_path / "locks").iterdir())) == 5


@pytest.mark.parametrize("number", [-1, 2**53 - 1, 1.5, "7", True, float("inf")])
def test_a_number_that_cannot_be_followed_is_said(tmp_path: Path, number: object) -> None:
    records = Records(tmp_path)
    assert [records.next_sequence("bank", "main") for _ in range(2)] == [1, 2]
    [path] = (tmp_path / "streams").glob("*.json")
    path.write_text(json.dumps({"sovereign": "bank", "stream": "main", "sequence": number}))
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        records.next_sequence("bank", "main")
    assert (caught.value.code, path.read_bytes()) == ("bad-counter", before)


def test_every_statement_is_kept_and_their_names_sort_by_age(tmp_path: Path) -> None:
    records = Records(tmp_path)
    said = [b"one", b"two", b"two", b"three", b"one"]
    for bundle in said:
        records.save_statement("audit", SUBJECT, bundle)
        assert records.statement("audit", SUBJECT) == bundle
    kept = sorted((tmp_path / "statements").iterdir())
    assert [path.read_bytes() for path in kept] == [b"one", b"two", b"three", b"one"]
    # The machine stopped after the newest got its number, and before its successor was there.
    kept[-1].with_name(kept[-1].name.replace(".sig", ".0004.sig")).write_bytes(b"one")
    records.save_statement("audit", SUBJECT, b"four")
    names = [path.name.removeprefix(f"audit-{SUBJECT.hex}.") for path in sorted((tmp_path / "statements").iterdir())]
    assert names == [*(f"000{number}.sigstore.json" for number in (1, 2, 3, 4)), "sigstore.json"]
