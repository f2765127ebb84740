"""When a delivery may come in: keys that ended, streams and numbers, and times that cannot be true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from airgap.acceptance.steps import Acceptance
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.statements.accepted_state import AcceptedState, Standing
from airgap.statements.approval import Approvable, Approves
from airgap.statements.verdict import CheckResult, JudgedItem, Named, Verdict
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, World, accepted, pull_of, signed
from tests.worlds.verdicts import NAME


def after(world: World) -> AcceptedState:
    """The state in which `world`'s delivery is the last one that was accepted."""
    return AcceptedState(SOVEREIGN).adding(world.accept().record)


def test_a_key_that_has_ended_since_is_good_for_what_was_accepted_or_is_named() -> None:
    world = World()
    world.change_key("exporter", not_after=NOW)
    state, late = after(world), NOW + 56 * DAY
    with pytest.raises(TrustError) as caught:
        world.accept(now=late)
    assert caught.value.code == "key-expired"
    assert str(world.digest) in caught.value.hint
    # Accepted in time: the same again, and a restore after later ones.
    assert world.accept(state, now=late).standing is Standing.RESUME
    following = state.adding(replace(state.deliveries[0], sequence=43, id="x", digest=Digest.of(b"other")))
    assert world.accept(following, now=late, restore=True).standing is Standing.RESTORE
    # Named: by one digest, that of AIRGAP.json, for all that the key signed in it.
    world.change_key("exporter", accept=(str(world.digest),))
    assert world.accept(now=late).standing is Standing.NEW
    world.change_key("exporter", accept=(str(world.lock.digest),))
    with pytest.raises(TrustError) as caught:
        world.accept(now=late)
    assert caught.value.code == "key-expired"


def test_a_stream_is_declared_or_the_first_or_approved() -> None:
    world = World()
    state = after(world)
    world.next_delivery(1, stream="side")
    for now, streams, code in [
        (AcceptedState(SOVEREIGN), (), ""),
        (AcceptedState(SOVEREIGN), ("main",), "stream-not-declared"),
        (state, (), "stream-not-declared"),
        (state, ("main",), "stream-not-declared"),
        (state, ("main", "side"), ""),
        (state.adding(accepted(0, "side", signed_at=NOW)), (), ""),
        (state.adding(accepted(0, "side", signed_at=NOW)), ("main",), "stream-not-declared"),
    ]:
        if code:
            with pytest.raises(TrustError) as caught:
                world.accept(now, streams=streams)
            assert caught.value.code == code
            assert caught.value.hint
        else:
            assert world.accept(now, streams=streams).standing is Standing.NEW
    world.bundles["officer"] = world.approve(world.digest, at=NOW)
    assert world.accept(state, streams=("main",)).standing is Standing.NEW
    # An approval that does not say so, or of another kind of thing, opens nothing.
    for approves in (None, Approves(Approvable.LOCK), replace(world.delivered, stream="main")):
        world.bundles["officer"] = world.approve_as(approves, world.digest, at=NOW)
        with pytest.raises(TrustError, match="stream-not-declared"):
            world.accept(state)
    # What is not judged: a stream of which the caller has no state.
    del world.bundles["officer"]
    acceptance = Acceptance(world.trust, state, sovereign=SOVEREIGN, now=NOW)
    acceptance.check_signatures(world.index, world.bundles)
    acceptance.read_index(lambda data: data)
    assert acceptance.check_journey(world.journey) is Standing.NEW


@pytest.mark.parametrize("last", [0, 42])
def test_numbers_do_not_jump(last: int) -> None:
    world = World()
    state = after(world) if last else AcceptedState(SOVEREIGN)
    for number, code in [(last + 1000, ""), (last + 1001, "sequence-jump"), (2**53 - 1, "sequence-jump")]:
        world.bundles.pop("officer", None)
        world.next_delivery(number)
        if code:
            with pytest.raises(TrustError) as caught:
                world.accept(state)
            assert caught.value.code == code
            world.bundles["officer"] = world.approve(world.digest, at=NOW)
        assert world.accept(state).standing is Standing.NEW


