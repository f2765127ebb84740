"""Acceptance: the good ways in, every refusal by its code, and the order of the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap.acceptance.steps import MAX_INDEX, MAX_SIGNATURES, Acceptance
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, IntegrityError, TrustError
from airgap.content.lock import Lock
from airgap.delivery.journey import Baseline
from airgap.resources.trust import Revocation
from airgap.statements.accepted_state import AcceptedState, Standing, StateFile
from airgap.statements.approval import Approvable, Approval
from airgap.statements.predicates import Delivery, Pull, PulledItem, Receipt
from tests.worlds.trust import (
    DAY,
    HOUR,
    NOW,
    SOVEREIGN,
    World,
    image,
    pull_of,
    signed,
    signer,
    trusted,
)

OTHER = Lock.of("other", [image("busybox:1.36")])


def good(name: str = "delivery") -> World:
    return World(index=f'{{"kind": "{name}"}}'.encode())


def after(world: World, *, now: datetime = NOW) -> AcceptedState:
    """The state in which `world`'s delivery is the last one that was accepted."""
    return AcceptedState(SOVEREIGN).adding(world.accept(now=now).record)


def test_a_good_delivery_goes_in_and_is_written_down(tmp_path: Path) -> None:
    world, file = good(), StateFile(tmp_path, SOVEREIGN)
    admitted = world.accept(file.load())
    assert admitted.standing is Standing.NEW
    assert (admitted.journey, admitted.locks) == (world.journey, (world.lock,))
    assert [(one.role, one.statement.kind) for one in admitted.statements] == [
        ("exporter", "delivery"),
        ("exporter", "pull"),
    ]
    assert admitted.notes == ()
    assert admitted.pull_of(world.lock) == pull_of(world.lock)
    assert admitted.pull_of(OTHER) is None
    state = file.record(admitted.record)
    assert state.last("main") == admitted.record
    assert admitted.record.digest == world.digest
    assert (admitted.record.signed_at, admitted.record.accepted_at) == (NOW - HOUR, NOW)
    # The same again is a resume, and changes nothing.
    again = world.accept(file.load(), now=NOW + DAY)
    assert again.standing is Standing.RESUME
    assert file.record(again.record) == state


# What is done to a good delivery, and the code of the refusal.
Change = Callable[[World], object]


def tampered_index(world: World) -> None:
    world.index += b" "


def other_delivery_signature(world: World) -> None:
    key = world.signers["exporter"]
    world.bundles["old"] = signed(key, Digest.of(b"old"), Delivery(), "exporter")


def both_roles(world: World) -> None:
    key = world.signers["exporter"]
    world.bundles["station"] = signed(key, world.digest, Delivery(), "station")


def one_key_for_both(world: World) -> None:
    world.change_key("station", public_key_pem=world.signers["exporter"].public_key_pem)


def only_unknown(world: World) -> None:
    world.bundles = {"x": signed(signer(), world.digest, Delivery(), "exporter")}


def only_an_approval(world: World) -> None:
    world.bundles = {"officer": world.approve(world.digest)}


def journey(**more: object) -> Change:
    def change(world: World) -> None:
        world.journey = replace(world.journey, **more)  # type: ignore[arg-type]

    return change


def require(*kinds: str) -> Change:
    def change(world: World) -> None:
        world.trust = replace(world.trust, require=kinds)

    return change


def pull_says(body: Pull) -> Change:
    def change(world: World) -> None:
        key = world.signers["exporter"]
        world.evidence["pull"] = signed(key, world.lock.digest, body, "exporter")

    return change


def pull_of_another(world: World) -> None:
    key = world.signers["exporter"]
    world.evidence["pull"] = signed(key, OTHER.digest, pull_of(OTHER), "exporter")


def pull_by_unknown(world: World) -> None:
    world.evidence["pull"] = signed(signer(), world.lock.digest, pull_of(world.lock), "exporter")


