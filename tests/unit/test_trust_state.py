"""The accepted list: durable, judged under its lock, never reset in silence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import StoreError, TrustError
from airgap.statements.accepted_state import Accepted, AcceptedState, Standing, StateFile
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, accepted

FIVE, SIX = accepted(5), accepted(6)
STATE = AcceptedState(SOVEREIGN, (FIVE, accepted(9, "other"), SIX))


def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "lib"
    assert StateFile(folder, SOVEREIGN).load() == AcceptedState(SOVEREIGN)
    assert not folder.exists()
    for one in STATE.deliveries:
        StateFile(folder, SOVEREIGN).record(one)
    assert StateFile(folder, SOVEREIGN).load() == STATE
    path = folder / "accepted.json"
    assert path.stat().st_mode & 0o777 == 0o600
    document = json.loads(path.read_bytes())
    assert document["deliveries"][0] == {
        "stream": "main",
        "sequence": 5,
        "id": "main-5",
        "digest": str(FIVE.digest),
        "signedAt": "2026-10-09T12:00:00Z",
        "acceptedAt": "2026-10-09T13:00:00Z",
    }


def test_what_it_knows() -> None:
    assert STATE.last("main") == SIX
    assert STATE.last("none") is None
    assert STATE.find(FIVE.digest) == FIVE
    assert STATE.find(Digest.of(b"")) is None
    assert STATE.before("main", 6) == FIVE
    assert STATE.before("main", 5) is None
    assert STATE.latest_time() == NOW - 41 * DAY + HOUR
    assert AcceptedState(SOVEREIGN).latest_time() is None


STANDINGS: list[tuple[Accepted, bool, str]] = [
    (accepted(7), False, "new"),
    (accepted(70), False, "new"),
    (accepted(7), True, "new"),
    (accepted(1, "third"), True, "new"),
    (accepted(1, "third"), False, "new"),
    (SIX, False, "resume"),
    (SIX, True, "resume"),
    (FIVE, True, "restore"),
    (FIVE, False, "delivery-replayed"),
    (accepted(6, digest=Digest.of(b"x"), id="x"), False, "sequence-taken"),
    (accepted(4), False, "older-sequence"),
    (accepted(4), True, "new"),
    (accepted(5, digest=Digest.of(b"x"), id="x"), True, "sequence-taken"),
    (accepted(5, digest=Digest.of(b"x"), id="x"), False, "older-sequence"),
    (accepted(7, id="main-5"), False, "delivery-id-taken"),
    (accepted(7, "third", id="main-5"), False, "delivery-id-taken"),
]


@pytest.mark.parametrize(("one", "restore", "expected"), STANDINGS)
def test_how_a_delivery_stands(tmp_path: Path, one: Accepted, restore: bool, expected: str) -> None:
    file = StateFile(tmp_path, SOVEREIGN)
    for earlier in STATE.deliveries:
        file.record(earlier)
    before = file.path.read_bytes()
    if expected in set(Standing):
        assert STATE.standing(one, one.digest, restore=restore) == expected
        after = file.record(one, restore=restore)
        assert after == (STATE.adding(one, restore=restore) if expected == "new" else STATE)
        assert file.load() == after
        return
    for ask in (
        lambda: STATE.standing(one, one.digest, restore=restore),
        lambda: file.record(one, restore=restore),
    ):
        with pytest.raises(TrustError) as caught:
            ask()
        assert caught.value.code == expected
        assert caught.value.hint
    assert file.path.read_bytes() == before


def test_another_import_may_have_been_faster(tmp_path: Path) -> None:
    one, other = StateFile(tmp_path, SOVEREIGN), StateFile(tmp_path, SOVEREIGN)
    assert one.load().standing(SIX, SIX.digest) == Standing.NEW
    other.record(accepted(7))
    with pytest.raises(TrustError) as caught:
        one.record(SIX)
    assert caught.value.code == "older-sequence"
    assert [entry.sequence for entry in one.load().deliveries] == [7]


def test_a_state_that_cannot_be_read_stops_everything_and_stays_as_it_is(tmp_path: Path) -> None:
    file = StateFile(tmp_path, SOVEREIGN)
    good = STATE.encode()
    for data in [
        b"",
        b"{}",
        good[:-20],
        good + b"\n",
        good.replace(b'"sequence":6', b'"sequence":1'),
        good.replace(b'"kind":"Accepted"', b'"kind":"Other"'),
        json.dumps(json.loads(good)).encode(),
        AcceptedState(SOVEREIGN).encode().replace(b'"deliveries":[]', b'"deliveries":[{}]'),
    ]:
        assert data != good
        file.path.write_bytes(data)
        for ask in (file.load, lambda: file.record(accepted(7))):
            with pytest.raises(StoreError) as caught:
                ask()
            assert caught.value.code == "state-damaged"
            assert "backup" in caught.value.hint
        assert file.path.read_bytes() == data


def test_the_state_of_another_sovereign_is_refused(tmp_path: Path) -> None:
    StateFile(tmp_path, "another").record(FIVE)
    with pytest.raises(StoreError) as caught:
        StateFile(tmp_path, SOVEREIGN).load()
    assert caught.value.code == "state-of-another"


def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    makers: list[Callable[[], object]] = [
        lambda: path.symlink_to("nowhere"),
        lambda: os.mkfifo(path),
        path.mkdir,
    ]
    for make in makers:
        make()
        with pytest.raises(StoreError):
            StateFile(tmp_path, SOVEREIGN).load()
        path.rmdir() if path.is_dir() else path.unlink()
