"""The router: what a signature means to a demand, whatever its format, and that nothing but verified is verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.signatures import verify as router
from airgap.signatures.engines import keyed, keyless
from airgap.signatures.formats.bundle import read_bundle
from airgap.signatures.formats.envelope import read_envelope
from airgap.signatures.formats.simple_signing import read_simple_signing
from airgap.signatures.record import (
    COSIGN_SIGN,
    MAX_SAID,
    SIGNATURE,
    Identity,
    SignatureLayout,
    Signed,
    Status,
    Unread,
    UpstreamKey,
    VerificationResult,
)
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.verify import Demand, verify
from tests.parts.fake_sigstore import ISSUER, SAN, FakeSigstore, How, managed, public_pem
from tests.parts.fake_sigstore.bundles import (
    BUNDLE,
    SPDX,
    STATEMENT_V1,
    attestation_statement,
    dumps,
)

SIGSTORE = FakeSigstore()
AT = datetime(2024, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 27, tzinfo=UTC)
IMAGE, OTHER = Digest.of(b"an image"), Digest.of(b"another")
ROOT = TrustRoot.load("fake", SIGSTORE.trusted_root(), None)
WHO = (Identity(ISSUER, SAN),)
KEYS = (UpstreamKey("alice", public_pem(managed("alice").key)),)
CERT, KEY = How(AT), How(AT, signer=managed("alice"), log="none")
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"

Make = Callable[[Digest, How], Signed]


def bundle(blob: bytes, subject: Digest = IMAGE) -> Signed:
    return read_bundle(subject, "referrer", BUNDLE, {}, blob, lambda: b"")


def new_signature(about: Digest, how: How) -> Signed:
    return bundle(SIGSTORE.sign_image(about, how))


def old_signature(about: Digest, how: How) -> Signed:
    layer = SIGSTORE.old_signature(about, how)
    return read_simple_signing(IMAGE, "tag", layer.annotations, layer.blob)


def new_attestation(about: Digest, how: How) -> Signed:
    return bundle(SIGSTORE.attest(about, SPDX, {"a": 1}, how))


def old_attestation(about: Digest, how: How) -> Signed:
    layer = SIGSTORE.old_attestation(about, SPDX, {"a": 1}, how)
    return read_envelope(IMAGE, "tag", layer.annotations, layer.blob)


SIGNATURES: list[Make] = [new_signature, old_signature]
ATTESTATIONS: list[Make] = [new_attestation, old_attestation]


def demand(how: How, want: str = SIGNATURE, **more: Any) -> Demand:
    """What accepts `how`."""
    who: dict[str, Any] = {"keys": KEYS} if how is KEY else {"identities": WHO, "root": ROOT}
    return Demand(want, now=NOW, **{**who, **more})


both = pytest.mark.parametrize("how", [CERT, KEY], ids=["certificate", "key"])
every = pytest.mark.parametrize("make", [*SIGNATURES, *ATTESTATIONS], ids=lambda make: make.__name__)


def wanted(make: Make) -> str:
    return SIGNATURE if make in SIGNATURES else SPDX


@both
@every
def test_each_format_verifies_by_key_and_by_certificate(make: Make, how: How) -> None:
    record = make(IMAGE, how)
    found = verify(record, demand(how, wanted(make)))
    assert (found.status, found.reason, found.detail) == (Status.VERIFIED, "", "")
    assert found.payload == record.payload
    assert found.predicate_type == ("" if make in SIGNATURES else SPDX)
    assert found.proof is not None
    if how is KEY:
        assert (found.proof.key_name, found.trust_root, found.trust_root_digest) == (
            "alice",
            "",
            None,
        )
    else:
        assert (found.proof.identity, found.proof.issuer) == (SAN, ISSUER)
        assert (found.trust_root, found.trust_root_digest) == ("fake", ROOT.digest)


@both
@every
def test_what_is_about_another_artifact_does_not_count(make: Make, how: How) -> None:
    found = verify(make(OTHER, how), demand(how, wanted(make)))
    assert (found.status, found.reason) == (Status.FAILED, "wrong-subject")
    assert found.payload == b""
    assert found.proof is None


@every
def test_a_key_is_no_identity_and_an_identity_no_key(make: Make) -> None:
    crossed = verify(make(IMAGE, KEY), demand(CERT, wanted(make)))
    assert crossed.reason == "key-for-identity"
    crossed = verify(make(IMAGE, CERT), demand(KEY, wanted(make), root=ROOT))
    assert crossed.reason == "identity-for-key"
    nobody = Demand(wanted(make), now=NOW, root=ROOT)
    assert verify(make(IMAGE, KEY), nobody).reason == "key-for-identity"
    assert verify(make(IMAGE, CERT), nobody).reason == "identity-for-key"


@both
def test_an_attestation_is_no_signature_and_a_signature_no_attestation(how: How) -> None:
    for make in ATTESTATIONS:
        found = verify(make(IMAGE, how), demand(how))
        assert (found.reason, found.predicate_type) == ("not-a-signature", SPDX)
        assert verify(make(IMAGE, how), demand(how, VULN)).reason == "wrong-predicate-type"
    for make in SIGNATURES:
        for want in (SPDX, COSIGN_SIGN):
            found = verify(make(IMAGE, how), demand(how, want))
            assert (found.reason, found.predicate_type) == ("wrong-predicate-type", "")
    # What the reader noted of it is not believed.
    lying = replace(new_attestation(IMAGE, how), attestation=False)
    assert verify(lying, demand(how)).reason == "not-a-signature"


@both
def test_the_digest_must_be_among_the_subjects(how: How) -> None:
    one = {"digest": {"sha256": OTHER.hex}}
    for subjects, reason in (
        ([one, {"name": "x", "digest": {"sha512": "ab", "sha256": IMAGE.hex}}], ""),
        ([one, one], "wrong-subject"),
        ([{"digest": {"sha512": "ab"}}], "wrong-subject"),
        ([{"name": str(IMAGE), "digest": {"gitCommit": IMAGE.hex}}], "wrong-subject"),
    ):
        statement = {"_type": STATEMENT_V1, "subject": subjects, "predicateType": COSIGN_SIGN}
        found = verify(bundle(SIGSTORE.sign_statement(dumps(statement), how)), demand(how))
        assert found.reason == reason


@both
def test_statements_of_both_versions_count(how: How) -> None:
    for kind in ("https://in-toto.io/Statement/v0.1", STATEMENT_V1):
        statement = attestation_statement(IMAGE, SPDX, {}, kind=kind)
        found = verify(bundle(SIGSTORE.sign_statement(statement, how)), demand(how, SPDX))
        assert found.verified


def test_what_is_altered_does_not_verify() -> None:
    record = new_signature(IMAGE, KEY)
    for altered, reason in (
        (replace(record, signature=record.signature[:-1] + b"\0"), "bad-signature"),
        (replace(record, message=record.message + b" "), "bad-signature"),
        (replace(record, payload=b"x"), "bad-payload"),
        (replace(record, payload_type="text/plain"), "wrong-payload-type"),
        (replace(record, payload_type=""), "wrong-payload-type"),
        (replace(record, subject=OTHER), "wrong-subject"),
    ):
        found = verify(altered, demand(KEY))
        assert (found.status, found.reason) == (Status.FAILED, reason)
        assert found.detail


def test_an_unsupported_algorithm_is_said_to_be_one() -> None:
    found = verify(new_signature(IMAGE, KEY), demand(KEY, keys=(UpstreamKey("odd", b"no key"),)))
    assert (found.status, found.reason) == (Status.UNSUPPORTED, "unsupported-algorithm")


def test_a_certificate_needs_a_trust_root() -> None:
    found = verify(new_signature(IMAGE, CERT), demand(CERT, root=None))
    assert (found.status, found.reason) == (Status.FAILED, "no-trust-root")


def test_the_wrong_identity_is_named() -> None:
    found = verify(new_signature(IMAGE, CERT), demand(CERT, identities=(Identity(ISSUER, "a@b.example"),)))
    assert (found.status, found.reason) == (Status.FAILED, "wrong-identity")


def test_what_could_not_be_read_stays_what_it_is() -> None:
    unread = Unread(IMAGE, "tag", SignatureLayout.SBOM, Status.ABSENT, "unsigned", "nobody signed it")
    expected = VerificationResult(Status.ABSENT, IMAGE, "tag", SignatureLayout.SBOM, "unsigned", "nobody signed it")
    assert verify(unread, demand(KEY)) == expected


@pytest.mark.parametrize("error", [TypeError("x" * 1000), KeyError("a"), RecursionError(), AssertionError()])
def test_no_exception_of_a_library_reaches_the_caller(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(router, "verify_keyed", broken)
    monkeypatch.setattr(keyless, "verify_keyless", broken)
    for how in (KEY, CERT):
        found = verify(new_signature(IMAGE, how), demand(how))
        assert (found.status, found.reason) == (Status.FAILED, "verifier-error")
        assert type(error).__name__ in found.detail
        assert len(found.detail) <= MAX_SAID


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise InputError("missing-extra", "sigstore is not installed")

    monkeypatch.setattr(keyless, "verify_keyless", missing)
    with pytest.raises(InputError):
        verify(new_signature(IMAGE, CERT), demand(CERT))


def test_both_engines_allow_clocks_the_same() -> None:
    assert vars(keyed)["CLOCK_SKEW"] == vars(keyless)["CLOCK_SKEW"]
