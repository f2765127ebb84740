"""Acceptance of verdicts and of the waivers that they name: the good way in, and each refusal by its code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airgap.base.digest import Digest
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.verdict import Verdict
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, World, image, signed, signer
from tests.worlds.verdicts import EXPIRES, NAME, PASSED, refused, say, verdict, waiver, world

SAID = [
    Approves(Approvable.DELIVERY, SOVEREIGN, "main", 42),
    Approves(Approvable.TRUST, SOVEREIGN),
    *(Approves(kind) for kind in (Approvable.LOCK, Approvable.TRUST_ROOT, Approvable.WAIVER)),
]
WAIVED = Approval(Approves(Approvable.WAIVER))
OTHER = Lock.of("other", [image("busybox:1.36")])


def waived(file: bytes) -> Verdict:
    """A verdict in which a waiver lets the signature's check pass."""
    return verdict(replace(PASSED, outcome="waived", waiver=Digest.of(file)))


def with_waiver(file: bytes, body: Verdict | None = None) -> World:
    """A delivery with a verdict that rests on a waiver, which comes along and is approved."""
    made = world(body or waived(file))
    made.waivers = [file]
    made.evidence["approval"] = made.approve(Digest.of(file), NOW - DAY)
    return made


@pytest.mark.parametrize("said", [None, *SAID], ids=str)
def test_a_waiver_needs_an_approval_of_a_waiver(said: Approves | None) -> None:
    """One of an earlier version, without a kind, is enough here: the station that made the verdict checked it."""
    made = with_waiver(waiver())
    made.evidence["approval"] = made.approve_as(said, Digest.of(made.waivers[0]), NOW - DAY)
    if said in (None, Approves(Approvable.WAIVER)):
        made.accept()
    else:
        assert refused(made).code == "approval-of-other-kind"


def test_a_verdict_lets_its_lock_in() -> None:
    admitted = world().accept()
    assert [one.statement.kind for one in admitted.statements] == ["delivery", "pull", "verdict"]
    assert not admitted.notes


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (verdict(outcome="fail"), "verdict-failed"),
        (verdict(outcome="not-run"), "verdict-failed"),
        (verdict(PASSED, replace(PASSED, outcome="not-run")), "verdict-failed"),
        (verdict(PASSED, replace(PASSED, check="of a newer station", outcome="fail")), "verdict-failed"),
        (verdict(root=OTHER.digest), "verdict-mismatch"),
        (verdict(name="busybox:1.36"), "verdict-mismatch"),
    ],
)
def test_a_verdict_that_says_something_else_refuses_also_where_none_is_required(body: Verdict, code: str) -> None:
    assert refused(world(body)).code == code
    assert refused(world(body, require=("delivery",))).code == code


def test_a_verdict_that_is_not_there_or_about_another_lock_or_of_no_station() -> None:
    made = world()
    del made.evidence["verdict"]
    assert refused(made).code == "statement-missing"
    say(made, verdict(name="busybox:1.36"), lock=OTHER)
    assert refused(made).code == "statement-missing"
    made.evidence["verdict"] = signed(signer(), made.lock.digest, verdict(), "station")
    assert refused(made).code == "statement-missing"
    for role, claimed, code in (
        ("exporter", "exporter", "role-may-not"),
        ("exporter", "station", "wrong-role"),
        ("security-officer", "security-officer", "role-may-not"),
    ):
        made.evidence["verdict"] = signed(made.signers[role], made.lock.digest, verdict(), claimed)
        assert refused(made).code == code


def test_the_newest_verdict_counts_and_of_two_of_one_second_the_worse() -> None:
    made = world(verdict(outcome="fail"))
    say(made, verdict(), at=NOW - HOUR / 2, name="later")
    made.accept()
    say(made, verdict(outcome="fail"), at=NOW - HOUR / 2, name="as late")
    assert refused(made).code == "verdict-failed"


def test_what_has_no_root_in_its_lock_has_the_one_of_the_index() -> None:
    made = world(require=("verdict", "delivery"))
    made.lock = Lock.of("git", [Item(name=NAME, kind="git", source="https://git.example.org/a", lfs=False)])
    del made.evidence["pull"]
    say(made, verdict())
    # The index lists no root: nobody knows what was judged.
    assert refused(made).code == "verdict-mismatch"


def test_of_a_selection_only_what_it_brings_has_to_be_good() -> None:
    good, bad = Lock.of("platform", [image(NAME), image("busybox:1.36")]).items
    made = World(lock=Lock.of("platform", [good, bad]))
    made.trust = replace(made.trust, require=("pull", "verdict", "delivery"))
    items = {NAME: verdict().items[NAME]}
    assert bad.root is not None
    failed = replace(items[NAME], root=bad.root.digest, outcome="fail", reason="no")
    say(made, replace(verdict(), items={**items, bad.name: failed}))
    assert refused(made).code == "verdict-failed"
    made.only = (NAME,)
    made.accept()
    made.only = (bad.name,)
    assert refused(made).code == "verdict-failed"
    # Nothing was said of it, which is as bad as a no.
    say(made, verdict())
    assert refused(made).code == "verdict-mismatch"


def test_a_waiver_lets_in_what_it_is_for() -> None:
    made = with_waiver(waiver())
    made.accept()
    # The delivery was five weeks in the post: it held when the verdict was signed.
    made.accept(now=NOW + 35 * DAY)


Change = Callable[[World], object]


def stranger(made: World) -> None:
    made.evidence["approval"] = signed(signer(), Digest.of(made.waivers[0]), WAIVED, "security-officer")


def by_station(made: World) -> None:
    made.evidence["approval"] = signed(made.signers["station"], Digest.of(made.waivers[0]), WAIVED, "station")


def ended_officer(made: World) -> None:
    made.change_key("security-officer", not_after=NOW - 2 * DAY)


def edited(made: World) -> None:
    made.waivers = [made.waivers[0] + b"# edited\n"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda made: made.waivers.clear(), "waiver-missing"),
        (edited, "waiver-missing"),
        (lambda made: made.evidence.pop("approval"), "waiver-unapproved"),
        (lambda made: made.evidence.update(approval=made.approve(made.lock.digest)), "waiver-unapproved"),
        (stranger, "waiver-unapproved"),
        (by_station, "role-may-not"),
        (ended_officer, "key-not-valid-then"),
    ],
)
def test_a_waiver_counts_only_as_its_officer_approved_it(change: Change, code: str) -> None:
    made = with_waiver(waiver())
    change(made)
    assert refused(made).code == code


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (waiver(expires=NOW - HOUR), "waiver-expired"),
        (waiver(expires=EXPIRES + DAY), "waiver-mismatch"),
        (waiver(subject=OTHER.digest), "waiver-mismatch"),
        (waiver(check="attestation"), "waiver-mismatch"),
        (b"kind: Waiver\n", "bad-waiver"),
        (waiver().replace(b"checks: [signature]", b"checks: [deny]"), "bad-waiver"),
        (b"#" * (1 << 20) + waiver(), "bad-waiver"),
    ],
)
def test_a_waiver_is_judged_again(file: bytes, code: str) -> None:
    assert refused(with_waiver(file)).code == code


def test_a_check_without_a_subject_is_not_waived() -> None:
    file = waiver()
    check = replace(PASSED, outcome="waived", waiver=Digest.of(file), subject=None)
    assert refused(with_waiver(file, verdict(check))).code == "waiver-mismatch"


def test_why_an_approval_does_not_count_is_told() -> None:
    made = with_waiver(waiver())
    stranger(made)
    assert "ignored: " in refused(made).hint