def pull_by_station(world: World) -> None:
    key = world.signers["station"]
    world.evidence["pull"] = signed(key, world.lock.digest, pull_of(world.lock), "station")


def pull_by_old_key(world: World) -> None:
    """A valid key cut the delivery, one that has ended signed the pull, after its end."""
    old = signer()
    keys = trusted("exporter-2025", "exporter", old, not_after=NOW - DAY)
    world.trust = replace(world.trust, keys=(*world.trust.keys, keys))
    world.evidence["pull"] = signed(old, world.lock.digest, pull_of(world.lock), "exporter")


def key(**more: object) -> Change:
    return lambda world: world.change_key("exporter", **more)


ALPINE = "alpine:3.20"
REFUSALS: list[tuple[Change, str]] = [
    # 1. the trust root
    (lambda world: setattr(world, "trust", replace(world.trust, sovereign="other")), "wrong-trust"),
    (lambda world: setattr(world, "trust", replace(world.trust, keys=())), "no-keys"),
    (require(), "bad-require"),
    (one_key_for_both, "key-in-two-roles"),
    # 2. signatures
    (lambda world: world.bundles.clear(), "no-signature"),
    (only_an_approval, "no-signature"),
    (only_unknown, "unknown-key"),
    (tampered_index, "index-mismatch"),
    (other_delivery_signature, "index-mismatch"),
    (lambda world: world.bundles.update(junk=b"{}"), "bad-bundle"),
    (both_roles, "wrong-role"),
    (key(not_after=NOW - 2 * HOUR), "key-not-valid-then"),
    (key(not_before=NOW), "key-not-valid-then"),
    (key(revoked=Revocation(at=NOW - DAY)), "key-revoked"),
    (lambda world: world.sign_again(NOW + 2 * HOUR), "signed-in-future"),
    (lambda world: setattr(world, "index", b"x" * (MAX_INDEX + 1)), "index-too-large"),
    (
        lambda world: world.bundles.update({str(n): b"" for n in range(MAX_SIGNATURES)}),
        "too-many-signatures",
    ),
    # 4. the journey
    (journey(sovereign="bankmuscat"), "wrong-sovereign"),
    (journey(created=NOW + 2 * HOUR), "created-in-future"),
    (journey(expires=NOW - HOUR), "delivery-expired"),
    (journey(based_on=(Baseline(OTHER.digest),)), "baseline-missing"),
    # 6. statements
    (lambda world: world.evidence.clear(), "statement-missing"),
    (require("delivery", "verdict"), "statement-missing"),
    (require("delivery", "approval"), "statement-missing"),
    (pull_of_another, "statement-missing"),
    (pull_by_unknown, "statement-missing"),
    (pull_by_station, "role-may-not"),
    (pull_by_old_key, "key-not-valid-then"),
    (lambda world: world.evidence.update(junk=b"[]"), "bad-bundle"),
    (pull_says(Pull({})), "pull-incomplete"),
    (pull_says(Pull({ALPINE: PulledItem(None, "fail", 0, "gone")})), "pull-incomplete"),
    (pull_says(Pull({ALPINE: PulledItem(OTHER.digest, "pass", 9)})), "pull-incomplete"),
    (pull_says(Pull({ALPINE: PulledItem(None, "pass", 9)})), "pull-incomplete"),
]


@pytest.mark.parametrize(("change", "code"), REFUSALS)
def test_what_is_wrong_is_refused_by_its_code_and_leaves_the_state(tmp_path: Path, change: Change, code: str) -> None:
    first, file = good("first"), StateFile(tmp_path, SOVEREIGN)
    first.journey = replace(first.journey, id="first", sequence=41)
    file.record(first.accept().record)
    before = file.path.read_bytes()
    world = good()
    change(world)
    with pytest.raises(TrustError) as caught:
        world.accept(file.load())
    assert caught.value.code == code
    assert caught.value.hint
    assert file.path.read_bytes() == before


