"""Managed keys: what they sign with, what came along, and when a key counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airgap.base.digest import Digest
from airgap.signatures.engines.keyed import check_key, verify_keyed
from airgap.signatures.formats.bundle import read_bundle
from airgap.signatures.record import Proof, Refusal, Signed, Status, UpstreamKey
from airgap.signatures.roots.trust_root import TrustRoot
from tests.parts.fake_sigstore import FakeSigstore, How, managed, public_pem
from tests.parts.fake_sigstore.bundles import BUNDLE
from tests.parts.fake_sigstore.keys import KeyKind

SIGSTORE = FakeSigstore()
AT = datetime(2024, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 27, tzinfo=UTC)
MANIFEST = b"an image"
IMAGE = Digest.of(MANIFEST)
ROOT = TrustRoot.load("fake", SIGSTORE.trusted_root(), None)
DAY = timedelta(days=1)


def key_of(key: Any, name: str = "alice", **window: Any) -> UpstreamKey:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return UpstreamKey(name, pem, **window)


ALICE, BOB = key_of(managed("alice").key), key_of(managed("bob").key, "bob")


def signed(**how: Any) -> Signed:
    """A bundle by alice's key, without a log entry unless asked for."""
    made = How(AT, **{"signer": managed("alice"), "log": "none", **how})
    return read_bundle(IMAGE, "referrer", BUNDLE, {}, SIGSTORE.sign_image(IMAGE, made), lambda: MANIFEST)


def refused(record: Signed, *keys: UpstreamKey, root: TrustRoot | None = None, now: datetime = NOW) -> Refusal:
    with pytest.raises(Refusal) as caught:
        verify_keyed(record, keys, root, now)
    return caught.value


def proof(record: Signed, *keys: UpstreamKey, root: TrustRoot | None = None, now: datetime = NOW) -> Proof:
    return verify_keyed(record, keys, root, now)


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
def test_each_kind_of_key_verifies_what_it_signed(kind: KeyKind) -> None:
    signer = managed("alice", kind)
    found = proof(signed(signer=signer), BOB, key_of(signer.key))
    assert (found.key_name, found.times, found.log_entries) == ("alice", (), ())
    der = signer.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert found.key == Digest.of(der)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
