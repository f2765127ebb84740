"""The gate before a delivery: verdicts in a store's records, and what they say of the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, PolicyError, StoreError
from airgap.bundling.evidence import make_evidence
from airgap.bundling.gate import check_scanned
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.statements.verdict import CheckResult, JudgedItem, Named, UsedWaiver, Verdict
from airgap.station.files import Records
from tests.worlds.trust import HOUR, NOW, image, pull_of, signed, signer

KEY = signer()
IMAGE = image("alpine:3.20")
GIT = Item(name="openova", kind="git", source="https://git.example.org/openova")
LOCK = Lock.of("platform", [IMAGE, GIT])
ROOTS = {IMAGE.name: Digest.of(b"alpine:3.20"), GIT.name: Digest.of(b"packed")}
WAIVER = b"kind: Waiver\n"


def verdict(*, waiver: Digest | None = None, outcome: str = "pass") -> Verdict:
    """A verdict about what is in the store."""
    check = CheckResult("signature", "waived" if waiver else "pass", None, "rule 1", waiver=waiver)
    items = {name: JudgedItem(root, outcome, None, (check,)) for name, root in ROOTS.items()}
    used = (UsedWaiver(waiver, NOW + HOUR),) if waiver else ()
    return Verdict(Named("bank", Digest.of(b"policy")), (), used, items)


def keep(records: Records, body: Verdict, lock: Lock = LOCK) -> None:
    """Writes it down as the newest verdict."""
    records.save_statement("verdict", LOCK.digest, signed(KEY, lock.digest, body, "station"))


def refused(records: Records, roots: dict[str, Digest] | None = None, *, demanded: bool = False) -> AirgapError:
    """Why nothing is cut."""
    with pytest.raises((PolicyError, StoreError)) as caught:
        check_scanned([LOCK], roots or ROOTS, records, NOW, demanded=demanded)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


def test_a_verdict_is_demanded_once_there_is_a_policy(records: Records) -> None:
    assert not records.has("verdict")
    check_scanned([LOCK], ROOTS, records, NOW, demanded=False)
    assert refused(records, demanded=True).code == "not-scanned"
    keep(records, verdict())
    assert records.has("verdict")
    check_scanned([LOCK], ROOTS, records, NOW, demanded=True)


def test_what_was_judged_must_be_what_is_in_the_store(records: Records) -> None:
    """A Git repository that was packed again since has other bytes under the same lock."""
    keep(records, verdict())
    moved = ROOTS | {GIT.name: Digest.of(b"packed again")}
    assert refused(records, moved).code == "verdict-mismatch"
    keep(records, replace(verdict(), items={IMAGE.name: verdict().items[IMAGE.name]}))
    assert refused(records).code == "verdict-mismatch"


@pytest.mark.parametrize("outcome", ["fail", "not-run"])
def test_a_verdict_that_is_no_yes_stops_what_nobody_demanded_to_be_judged(records: Records, outcome: str) -> None:
    keep(records, verdict(outcome=outcome))
    assert refused(records).code == "verdict-failed"


def test_a_record_of_another_lock_or_kind_is_none(records: Records) -> None:
    keep(records, verdict(), Lock.of("other", [IMAGE]))
    assert refused(records).code == "bad-statement"
    records.save_statement("verdict", LOCK.digest, b"{}")
    assert refused(records).code == "bad-statement"


def test_the_waivers_of_a_verdict_are_there_and_go_along(records: Records) -> None:
    digest = Digest.of(WAIVER)
    keep(records, verdict(waiver=digest))
    assert refused(records).code == "waiver-missing"
    records.save_waiver(WAIVER)
    assert refused(records).code == "waiver-missing"
    records.save_statement("approval", digest, b"approval")
    check_scanned([LOCK], ROOTS, records, NOW, demanded=True)
    evidence, listed = make_evidence([LOCK, LOCK], records)
    assert f"waivers/{digest.hex}.yaml".encode() in evidence
    assert [kind.split("/")[-2] for kind, _ in listed] == ["verdict", "approval"]
    with pytest.raises(PolicyError, match="waiver-expired"):
        check_scanned([LOCK], ROOTS, records, NOW + HOUR, demanded=True)
    (records.folder / "waivers" / f"{digest.hex}.yaml").write_bytes(WAIVER + b"# edited\n")
    assert refused(records).code == "waiver-missing"


def test_a_verdict_that_is_older_than_the_pull_counts_as_none(records: Records) -> None:
    """A reader refuses it; clocks may differ by an hour."""
    keep(records, verdict())
    for later, code in ((HOUR, ""), (2 * HOUR, "not-scanned")):
        pulled = signed(signer(), LOCK.digest, pull_of(LOCK), "exporter", at=NOW - HOUR + later)
        records.save_statement("pull", LOCK.digest, pulled)
        if code:
            assert refused(records).code == code
        else:
            check_scanned([LOCK], ROOTS, records, NOW, demanded=True)