def test_replays_and_old_numbers(tmp_path: Path) -> None:
    first, file = good(), StateFile(tmp_path, SOVEREIGN)
    file.record(first.accept().record)
    second = replace(first, bundles=dict(first.bundles), evidence=dict(first.evidence))
    second.next_delivery(43)
    file.record(second.accept(file.load(), now=NOW + HOUR).record)
    before = file.path.read_bytes()
    later = NOW + DAY
    older = good("older")
    older.sign_again(later)
    same = good("same")
    same.journey = replace(same.journey, sequence=43, id="same")
    same.sign_again(later)
    for world, code in [
        (first, "delivery-replayed"),
        (older, "delivery-id-taken"),
        (same, "sequence-taken"),
    ]:
        with pytest.raises(TrustError) as caught:
            world.accept(file.load(), now=later)
        assert caught.value.code == code
    older.journey = replace(older.journey, id="older")
    with pytest.raises(TrustError) as caught:
        older.accept(file.load(), now=later)
    assert caught.value.code == "older-sequence"
    # What was accepted before may be brought back, long after it expired.
    restored = first.accept(file.load(), now=NOW + 300 * DAY, restore=True)
    assert restored.standing is Standing.RESTORE
    file.record(restored.record, restore=True)
    with pytest.raises(TrustError) as caught:
        older.accept(file.load(), now=later, restore=True)
    assert caught.value.code == "sequence-taken"
    assert file.path.read_bytes() == before


def test_after_a_loss_an_officer_who_is_there_now_lets_in_what_expired() -> None:
    """Also what a key signed that expired since, but nothing that a revoked key signed."""
    late = NOW + 400 * DAY
    world = good()
    world.change_key("security-officer", not_after=late + DAY)
    restore = replace(world.delivered, kind=Approvable.RESTORE)

    def refused(code: str, *, restore: bool = True) -> None:
        with pytest.raises(TrustError) as caught:
            world.accept(now=late, restore=restore)
        assert caught.value.code == code

    refused("key-expired")
    world.bundles["then"] = world.approve(world.digest)
    refused("key-expired")
    # The approval of another delivery, by another key, or of the time of the delivery: none of them counts.
    for other in (
        world.approve_as(restore, Digest.of(b"other"), at=late - HOUR),
        signed(world.signers["exporter"], world.digest, Approval(restore), "exporter", at=late - HOUR),
    ):
        before = dict(world.bundles)
        world.bundles["now"] = other
        with pytest.raises(TrustError):
            world.accept(now=late, restore=True)
        world.bundles = before
    world.bundles["now"] = world.approve_as(restore, world.digest, at=late - HOUR)
    refused("key-expired", restore=False)
    admitted = world.accept(now=late, restore=True)
    assert (admitted.standing, admitted.record.digest) == (Standing.NEW, world.digest)
    # It says which delivery it is for.
    world.bundles["now"] = world.approve_as(replace(restore, sequence=1), world.digest, at=late - HOUR)
    refused("delivery-expired")
    world.bundles["now"] = world.approve_as(restore, world.digest, at=late - HOUR)
    world.change_key("exporter", revoked=Revocation(at=late - DAY, accept=()))
    refused("key-revoked")


def test_a_backdated_delivery_is_refused() -> None:
    first = good()
    state = after(first)
    first.next_delivery(43)
    first.sign_again(NOW - 2 * HOUR)
    with pytest.raises(TrustError) as caught:
        first.accept(state)
    assert caught.value.code == "signed-too-early"