def test_a_stream_that_begins_is_not_older_than_any_other() -> None:
    world, streams = World(), ("main", "side", "third")
    state = AcceptedState(SOVEREIGN, (accepted(9, "side", signed_at=NOW - 3 * DAY), after(world).deliveries[0]))
    old = NOW - HOUR - DAY
    for stream, code in [("third", "signed-too-early"), ("side", "")]:
        world.next_delivery(10, stream=stream, created=old)
        world.sign_again(old)
        if code:
            with pytest.raises(TrustError) as caught:
                world.accept(state, streams=streams)
            assert caught.value.code == code
            world.bundles["officer"] = world.approve(world.digest, at=old)
        # Parallel streams do not limit each other, and an approval opens one that begins.
        assert world.accept(state, streams=streams).standing is Standing.NEW
        world.bundles.pop("officer", None)


SKEW = HOUR
"""How far the clocks of two zones may differ."""
BEFORE = timedelta(seconds=1)


def made(created: timedelta, cut: timedelta, pull: timedelta, *, verdicts: tuple[timedelta, ...] = ()) -> World:
    """A delivery whose parts are that old."""
    world, exporter = World(), "exporter"
    world.journey = replace(world.journey, created=NOW - created)
    world.sign_again(NOW - cut)
    world.evidence["pull"] = signed(
        world.signers[exporter], world.lock.digest, pull_of(world.lock), exporter, at=NOW - pull
    )
    passed = JudgedItem(world.roots[NAME], "pass", None, (CheckResult("signature", "pass", None, "rule 1"),))
    body = Verdict(Named("bank", Digest.of(b"policy")), (), (), {NAME: passed})
    for number, at in enumerate(verdicts):
        world.evidence[str(number)] = signed(world.signers["station"], world.lock.digest, body, "station", at=NOW - at)
    return world


@pytest.mark.parametrize(
    "world",
    [
        made(2 * HOUR, 2 * HOUR + SKEW, 9 * HOUR),
        made(2 * HOUR, 2 * HOUR, 2 * HOUR - SKEW),
        made(2 * HOUR, 2 * HOUR, 9 * HOUR, verdicts=(9 * HOUR + SKEW, HOUR)),
    ],
    ids=["delivery", "evidence", "verdict"],
)
def test_clocks_may_differ_by_an_hour(world: World) -> None:
    assert world.accept().standing is Standing.NEW


@pytest.mark.parametrize(
    "world",
    [
        made(2 * HOUR, 2 * HOUR + SKEW + BEFORE, 9 * HOUR),
        made(2 * HOUR, 0 * HOUR, 2 * HOUR - SKEW - BEFORE),
        made(HOUR, 2 * HOUR, HOUR - BEFORE),
        made(2 * HOUR, 2 * HOUR, 9 * HOUR, verdicts=(9 * HOUR + SKEW + BEFORE,)),
        made(2 * HOUR, 2 * HOUR, 9 * HOUR, verdicts=(HOUR - BEFORE,)),
    ],
    ids=["signed before it was cut", "cut before its evidence", "signed before its evidence", "verdict before the pull",
         "verdict after the signature"],
)  # fmt: skip
def test_nothing_is_older_than_what_it_speaks_of(world: World) -> None:
    with pytest.raises(TrustError) as caught:
        world.accept()
    assert caught.value.code == "signed-too-early"
    assert caught.value.hint


def test_approvals_and_their_time() -> None:
    world = made(2 * HOUR, 2 * HOUR, 9 * HOUR)
    # That of a lock comes before its pull.
    world.evidence["approval"] = world.approve(world.lock.digest, at=NOW - 90 * DAY)
    assert world.accept().standing is Standing.NEW
    # That of a delivery does not come before the delivery.
    for at, fits in ((2 * HOUR + SKEW, True), (2 * HOUR + SKEW + BEFORE, False)):
        world.bundles["officer"] = world.approve(world.digest, at=NOW - at)
        if fits:
            assert world.accept().standing is Standing.NEW
        else:
            with pytest.raises(TrustError, match="signed-too-early"):
                world.accept()


def test_the_first_pull_of_a_lock_decides() -> None:
    """It may be pulled again, to repair the store, after it was judged."""
    world = made(2 * HOUR, 2 * HOUR, 9 * HOUR, verdicts=(8 * HOUR,))
    world.evidence["again"] = signed(
        world.signers["exporter"], world.lock.digest, pull_of(world.lock), "exporter", at=NOW - 2 * HOUR
    )
    assert world.accept().standing is Standing.NEW
