"""Promoted locks: what passed, and the names of what did not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airgap.acceptance.promoted import check_promoted
from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.content.graph import OCI_MANIFEST, Descriptor
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import LockFinding
from airgap.content.promotion import difference, promote
from airgap.jobs.promote import _needing


def item(name: str, content: str = "") -> Item:
    """An image."""
    full = f"registry.example/{name}:1"
    root = Descriptor(OCI_MANIFEST, Digest.of((name + content).encode()), 7)
    return Item(full, "image", full, root, phase="registry")


NAMES = tuple(f"registry.example/{name}:1" for name in "abc")
GONE = LockFinding("registry.example/d:1", "not-found", "registry.example/d:1: 404")
FULL = Lock.of("platform-2026-11", map(item, "abc"), [GONE])
PROMOTED = promote(FULL, {NAMES[1]: "fail: CVE-2021-36159\nis critical"})


def test_promoted_lock_has_what_passed_and_names_the_rest() -> None:
    """It keeps the name, and comes back from its bytes."""
    assert [one.name for one in PROMOTED.items] == [NAMES[0], NAMES[2]]
    assert PROMOTED.name == FULL.name
    assert PROMOTED.findings[1] == GONE
    [left] = PROMOTED.quarantined
    assert left.detail == f"fail: CVE-2021-36159\\nis critical ({item('b').root.digest})"  # type: ignore[union-attr]
    assert Lock.decode(PROMOTED.encode(), "x") == PROMOTED
    assert PROMOTED.pulled_as == (PROMOTED.digest, FULL.digest)
    assert difference(PROMOTED, FULL) == ""
    assert promote(FULL, {}) == FULL


def test_promoted_twice_comes_from_the_same_full_lock() -> None:
    """Next week another item fails."""
    again = promote(PROMOTED, {NAMES[0]: "fail: x" * 1000})
    assert [one.name for one in again.items] == [NAMES[2]]
    assert {one.item for one in again.quarantined} == set(NAMES[:2])
    assert difference(again, FULL) == ""
    assert again.quarantined[0].detail.endswith(f"({item('a').root.digest})")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changed",
    [
        replace(PROMOTED, items=(item("a"), item("c", "other"))),
        replace(PROMOTED, items=(item("a"), item("c"), item("e"))),
        replace(PROMOTED, items=(item("a"),)),  # c is dropped in silence
        replace(PROMOTED, items=FULL.items),
        replace(PROMOTED, findings=PROMOTED.quarantined),  # the finding about d is dropped
        replace(PROMOTED, findings=(*PROMOTED.findings, LockFinding("z", "quarantined", "never asked for"))),
        replace(PROMOTED, name="other"),
        replace(PROMOTED, promoted_from=Digest.of(b"other")),
    ],
)
def test_lock_that_is_no_part_of_its_full_lock_is_refused(changed: Lock) -> None:
    """Pull statements speak of the full lock: what is not in it was not pulled."""
    assert difference(changed, FULL)
    if changed.promoted_from == FULL.digest:
        with pytest.raises(TrustError) as caught:
            check_promoted([changed], [FULL.encode()])
        assert caught.value.code == "promotion-mismatch"


def test_full_lock_travels_with_the_promoted_one() -> None:
    """Without it nobody can compare; one of which nothing was promoted has no business there."""
    check_promoted([PROMOTED, FULL], [FULL.encode()])
    for locks, full, code in (([PROMOTED], [], "full-lock-missing"), ([FULL], [FULL.encode()], "locks-mismatch")):
        with pytest.raises(TrustError) as caught:
            check_promoted(locks, full)
        assert caught.value.code == code


def test_finding_quarantined_and_the_full_lock_belong_together() -> None:
    """One without the other is no lock of airgap."""
    for wrong in (replace(PROMOTED, promoted_from=None), replace(FULL, promoted_from=FULL.digest)):
        with pytest.raises(InputError, match="promotedFrom"):
            Lock.decode(wrong.encode(), "x")


def test_what_belongs_with_something_in_quarantine_is_left_out_too() -> None:
    """A chart needs its image, its repository needs the chart; another image needs nothing."""
    found = _needing({"image"}, {"chart": frozenset({"image", "git"}), "git": frozenset({"chart"}), "x": frozenset()})
    assert found.keys() == {"chart", "git"}
    assert found["git"] == "it belongs with 'chart', which did not pass"


def test_a_promoted_lock_of_the_first_version_stays_readable() -> None:
    """Its bytes are what stations sign for."""
    data = (Path(__file__).parents[1] / "golden/promoted/lock.json").read_bytes()
    assert Lock.decode(data, "golden") == PROMOTED
    assert PROMOTED.encode() == data