def test_a_pull_may_be_older_than_the_last_delivery_while_its_key_is_good() -> None:
    world = good()
    state = after(world)
    early = world.evidence["pull"]
    world.next_delivery(43)
    old = signed(
        world.signers["exporter"],
        world.lock.digest,
        pull_of(world.lock),
        "exporter",
        at=NOW - DAY,
    )
    for pull in (early, old):
        world.evidence["pull"] = pull
        assert world.accept(state).standing is Standing.NEW
    # Once the key has ended, its holder could write any earlier time.
    first, successor = world.signers["exporter"], signer()
    new = trusted("exporter-2027", "exporter", successor)
    world.trust = replace(world.trust, keys=(*world.trust.keys, new))
    world.bundles = {"new": signed(successor, world.digest, Delivery(), "exporter", at=NOW)}
    for over, code in (({"revoked": Revocation(at=NOW)}, "key-revoked"), ({"not_after": NOW - HOUR}, "key-expired")):
        world.trust = replace(world.trust, keys=(replace(world.trust.keys[0], **over), *world.trust.keys[1:]))
        for require in (("pull", "delivery"), ("delivery",)):
            world.trust = replace(world.trust, require=require)
            with pytest.raises(TrustError) as caught:
                world.accept(state)
            assert caught.value.code == code
        world.trust = replace(world.trust, keys=(trusted("exporter-2026", "exporter", first), *world.trust.keys[1:]))


def test_a_clock_that_is_behind_is_its_own_error() -> None:
    world = good()
    state = after(world)
    assert world.accept(state, now=NOW - HOUR).standing is Standing.RESUME
    with pytest.raises(TrustError) as caught:
        world.accept(state, now=NOW - 2 * HOUR)
    assert caught.value.code == "clock-behind"
    with pytest.raises(TrustError) as caught:
        world.accept(state, now=datetime(1970, 1, 1, tzinfo=UTC))
    assert caught.value.code == "clock-behind"


def test_unknown_and_old_signatures_count_for_nothing_and_are_noted() -> None:
    world, old = good(), signer()
    entry = trusted("exporter-2025", "exporter", old, revoked=Revocation(at=NOW - DAY))
    world.trust = replace(world.trust, keys=(*world.trust.keys, entry))
    world.bundles["stranger"] = signed(signer(), world.digest, Delivery(), "exporter")
    world.bundles["old"] = signed(old, world.digest, Delivery(), "exporter")
    admitted = world.accept()
    assert len(admitted.statements) == 2
    notes = "\n".join(admitted.notes)
    assert "signatures/stranger" in notes
    assert "unknown-key" in notes
    assert "signatures/old" in notes
    assert "key-revoked" in notes


def test_an_approval_of_the_delivery_or_of_every_lock() -> None:
    world = good()
    world.trust = replace(world.trust, require=("pull", "delivery", "approval"))
    world.bundles["officer"] = world.approve(world.digest)
    assert world.accept().standing is Standing.NEW
    del world.bundles["officer"]
    world.evidence["approval"] = world.approve(world.lock.digest)
    assert world.accept().standing is Standing.NEW
    world.evidence["approval"] = world.approve(OTHER.digest)
    with pytest.raises(TrustError) as caught:
        world.accept()
    assert caught.value.code == "statement-missing"
    assert str(OTHER.digest) in caught.value.hint  # an approved lock, swapped for another


def test_a_receipt_of_a_baseline_in_the_evidence_is_noted() -> None:
    world = good()
    body = Receipt("id", "main", 41, ())
    world.evidence["receipt"] = signed(world.signers["sovereign"], Digest.of(b"41"), body, "sovereign")
    assert len(world.accept().notes) == 1


def test_the_newest_pull_statement_counts() -> None:
    world, exporter = good(), "exporter"
    failed = Pull({ALPINE: PulledItem(None, "fail", 0, "gone")})
    for name, at, code in [("a", NOW - 2 * HOUR, ""), ("z", NOW, "pull-incomplete")]:
        world.evidence[name] = signed(world.signers[exporter], world.lock.digest, failed, exporter, at=at)
        if code:
            with pytest.raises(TrustError) as caught:
                world.accept()
            assert caught.value.code == code
        else:
            assert world.accept().pull_of(world.lock) == pull_of(world.lock)


