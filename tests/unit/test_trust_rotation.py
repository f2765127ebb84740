"""From one Trust resource to the next: what may change, and whose approval counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.resources.trust import Revocation, Trust, TrustedKey
from airgap.resources.trust_verdicts import VerdictLimits
from airgap.statements.predicates import Receipt
from airgap.statements.rotation import check_rotation, expiring, trust_digest
from tests.worlds.trust import DAY, HOUR, NOW, World, signed, signer, trusted

Edit = Callable[[World], Trust]
YEAR = timedelta(days=365)


@pytest.fixture
def world() -> World:
    return World()


def named(trust: Trust, name: str) -> TrustedKey:
    return next(key for key in trust.keys if key.name == name)


def changed(trust: Trust, name: str, /, **more: object) -> Trust:
    """The resource with one key's entry changed."""
    keys = tuple(
        replace(key, **more) if key.name == name else key  # type: ignore[arg-type]
        for key in trust.keys
    )
    return replace(trust, keys=keys)


def grown(trust: Trust, name: str = "exporter-2027", role: str = "exporter", **more: object) -> Trust:
    """The resource with one more key, of a year from now."""
    span = {"not_before": NOW, "not_after": NOW + YEAR, **more}
    return replace(trust, keys=(*trust.keys, trusted(name, role, signer(), **span)))


def test_a_key_is_added_and_the_old_one_ends_later(world: World) -> None:
    new = changed(grown(world.trust), "exporter-2026", not_after=NOW + 14 * DAY)
    found = check_rotation(world.trust, new, world.approve_trust(new), now=NOW)
    assert [(one.what, one.key) for one in found.changes] == [
        ("ends", "exporter-2026"),
        ("added", "exporter-2027"),
    ]
    assert found.approved is not None
    assert found.approved.key.name == "security-officer-2026"


def test_without_an_approval_it_only_says_what_would_change(world: World) -> None:
    found = check_rotation(world.trust, grown(world.trust), None, now=NOW)
    assert found.approved is None
    assert found.changes


