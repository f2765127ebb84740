"""Which signed statements are believed: every refusal has its own code."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import EndedKeyError, InputError, TrustError
from airgap.resources.trust import ROLES, Revocation, Trust
from airgap.statements.approval import Approval
from airgap.statements.audited import Audit
from airgap.statements.dsse import sign_payload
from airgap.statements.predicates import Delivery, Predicate, Pull, Receipt
from airgap.statements.trust import (
    MAY_SIGN,
    Known,
    authenticate,
    authorise,
    check_may_sign,
    good_now,
    key_ring,
    verify_bundle,
)
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, World, signed, signer, statement, trusted

SUBJECT = Digest.of(b"AIRGAP.json")
BODIES: dict[str, Predicate] = {
    "pull": Pull({}),
    "delivery": Delivery(),
    "approval": Approval(None),
    "receipt": Receipt("id", "main", 1, ()),
    "audit": Audit("pass", deep=False, checked=0),
}
WORLD = World()


def code_of(data: bytes, trust: Trust = WORLD.trust, *, now: datetime = NOW, known: Known = Known.NOTHING) -> str:
    with pytest.raises(TrustError) as caught:
        verify_bundle(data, trust, "here", now=now, known=known)
    assert caught.value.hint
    assert "here" in caught.value.what
    return caught.value.code


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", sorted(BODIES))
def test_a_role_makes_its_own_statements_and_no_others(role: str, kind: str) -> None:
    data = signed(WORLD.signers[role], SUBJECT, BODIES[kind], role)
    if kind in MAY_SIGN[role]:
        verified = verify_bundle(data, WORLD.trust, "here", now=NOW)
        assert (verified.role, verified.key.name) == (role, f"{role}-2026")
        assert verified.statement.subject == SUBJECT
        assert verified.raw == data
        check_may_sign(role, kind)
    else:
        assert code_of(data) == "role-may-not"
        with pytest.raises(InputError) as caught:
            check_may_sign(role, kind)
        assert caught.value.code == "role-may-not"


def test_nobody_signs_with_a_role_that_is_none() -> None:
    with pytest.raises(InputError):
        check_may_sign("root", "delivery")


@pytest.mark.parametrize("claimed", ["station", "security-officer", "root", ""])
def test_a_key_does_not_speak_for_another_role(claimed: str) -> None:
    data = signed(WORLD.signers["exporter"], SUBJECT, Delivery(), claimed)
    assert code_of(data) == "wrong-role"


def test_a_key_that_is_not_listed() -> None:
    assert code_of(signed(signer(), SUBJECT, Delivery(), "exporter")) == "unknown-key"


def hinted(data: bytes, hint: str | None) -> bytes:
    document = json.loads(data)
    document["verificationMaterial"]["publicKey"] = {} if hint is None else {"hint": hint}
    return canonical(document)


def test_the_hint_is_not_needed_and_a_false_one_is_refused() -> None:
    data = signed(WORLD.signers["exporter"], SUBJECT, Delivery(), "exporter")
    for hint in (None, ""):
        assert verify_bundle(hinted(data, hint), WORLD.trust, "here", now=NOW).role == "exporter"
    for hint in ("junk", WORLD.signers["station"].key_id):
        assert code_of(hinted(data, hint)) == "hint-mismatch"


def test_a_known_key_whose_signature_does_not_fit() -> None:
    good = signed(WORLD.signers["exporter"], SUBJECT, Delivery(), "exporter")
    other = signed(signer(), SUBJECT, Delivery(), "exporter")
    key_id = WORLD.signers["exporter"].key_id
    assert code_of(hinted(other, key_id)) == "bad-signature"
    document = json.loads(good)
    document["dsseEnvelope"]["signatures"][0]["sig"] = "AAAA"
    assert code_of(canonical(document)) == "bad-signature"


def test_what_is_not_a_bundle_or_not_a_statement() -> None:
    assert code_of(b"{}") == "bad-bundle"
    assert code_of(sign_payload(b"{}", WORLD.signers["exporter"])) == "bad-statement"
    payload = statement(SUBJECT, Delivery(), "exporter").payload.replace(b"delivery/v1", b"new/v1")
    assert code_of(sign_payload(payload, WORLD.signers["exporter"])) == "unknown-statement"


START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (START - SECOND, "key-not-valid-then"),
        (START, ""),
        (END, ""),
        (END + SECOND, "key-not-valid-then"),
    ],
)
@pytest.mark.parametrize("known", Known)
def test_a_key_was_valid_when_it_signed_and_is_valid_now(at: datetime, code: str, known: Known) -> None:
    world = World()
    world.change_key("exporter", not_before=START, not_after=END)
    data = signed(world.signers["exporter"], SUBJECT, Delivery(), "exporter", at=at)
    for now in (END, END + SECOND, NOW):
        expected = code or ("key-expired" if now > END and not known else "")
        if expected:
            assert code_of(data, world.trust, now=now, known=known) == expected
        else:
            assert verify_bundle(data, world.trust, "here", now=now, known=known).statement.signed_at == at


def test_what_an_expired_key_signed_counts_by_name() -> None:
    world, other = World(), Digest.of(b"another")
    data = signed(world.signers["exporter"], SUBJECT, Delivery(), "exporter", at=END)
    for accept, within, code in [
        ((SUBJECT,), (), ""),
        ((other,), (), "key-expired"),
        ((other,), (other,), ""),  # all that it signed in that delivery
        ((SUBJECT,), (other,), ""),
    ]:
        world.change_key("exporter", not_after=END, accept=tuple(map(str, accept)))
        authentic = authenticate(data, key_ring(world.trust), "here")
        if code:
            with pytest.raises(EndedKeyError, match=f"(?s){code}") as caught:
                authorise(authentic, "here", now=NOW, within=within)
            assert f"add {SUBJECT} to `accept`" in caught.value.hint
        else:
            assert authorise(authentic, "here", now=NOW, within=within).role == "exporter"
    # Once it is revoked, only the list of the revocation counts.
    world.change_key("exporter", not_after=END, accept=(str(SUBJECT),), revoked=Revocation(at=END))
    assert code_of(data, world.trust) == "key-revoked"


@pytest.mark.parametrize(
    ("at", "accept", "code"),
    [
        (START - SECOND, (), "known"),
        (START - SECOND, (str(SUBJECT),), ""),
        (START, (), "key-revoked"),
        (START + DAY, (), "key-revoked"),
        (START + DAY, (str(SUBJECT),), ""),
        (START + DAY, (str(Digest.of(b"another")),), "key-revoked"),
    ],
)
def test_a_revoked_key_is_believed_for_what_was_accepted_before_and_what_is_named(
    at: datetime, accept: tuple[str, ...], code: str
) -> None:
    world = World()
    world.change_key("exporter", revoked=Revocation(at=START, accept=accept))
    data = signed(world.signers["exporter"], SUBJECT, Delivery(), "exporter", at=at)
    for known in Known:
        if code == "key-revoked" or (code == "known" and known < Known.CONTENT):
            assert code_of(data, world.trust, known=known) == "key-revoked"
        else:
            assert verify_bundle(data, world.trust, "here", now=NOW, known=known).role == "exporter"
    # A revocation that begins later does not count yet.
    world.change_key("exporter", revoked=Revocation(at=NOW + DAY))
    assert verify_bundle(data, world.trust, "here", now=NOW).role == "exporter"


def test_nothing_is_signed_in_the_future() -> None:
    data = signed(WORLD.signers["exporter"], SUBJECT, Delivery(), "exporter", at=NOW)
    assert verify_bundle(data, WORLD.trust, "here", now=NOW - HOUR).role == "exporter"
    assert code_of(data, now=NOW - HOUR - SECOND) == "signed-in-future"


def test_a_key_is_good_now_or_not() -> None:
    key = WORLD.trust.keys[0]
    assert good_now(key, NOW)
    assert not good_now(key, datetime(2027, 1, 2, tzinfo=UTC))
    assert not good_now(key, datetime(2025, 12, 31, tzinfo=UTC))
    assert not good_now(replace(key, revoked=Revocation(at=NOW)), NOW)
    assert good_now(replace(key, revoked=Revocation(at=NOW + DAY)), NOW)


def test_a_trust_resource_holds_together() -> None:
    one, two = signer(), signer()
    a, b = trusted("a", "exporter", one), trusted("b", "station", two)
    assert len(key_ring(Trust(sovereign=SOVEREIGN, keys=(a, b))).keys) == 2
    for keys, require, code in [
        ((), ("delivery",), "no-keys"),
        ((a,), (), "bad-require"),
        ((a,), ("delivery", "receipt"), "bad-require"),
        ((a,), ("trust-me",), "bad-require"),
        ((replace(a, public_key_pem=b"junk"),), ("delivery",), "bad-public-key"),
        ((replace(a, role="root"),), ("delivery",), "unknown-role"),
        ((replace(a, not_after=a.not_before),), ("delivery",), "bad-validity"),
        ((a, replace(b, name="a")), ("delivery",), "key-name-twice"),
        ((a, trusted("b", "station", one)), ("delivery",), "key-in-two-roles"),
        ((a, trusted("b", "exporter", one)), ("delivery",), "key-twice"),
    ]:
        with pytest.raises(TrustError) as caught:
            key_ring(Trust(sovereign=SOVEREIGN, keys=keys, require=require))
        assert caught.value.code == code


def test_one_key_in_two_roles_is_found_by_its_spki_not_its_pem() -> None:
    one = signer()
    a, b = trusted("a", "exporter", one), trusted("b", "station", one)
    b = replace(b, public_key_pem=b"another text around it\n" + b.public_key_pem)
    with pytest.raises(TrustError) as caught:
        key_ring(Trust(sovereign=SOVEREIGN, keys=(a, b)))
    assert caught.value.code == "key-in-two-roles"