def test_a_baseline_that_was_accepted_is_known() -> None:
    world = good()
    state = after(world)
    baseline = (Baseline(world.digest),)
    world.next_delivery(43, based_on=baseline)
    assert world.accept(state).standing is Standing.NEW


@pytest.mark.parametrize(
    ("listed", "carried", "code"),
    [
        (["a"], ["a"], ""),
        (["a", "b"], ["b", "a"], ""),
        ([], [], "locks-mismatch"),
        (["a"], [], "locks-mismatch"),
        (["a"], ["b"], "locks-mismatch"),
        (["a"], ["a", "b"], "locks-mismatch"),
        (["a", "a"], ["a"], "locks-mismatch"),
        (["junk"], ["junk"], "bad-lock"),
    ],
)
def test_the_locks_are_those_listed(listed: list[str], carried: list[str], code: str) -> None:
    world = good()
    data = {"a": world.lock.encode(), "b": OTHER.encode(), "junk": b"{}"}
    acceptance = through_journey(world)
    digests = [Digest.of(data[name]) for name in listed]
    if not code:
        locks = acceptance.check_locks(digests, [data[name] for name in carried])
        assert [lock.digest for lock in locks] == digests
        return
    with pytest.raises(TrustError) as caught:
        acceptance.check_locks(digests, [data[name] for name in carried])
    assert caught.value.code == code


def through_journey(world: World) -> Acceptance:
    acceptance = Acceptance(world.trust, AcceptedState(SOVEREIGN), sovereign=SOVEREIGN, now=NOW)
    acceptance.check_signatures(world.index, world.bundles)
    acceptance.read_index(lambda data: data)
    acceptance.check_journey(world.journey)
    return acceptance


def test_the_index_is_parsed_only_after_its_signature_and_from_the_signed_bytes() -> None:
    world, seen = good(), list[bytes]()
    acceptance = Acceptance(world.trust, AcceptedState(SOVEREIGN), sovereign=SOVEREIGN, now=NOW)
    with pytest.raises(RuntimeError):
        acceptance.read_index(seen.append)
    assert seen == []
    acceptance.check_signatures(world.index, world.bundles)
    acceptance.read_index(seen.append)
    assert seen == [world.index]


STEPS: list[Callable[[Acceptance, World], object]] = [
    lambda acceptance, world: acceptance.check_signatures(world.index, world.bundles),
    lambda acceptance, world: acceptance.read_index(lambda data: data),
    lambda acceptance, world: acceptance.check_journey(world.journey),
    lambda acceptance, world: acceptance.check_locks([world.lock.digest], [world.lock.encode()]),
    lambda acceptance, world: acceptance.check_statements(world.evidence, roots=world.roots),
    lambda acceptance, world: acceptance.admit(),
]


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
@pytest.mark.parametrize("called", range(len(STEPS)))
def test_a_step_out_of_order_is_a_bug(done: int, called: int) -> None:
    world = good()
    acceptance = Acceptance(world.trust, AcceptedState(SOVEREIGN), sovereign=SOVEREIGN, now=NOW)
    for step in STEPS[:done]:
        step(acceptance, world)
    if called == done:
        STEPS[called](acceptance, world)
        return
    with pytest.raises(RuntimeError):
        STEPS[called](acceptance, world)


def refuse(_data: bytes) -> None:
    raise IntegrityError("bad-index", "AIRGAP.json: junk")


def test_after_a_refusal_nothing_goes_on() -> None:
    world = good()
    acceptance = Acceptance(world.trust, AcceptedState(SOVEREIGN), sovereign=SOVEREIGN, now=NOW)
    acceptance.check_signatures(world.index, world.bundles)
    with pytest.raises(AirgapError):
        acceptance.read_index(refuse)
    for step in STEPS:
        with pytest.raises(RuntimeError):
            step(acceptance, world)