def test_a_curve_signs_with_sha256_and_another_hash_is_for_the_policy_to_name(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    record = signed()
    own = {
        "secp256r1": hashes.SHA512(),
        "secp384r1": hashes.SHA384(),
        "secp521r1": hashes.SHA512(),
    }[curve.name]

    def by(chosen: hashes.HashAlgorithm) -> Signed:
        return replace(record, hint="", signature=key.sign(record.message, ec.ECDSA(chosen)))

    assert proof(by(hashes.SHA256()), key_of(key)).key_name == "alice"
    refusal = refused(by(own), key_of(key), BOB)
    assert (refusal.reason, refusal.status) == ("unsupported-algorithm", Status.UNSUPPORTED)
    assert f"{{hashAlgorithm: {own.name}}}" in refusal.detail
    named = replace(key_of(key), hash_algorithm=own.name)
    assert proof(by(own), named).key_name == "alice"
    # What the policy names is the only one that counts.
    assert "SHA-256" in refused(by(hashes.SHA256()), named).detail
    other = replace(record, hint="", message=record.message + b" ")
    assert refused(other, key_of(key)).reason == "bad-signature"


def test_ed25519ph_is_unsupported_and_not_invalid() -> None:
    signing = pytest.importorskip("nacl.bindings", reason="needs airgap[cosign-keys]")
    record = signed(signer=managed("alice", "ed25519"))
    public, private = signing.crypto_sign_seed_keypair(b"s" * 32)
    state = signing.crypto_sign_ed25519ph_state()
    signing.crypto_sign_ed25519ph_update(state, record.message)
    hashed = signing.crypto_sign_ed25519ph_final_create(state, private)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    pem = Ed25519PublicKey.from_public_bytes(public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = UpstreamKey("alice", pem)
    refusal = refused(replace(record, hint="", signature=hashed), key)
    assert (refusal.reason, refusal.status) == ("unsupported-algorithm", Status.UNSUPPORTED)
    # What has another length is no signature of such a key in any mode.
    assert refused(replace(record, hint="", signature=hashed + b"\0"), key).reason == "bad-signature"


def test_the_hint_tells_another_key_from_a_bad_signature() -> None:
    good = signed()
    assert refused(good, BOB).reason == "wrong-key"
    assert refused(replace(good, hint=""), BOB).reason == "bad-signature"
    assert refused(replace(good, message=good.message + b" "), ALICE, BOB).reason == "bad-signature"
    assert refused(good).reason == "wrong-key"
    # It decides nothing else: any hint verifies.
    assert proof(replace(good, hint="junk"), ALICE).key_name == "alice"


RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("hashed", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda one: one.name)
@pytest.mark.parametrize("padded", ["pkcs1v15", "short", "long"])
def test_the_policy_names_hash_and_padding_of_an_rsa_key(hashed: Any, padded: str) -> None:
    lengths: dict[str, Any] = {"short": padding.PSS.DIGEST_LENGTH, "long": padding.PSS.MAX_LENGTH}
    how = padding.PSS(padding.MGF1(hashed), lengths[padded]) if padded in lengths else padding.PKCS1v15()
    record = signed()
    made = replace(record, hint="", signature=RSA.sign(record.message, how, hashed))
    name = "pss" if padded in lengths else "pkcs1v15"
    key = replace(key_of(RSA), hash_algorithm=hashed.name, rsa_padding=name)
    assert proof(made, BOB, key).key_name == "alice"
    altered = replace(made, message=made.message + b" ")
    assert refused(altered, key).reason == "bad-signature"
    for other in (replace(key, hash_algorithm="sha384"), replace(key, rsa_padding="pss"), key_of(RSA)):
        if (other.hash_algorithm, other.rsa_padding) != (hashed.name, name):
            refusal = refused(made, other)
            assert (refusal.reason, refusal.status) == ("unsupported-algorithm", Status.UNSUPPORTED)
            assert f"hashAlgorithm: {hashed.name}{', rsaPadding: pss' if name == 'pss' else ''}" in refusal.detail
        assert refused(altered, other).reason == "bad-signature"


@pytest.mark.parametrize("hashed", [hashes.SHA1(), hashes.SHA224()], ids=lambda one: one.name)
def test_hashes_that_no_policy_can_name_are_unsupported(hashed: Any) -> None:
    record = signed()
    made = replace(record, hint="", signature=RSA.sign(record.message, padding.PKCS1v15(), hashed))
    refusal = refused(made, key_of(RSA))
    assert (refusal.reason, refusal.status) == ("unsupported-algorithm", Status.UNSUPPORTED)
    assert "Ask for a signature with SHA-256" in refusal.detail


def test_the_encoding_is_that_of_cosign() -> None:
    record = signed()
    raw = b"\1" * 64
    assert refused(replace(record, signature=raw), ALICE).reason == "bad-signature"
    assert refused(replace(record, signature=b""), ALICE).reason == "bad-signature"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (ec.generate_private_key(ec.SECP256R1()), None),
        (ec.generate_private_key(ec.SECP384R1()), None),
        (ec.generate_private_key(ec.SECP521R1()), None),
        (rsa.generate_private_key(65537, 2048), None),
        (managed("alice", "ed25519").key, None),
        (rsa.generate_private_key(65537, 1024), "1024 bits"),
        (ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        (ed448.Ed448PrivateKey.generate(), "Ed448"),
        (dsa.generate_private_key(1024), "DSA"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_keys_outside_of_the_list_are_named(key: Any, said: str | None) -> None:
    found = check_key(key_of(key).pem)
    assert (found is None) if said is None else (found is not None and said in found)
    if said is not None:
        refusal = refused(signed(), key_of(key))
        assert (refusal.reason, refusal.status) == ("unsupported-algorithm", Status.UNSUPPORTED)


def test_what_is_no_public_key_is_named() -> None:
    assert "not a public key" in str(check_key(b"nonsense"))
    assert "private key" in str(check_key(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
    assert "at most" in str(check_key(b" " * 100_000))


def test_a_certificate_is_no_key() -> None:
    record = read_bundle(IMAGE, "x", BUNDLE, {}, SIGSTORE.sign_image(IMAGE, How(AT)), lambda: MANIFEST)
    assert refused(record, ALICE, root=ROOT).reason == "identity-for-key"


# --- log entries, time stamps, and the windows of keys -----------------------------------------


def test_what_came_along_is_verified_where_there_is_a_root() -> None:
    found = proof(signed(log="v1", stamp=True), ALICE, root=ROOT)
    assert [source for source, _ in found.times] == ["log", "tsa"]
    assert [moment - AT for _, moment in found.times] == [
        timedelta(seconds=5),
        timedelta(seconds=3),
    ]
    [(log, _)] = found.log_entries
    assert ROOT.log(bytes.fromhex(log))
    # Without a root nobody can say whether it holds: nothing is claimed of it.
    assert proof(signed(log="v1", stamp=True), ALICE).times == ()
    assert proof(signed(log="v1", stamp=True), ALICE).log_entries == ()


def test_what_came_along_must_hold() -> None:
    other = FakeSigstore("other")
    assert refused(signed(log="v1", rekor=other.rekor), ALICE, root=ROOT).reason == "unknown-log"
    assert refused(signed(stamp=True, tsa=other.tsa), ALICE, root=ROOT).reason == "unknown-tsa"
    record = signed(log="v1")
    [entry] = record.entries
    bad = replace(entry, integrated_time=entry.integrated_time + 1)
    assert refused(replace(record, entries=(bad,)), ALICE, root=ROOT).reason == "bad-promise"
    [foreign] = signed(log="v1", signer=managed("bob")).entries
    assert refused(replace(record, entries=(foreign,)), ALICE, root=ROOT).reason == "entry-mismatch"
    [another] = read_bundle(
        IMAGE,
        "x",
        BUNDLE,
        {},
        SIGSTORE.sign_image(Digest.of(b"y"), How(AT, signer=managed("alice"))),
        lambda: MANIFEST,
    ).entries
    assert refused(replace(record, entries=(another,)), ALICE, root=ROOT).reason == "entry-mismatch"


def test_a_time_in_the_future_is_refused() -> None:
    record = signed(log="v1")
    assert refused(record, ALICE, root=ROOT, now=AT - DAY).reason == "signed-in-future"
    assert proof(record, ALICE, root=ROOT, now=AT - timedelta(minutes=30)).times


def test_a_key_counts_at_the_time_that_is_proven() -> None:
    record = signed(log="v1")
    then = replace(ALICE, not_before=AT - DAY, not_after=AT + DAY)
    assert proof(record, then, root=ROOT).key_name == "alice"
    early, late = replace(ALICE, not_before=AT + DAY), replace(ALICE, not_after=AT - DAY)
    assert refused(record, early, root=ROOT).reason == "key-not-valid"
    assert refused(record, late, root=ROOT).reason == "key-not-valid"


def test_without_a_time_today_decides() -> None:
    then = replace(ALICE, not_before=AT - DAY, not_after=AT + DAY)
    # The entry proves nothing without a root, so the key's end counts.
    assert refused(signed(log="v1"), then).reason == "key-not-valid"
    assert refused(signed(), then, root=ROOT).reason == "key-not-valid"
    assert proof(signed(), then, now=AT).key_name == "alice"
    assert refused(signed(), replace(ALICE, not_before=NOW + DAY)).reason == "key-not-valid"
    assert "no time" in refused(signed(), then).detail
    assert proof(signed(), ALICE).key_name == "alice"


def test_the_log_may_be_the_second_version() -> None:
    found = proof(signed(log="v2", stamp=True), ALICE, root=ROOT)
    assert [source for source, _ in found.times] == ["tsa"]
    assert len(found.log_entries) == 1


def test_a_rule_may_insist_on_a_log() -> None:
    assert verify_keyed(signed(log="v1"), [ALICE], ROOT, NOW, logged=True).log_entries
    for record, trust in ((signed(), ROOT), (signed(log="v1"), None)):
        with pytest.raises(Refusal) as caught:
            verify_keyed(record, [ALICE], trust, NOW, logged=True)
        assert caught.value.reason == "not-logged"


def test_a_key_reads_the_same_from_any_pem() -> None:
    spaced = replace(ALICE, pem=b"# a comment\n" + public_pem(managed("alice").key) + b"\n")
    assert proof(signed(), spaced).key == proof(signed(), ALICE).key
    assert signed().hint