ALLOWED: dict[str, Edit] = {
    "nothing": lambda world: world.trust,
    "a revocation": lambda world: changed(world.trust, "station-2026", revoked=Revocation(at=NOW - 9 * DAY)),
    "one more statement": lambda world: replace(world.trust, require=("pull", "delivery", "approval")),
    "another order": lambda world: replace(world.trust, keys=world.trust.keys[::-1]),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_trusts_nobody_more_is_allowed(world: World, name: str) -> None:
    new = ALLOWED[name](world)
    assert check_rotation(world.trust, new, world.approve_trust(new), now=NOW).approved


WEAKER: dict[str, Edit] = {
    "another Sovereign": lambda world: replace(world.trust, sovereign="other"),
    "a key is gone": lambda world: replace(world.trust, keys=world.trust.keys[1:]),
    "a key has another name": lambda world: changed(world.trust, "exporter-2026", name="e"),
    "a name has another key": lambda world: changed(
        world.trust, "exporter-2026", public_key_pem=signer().public_key_pem
    ),
    "another role": lambda world: changed(world.trust, "exporter-2026", role="station"),
    "it begins earlier": lambda world: changed(world.trust, "exporter-2026", not_before=NOW - YEAR),
    "it begins later": lambda world: changed(world.trust, "exporter-2026", not_before=NOW),
    "it lives longer": lambda world: changed(world.trust, "exporter-2026", not_after=NOW + YEAR),
    "it ended already": lambda world: changed(world.trust, "exporter-2026", not_after=NOW - 2 * HOUR),
    "a new key of two years": lambda world: grown(world.trust, not_after=NOW + 2 * YEAR),
    "less is required": lambda world: replace(world.trust, require=("delivery",)),
}


@pytest.mark.parametrize("name", WEAKER)
def test_what_forgets_or_trusts_more_is_refused_though_approved(world: World, name: str) -> None:
    new = WEAKER[name](world)
    with pytest.raises(TrustError) as caught:
        check_rotation(world.trust, new, world.approve_trust(new), now=NOW)
    assert caught.value.code == "bad-rotation"
    assert caught.value.hint


@pytest.mark.parametrize("after", [None, Revocation(at=NOW - DAY)])
def test_a_revocation_stays(world: World, after: Revocation | None) -> None:
    old = changed(world.trust, "exporter-2026", revoked=Revocation(at=NOW - 9 * DAY))
    new = changed(old, "exporter-2026", revoked=after)
    with pytest.raises(TrustError, match="trusted again"):
        check_rotation(old, new, world.approve_trust(new), now=NOW)


def test_what_a_revoked_key_is_believed_for_is_shown(world: World) -> None:
    one, two = str(Digest.of(b"1")), str(Digest.of(b"2"))
    old = changed(world.trust, "exporter-2026", revoked=Revocation(at=NOW, accept=(one,)))
    new = changed(old, "exporter-2026", revoked=Revocation(at=NOW - DAY, accept=(two,)))
    found = check_rotation(old, new, None, now=NOW)
    assert {(one.what, one.detail) for one in found.changes} >= {
        ("accepts", two),
        ("accepts no more", one),
    }


def test_what_an_expired_key_is_believed_for_is_shown(world: World) -> None:
    one, two = str(Digest.of(b"1")), str(Digest.of(b"2"))
    old = changed(world.trust, "exporter-2026", accept=(one,))
    found = check_rotation(old, changed(old, "exporter-2026", accept=(two,)), None, now=NOW)
    assert {(one.what, one.detail) for one in found.changes} == {("accepts", two), ("accepts no more", one)}
    # From the list of an expired key to that of a revoked one: it counts again, so it is a change.
    revoked = changed(old, "exporter-2026", revoked=Revocation(at=NOW))
    moved = changed(old, "exporter-2026", accept=(), revoked=Revocation(at=NOW, accept=(one,)))
    assert {one.what for one in check_rotation(revoked, moved, None, now=NOW).changes} == {"accepts", "accepts no more"}


def test_the_approval_must_be_about_this_very_resource(world: World) -> None:
    approved, other = grown(world.trust), grown(world.trust)
    approval = world.approve_trust(approved)
    with pytest.raises(TrustError) as caught:
        check_rotation(world.trust, other, approval, now=NOW)
    assert caught.value.code == "bad-rotation"


def test_only_an_officer_of_the_old_resource_approves(world: World) -> None:
    new = grown(world.trust, "officer-2027", "security-officer")
    stranger = World()
    with pytest.raises(TrustError) as caught:
        check_rotation(world.trust, new, stranger.approve_trust(new), now=NOW)
    assert caught.value.code == "unknown-key"
    body = Receipt("0193570e-0000-7000-8000-000000000042", "main", 42, ())
    receipt = signed(world.signers["sovereign"], trust_digest(new), body, "sovereign")
    with pytest.raises(TrustError) as caught:
        check_rotation(world.trust, new, receipt, now=NOW)
    assert caught.value.code == "bad-rotation"


@pytest.mark.parametrize("how", ["key-expired", "key-revoked"])
def test_an_officer_whose_key_is_over_cannot_date_an_approval_back(world: World, how: str) -> None:
    over = {"not_after": NOW - DAY} if how == "key-expired" else {"revoked": Revocation(at=NOW - DAY)}
    old = changed(world.trust, "security-officer-2026", **over)
    new = grown(old)
    approval = world.approve_trust(new, at=NOW - 9 * DAY)
    with pytest.raises(TrustError) as caught:
        check_rotation(old, new, approval, now=NOW)
    assert caught.value.code == how


def test_an_end_that_came_between_approval_and_use_is_no_harm(world: World) -> None:
    new = changed(grown(world.trust), "exporter-2026", not_after=NOW + DAY)
    approval = world.approve_trust(new, at=NOW)
    assert check_rotation(world.trust, new, approval, now=NOW + 3 * DAY).approved


def test_the_digest_is_of_what_is_said_and_not_of_the_text(world: World) -> None:
    same = replace(
        world.trust,
        raw=b"another text",
        keys=tuple(replace(key, public_key_pem=b"a comment\n" + key.public_key_pem) for key in world.trust.keys[::-1]),
        require=world.trust.require[::-1],
    )
    assert trust_digest(same) == trust_digest(world.trust)
    accept = changed(world.trust, "exporter-2026", revoked=Revocation(at=NOW, accept=()))
    others = [
        grown(world.trust),
        replace(world.trust, require=("delivery",)),
        replace(world.trust, sovereign="other"),
        changed(world.trust, "exporter-2026", not_before=NOW),
        changed(world.trust, "exporter-2026", not_after=NOW),
        changed(world.trust, "exporter-2026", role="station"),
        changed(world.trust, "exporter-2026", name="other"),
        changed(world.trust, "exporter-2026", public_key_pem=signer().public_key_pem),
        changed(world.trust, "exporter-2026", accept=(str(Digest.of(b"")),)),
        accept,
        changed(accept, "exporter-2026", revoked=Revocation(at=NOW, accept=(str(Digest.of(b"")),))),
    ]
    digests = {trust_digest(one) for one in others}
    assert len(digests) == len(others)
    assert trust_digest(world.trust) not in digests


def test_the_digest_covers_every_field() -> None:
    """A field that is added to the resource must be added to its digest, or an approval would not be about it."""
    assert {one.name for one in fields(Trust)} - {"raw"} == {"sovereign", "keys", "require", "verdicts"}
    assert {one.name for one in fields(TrustedKey)} == {
        "name", "role", "public_key_pem", "not_before", "not_after", "revoked", "accept",
    }  # fmt: skip
    assert {one.name for one in fields(Revocation)} == {"at", "accept"}
    limits = VerdictLimits(
        max_age=DAY, database_max_age=DAY, database_max_ages={"trivy-db": DAY}, required={"image": ("secret",)},
        blocks={"secret": "low"}, ignore_unfixed=True, partial=False,
    )  # fmt: skip
    assert len(limits.as_dict()) == len(fields(VerdictLimits))


def test_limits_for_verdicts_stay_and_their_values_are_approved(world: World) -> None:
    limits = VerdictLimits(max_age=30 * DAY, blocks={"vulnerability": "critical", "secret": "low"})
    old = replace(world.trust, verdicts=limits)
    assert trust_digest(old) != trust_digest(world.trust)
    told = check_rotation(world.trust, old, None, now=NOW).changes
    assert [one.detail for one in told] == [
        'verdicts.blocks: {"secret":"low","vulnerability":"critical"}', "verdicts.maxAge: 2592000",
    ]  # fmt: skip
    more = replace(old, verdicts=replace(limits, max_age=DAY))
    (change,) = check_rotation(old, more, None, now=NOW).changes
    assert (change.what, change.key, change.detail) == ("limits", "", "verdicts.maxAge: 2592000 -> 86400")
    # What makes a limit weaker may go.
    weak = replace(old, verdicts=replace(limits, ignore_unfixed=True))
    [change] = check_rotation(weak, old, None, now=NOW).changes
    assert change.detail == "verdicts.ignoreUnfixed: true -> null"
    less = (replace(limits, max_age=None), replace(limits, blocks={"vulnerability": "critical"}), None)
    whole = replace(old, verdicts=replace(limits, partial=False))
    assert [one.detail for one in check_rotation(old, whole, None, now=NOW).changes] == ["verdicts.partial: false"]
    with pytest.raises(TrustError, match=r"verdicts\.partial was a limit"):
        check_rotation(whole, old, None, now=NOW)
    for one, said in zip(less, ("verdicts.maxAge was", "verdicts.blocks: secret was", "verdicts.blocks"), strict=True):
        with pytest.raises(TrustError, match=said):
            check_rotation(old, replace(old, verdicts=one), None, now=NOW)


def test_a_role_without_a_successor_is_told_in_time(world: World) -> None:
    end = named(world.trust, "exporter-2026").not_after
    assert list(expiring(world.trust, NOW)) == []  # five weeks are left
    late = end - 20 * DAY
    assert dict(expiring(world.trust, late))["exporter"] == end
    overlaps = grown(world.trust, not_before=end - DAY)
    assert "exporter" not in dict(expiring(overlaps, late))
    gap = grown(world.trust, not_before=end + DAY)
    assert dict(expiring(gap, late))["exporter"] == end
    assert dict(expiring(world.trust, end + DAY))["exporter"] is None
    stolen = changed(world.trust, "exporter-2026", revoked=Revocation(at=NOW - DAY))
    assert dict(expiring(stolen, NOW)) == {"exporter": None}


def test_a_rotation_that_leaves_a_gap_says_so(world: World) -> None:
    new = changed(grown(world.trust, not_before=NOW + 5 * DAY), "exporter-2026", not_after=NOW + DAY)
    gap, late = check_rotation(world.trust, new, None, now=NOW).notes
    assert ("role exporter" in gap, "'exporter-2026' signed before" in late) == (True, True)
