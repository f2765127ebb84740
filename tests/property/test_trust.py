"""Properties of what is signed: nothing but the signed bytes is believed, and what is written can be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.acceptance.steps import Acceptance
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, TrustError
from airgap.base.json_fields import MAX_NUMBER
from airgap.base.times import CLOCK_SKEW, utc_text, utc_time
from airgap.content.finding import Finding, State
from airgap.content.forms import Change, ChangeOutcome
from airgap.resources.trust import Revocation
from airgap.statements.accepted_state import Accepted, AcceptedState, Standing
from airgap.statements.approval import Approvable, Approval, Approves
from airgap.statements.audited import Audit
from airgap.statements.dsse import open_bundle, sign_payload
from airgap.statements.predicates import (
    WRITES,
    Delivery,
    Placed,
    Predicate,
    Pull,
    PulledItem,
    Receipt,
)
from airgap.statements.rollback import Rollback
from airgap.statements.statement import Statement
from airgap.statements.trust import Known, verify_bundle
from airgap.statements.want import Want, WantedBlob
from tests.worlds.trust import DAY, NOW, SOVEREIGN, World, signed, signer

WORLD = World()
BUNDLE = WORLD.bundles["exporter.sigstore.json"]
KEY = signer()
untimed = settings(deadline=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe_texts = st.none() | texts
digests = st.binary(max_size=4).map(Digest.of)
numbers = st.integers(0, MAX_NUMBER)
# Hypothesis wants its bounds without a zone, and gives the zone to what it draws.
moments = st.datetimes(
    datetime(1, 1, 1),  # noqa: DTZ001
    datetime(9999, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
addresses = digests.map(str) | st.from_regex(r"\A[0-9a-f]{40}\Z")
outcomes = st.sampled_from(["pass", "fail", "not-run"])
pulls = st.builds(
    Pull,
    st.dictionaries(texts, st.builds(PulledItem, st.none() | digests, outcomes, numbers, maybe_texts)),
)
placed_items = st.builds(
    Change,
    texts,
    texts,
    texts,
    addresses,
    st.just("") | addresses,
    st.sampled_from(sorted(WRITES)).map(ChangeOutcome),
    texts,
)
placed = st.builds(
    Placed,
    texts,
    st.sampled_from(["graph", "refs", "tree"]),
    st.lists(placed_items, max_size=3).map(tuple),
)
receipts = st.builds(Receipt, texts, texts, numbers, st.lists(placed, max_size=2).map(tuple))
rollbacks = st.builds(
    Rollback, texts, texts, numbers, st.lists(digests, max_size=2).map(tuple), st.lists(placed, max_size=2).map(tuple)
)
findings = st.builds(
    Finding,
    texts,
    texts,
    texts,
    st.sampled_from([State.MISSING, State.CHANGED, State.EXTRA, State.UNKNOWN]),
    st.just("") | addresses,
    st.just("") | addresses,
    st.just(""),
    texts,
)
audits = st.builds(Audit, outcomes, st.booleans(), numbers, st.lists(findings, max_size=3).map(tuple))
approvals = st.one_of(
    st.none(),
    st.builds(Approves, st.just(Approvable.DELIVERY), texts, texts, numbers),
    st.builds(Approves, st.just(Approvable.TRUST), texts),
    st.sampled_from([Approvable.LOCK, Approvable.TRUST_ROOT, Approvable.WAIVER]).map(Approves),
).map(Approval)
wants = st.builds(
    Want,
    texts,
    texts,
    texts,
    numbers,
    st.lists(st.sampled_from(["app", "registry.example/lib/app:1"]), max_size=3).map(tuple),
    st.lists(st.builds(WantedBlob, digests, numbers), max_size=3).map(tuple),
)
bodies = st.one_of(pulls, receipts, audits, rollbacks, st.just(Delivery()), approvals, wants)


@untimed
@given(digests, bodies, moments, digests, texts)
def test_statements_round_trip(subject: Digest, body: Predicate, at: datetime, head: Digest, role: str) -> None:
    made = Statement.of(subject, body, signed_at=at, log_head=head, role=role)
    assert Statement.parse(open_bundle(sign_payload(made.payload, KEY), "x").payload, "x") == made
    assert (made.subject, made.body, made.log_head, made.role) == (subject, body, head, role)
    assert made.signed_at == at.replace(microsecond=0)


@untimed
@given(moments)
def test_a_moment_has_one_text(at: datetime) -> None:
    assert utc_text(utc_time(utc_text(at))) == utc_text(at)


def changed(data: bytes, place: int, flip: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_every_changed_byte_of_a_bundle_is_refused(flip: int) -> None:
    """All places, for a changed last bit, a changed case, a byte that is no ASCII, and its complement."""
    for place in range(len(BUNDLE)):
        with pytest.raises(TrustError):
            verify_bundle(changed(BUNDLE, place, flip), WORLD.trust, "x", now=NOW)


@untimed
@given(st.integers(0, len(BUNDLE) - 1), st.integers(1, 255))
def test_any_other_byte_anywhere_in_a_bundle_is_refused(place: int, flip: int) -> None:
    with pytest.raises(TrustError):
        verify_bundle(changed(BUNDLE, place, flip), WORLD.trust, "x", now=NOW)


@untimed
@given(st.integers(0, len(BUNDLE) - 1))
def test_a_cut_bundle_is_refused(end: int) -> None:
    with pytest.raises(TrustError):
        verify_bundle(BUNDLE[:end], WORLD.trust, "x", now=NOW)


@untimed
@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | texts | numbers, st.lists).map(lambda value: json.dumps(value).encode())
)
def test_junk_is_refused_and_nothing_else_happens(data: bytes) -> None:
    for read in (open_bundle, Statement.parse):
        with pytest.raises(TrustError):
            read(data, "x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
PATHS = [
    ["_type"],
    ["subject"],
    ["subject", 0],
    ["subject", 0, "digest"],
    ["subject", 0, "digest", "sha256"],
    ["predicateType"],
    ["predicate"],
    ["predicate", "signedAt"],
    ["predicate", "logHead"],
    ["predicate", "items"],
    ["predicate", "items", "alpine:3.20"],
    ["predicate", "items", "alpine:3.20", "root"],
    ["predicate", "items", "alpine:3.20", "bytes"],
]
PULL = open_bundle(WORLD.evidence["pull"], "x").payload


@untimed
@given(st.sampled_from(PATHS), json_values)
def test_a_strange_value_in_a_signed_statement_is_an_error_of_ours(path: list[str | int], value: object) -> None:
    document = place = json.loads(PULL)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    try:
        Statement.parse(json.dumps(document).encode(), "x")
    except AirgapError as error:
        assert error.code in ("bad-statement", "unknown-statement")  # noqa: PT017


INDEX = json.dumps({"kind": "Delivery", "contents": ["x" * 40]}).encode()
SIGNED = World(index=INDEX)


@untimed
@given(st.integers(0, len(INDEX) - 1), st.integers(1, 255))
def test_any_other_byte_in_airgap_json_is_refused_before_it_is_parsed(place: int, flip: int) -> None:
    state = AcceptedState(SOVEREIGN)
    acceptance = Acceptance(SIGNED.trust, state, sovereign=SOVEREIGN, now=NOW)
    with pytest.raises(TrustError) as caught:
        acceptance.check_signatures(changed(INDEX, place, flip), SIGNED.bundles)
    assert caught.value.code == "index-mismatch"
    with pytest.raises(RuntimeError):
        acceptance.read_index(lambda data: data)


deliveries = st.builds(
    Accepted,
    st.sampled_from(["main", "other"]),
    st.integers(0, 5),
    st.uuids().map(str),
    digests,
    moments,
    moments,
)


@untimed
@given(st.lists(deliveries, max_size=12))
def test_in_a_stream_the_accepted_numbers_only_grow(offered: list[Accepted]) -> None:
    state = AcceptedState(SOVEREIGN)
    for one in offered:
        try:
            standing = state.standing(one, one.digest)
        except TrustError:
            continue
        if standing is Standing.NEW:
            state = state.adding(one)
    for stream in ("main", "other"):
        numbers = [one.sequence for one in state.deliveries if one.stream == stream]
        assert numbers == sorted(set(numbers))
    ids = [one.id for one in state.deliveries]
    assert len(set(ids)) == len(ids)
    again = AcceptedState.decode(state.encode(), "x", SOVEREIGN)
    assert again.encode() == state.encode()


days = st.integers(-30, 30)


@untimed
@given(
    st.tuples(days, days, days).map(sorted),
    st.none() | days,
    days,
    st.sampled_from(["", "key", "revoked", "both"]),
    st.sampled_from(Known),
)
def test_a_key_that_is_not_good_now_counts_for_nothing_new(
    life: list[int], revoked: int | None, signed_at: int, named: str, known: Known
) -> None:
    """Whatever time the statement says: only names and what was accepted before make an exception."""
    begin, now, end = NOW + life[0] * DAY, NOW, NOW + life[2] * DAY + DAY
    at, other = NOW + signed_at * DAY, Digest.of(b"another")
    subject = WORLD.digest
    by_key, by_revocation = named in ("key", "both"), named in ("revoked", "both")
    world = World(signers=WORLD.signers)
    world.change_key(
        "exporter",
        not_before=begin,
        not_after=end,
        accept=(str(subject if by_key else other),),
        revoked=None
        if revoked is None
        else Revocation(at=NOW + revoked * DAY, accept=(str(subject if by_revocation else other),)),
    )
    data = signed(world.signers["exporter"], subject, Delivery(), "exporter", at=at)
    was_good = begin <= at <= end and at <= now + CLOCK_SKEW
    if revoked is not None and (revoked <= signed_at or revoked <= 0):
        counts = by_revocation or (known is Known.CONTENT and revoked > signed_at)
    else:
        counts = now <= end or by_key or known > Known.NOTHING
    try:
        verify_bundle(data, world.trust, "here", now=now, known=known)
    except TrustError:
        assert not (was_good and counts)
    else:
        assert was_good
        assert counts
