"""Sigstore's own conformance suite: what every client must accept, and what none may accept.

Its data is in tests/suites/sigstore-conformance. A bundle is read as one that refers to a manifest, and the suite's
artifact takes the place of the manifest. We accept and refuse what the suite demands, in all 70 cases; there is no case
in which we are stricter on purpose.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.signatures.formats.bundle import read_bundle
from airgap.signatures.record import SIGNATURE, Identity, Refusal, UpstreamKey
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.signatures.verify import Demand, verify

SUITE = Path(__file__).parents[1] / "suites" / "sigstore-conformance"
CASES = sorted(path.name for path in SUITE.iterdir() if path.is_dir())
NOW = datetime(2026, 11, 30, tzinfo=UTC)
PUBLIC = Digest("sha256:6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66")
BEACON = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon"
IDENTITY = f"{BEACON}/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"
REFUSED = {
    "bad-bundle": (
        "bundle-empty-certificate-chain",
        "bundle-invalid-base64-signature",
        "bundle-malformed-json",
        "bundle-negative-log-index",
        "bundle-with-root-cert",  # and it has no checkpoint
        "invalid-inclusion-proof",
        "rekor2-timestamp-with-incorrect-time",  # its base64 is broken
    ),
    "bad-promise": ("incorrect-public-key", "set-invalid-signature"),
    "bad-proof": (
        "checkpoint-bad-keyhint",
        "checkpoint-wrong-roothash",
        "inclusion-proof-corrupted-hash",
        "intoto-missing-inclusion-proof",
        "invalid-checkpoint-signature",
        "rekor2-checkpoint-missing-log-signature",
        "rekor2-checkpoint-missing-origin",
        "rekor2-checkpoint-missing-root-hash",
        "rekor2-checkpoint-missing-size",
        "rekor2-checkpoint-no-matching-signature",
        "rekor2-no-inclusion-proof",
    ),
    "bad-signature": ("dsse-invalid-sig", "rekor2-dsse-invalid-sig", "signature-mismatch"),
    "bad-timestamp": ("rekor2-timestamp-payload-mismatch",),
    "bad-trust-root": ("trust-root-tlog-missing-validity-start",),
    "certificate-expired": (
        "integrated-time-in-future",
        "intoto-expired-certificate",
        "intoto-set-outside-signing-cert-validity",
        "intoto-tsa-timestamp-outside-cert-validity",
        "rekor2-timestamp-outside-tsa-cert-validity",
    ),
    "entry-mismatch": (
        "dsse-mismatch-envelope",
        "dsse-mismatch-sig",
        "intoto-log-entry-mismatch",
        "rekor2-dsse-mismatch-envelope",
        "rekor2-dsse-mismatch-sig",
        "wrong-hashedrekord-artifact",
        "wrong-hashedrekord-cert-and-sig",
        "wrong-hashedrekord-entry",
    ),
    "key-for-identity": ("managed-key-no-key",),
    "no-time": ("rekor2-no-timestamp",),
    "outside-window": ("rekor2-timestamp-outside-trust-root-tsa-validity",),
    "unknown-ct-log": ("invalid-ct-key",),
    "unknown-log": ("bundle-from-wrong-instance",),
    "unknown-tsa": (
        "rekor2-timestamp-untrusted-tsa-with-embedded-cert",
        "rekor2-timestamp-untrusted-tsa-without-embedded-cert",
    ),
    "unsupported-algorithm": ("managed-key-wrong-key",),  # what key.pub contains is no key
    "unsupported-format": ("bundle-unknown-version",),
    "wrong-subject": ("message-digest-mismatch", "wrong-material"),
}
"""Why we refuse what must be refused."""
REASONS = {f"{case}_fail": reason for reason, cases in REFUSED.items() for case in cases}


def file(case: Path, name: str, default: str) -> str:
    """What a case gives in place of a default."""
    path = case / name
    return path.read_text().strip() if path.exists() else default


def trust_root(case: Path) -> TrustRoot:
    """That of the case, or that of the public instance as sigstore-python ships it."""
    own = case / "trusted_root.json"
    if own.exists():
        return TrustRoot.load("suite", own.read_bytes(), None)
    folder = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
    data = resources.files("sigstore._store").joinpath(folder, "trusted_root.json").read_bytes()
    return TrustRoot.load("public", data, PUBLIC)


def answer(case: Path) -> str:
    """`""` if we accept the bundle, otherwise the reason."""
    artifact, key = case / "artifact", case / "key.pub"
    data = (artifact if artifact.exists() else SUITE / "a.txt").read_bytes()
    blob = (case / "bundle.sigstore.json").read_bytes()
    keys = (UpstreamKey("suite", key.read_bytes()),) if key.exists() else ()
    signer = Identity(file(case, "issuer", ISSUER), file(case, "identity", IDENTITY))
    try:
        root = trust_root(case)
        signed = read_bundle(Digest.of(data), "suite", _media_type(blob), {}, blob, lambda: data)
    except Refusal as refusal:
        return refusal.reason
    except TrustError as error:
        return error.code
    # The suite asks about the artifact, whatever an envelope says of it.
    want = signed.statement.predicate_type if signed.statement else SIGNATURE
    demand = Demand(want, identities=() if keys else (signer,), keys=keys, root=root, now=NOW)
    return verify(signed, demand).reason


def _media_type(blob: bytes) -> str:
    try:
        return str(json.loads(blob)["mediaType"])
    except ValueError:
        return "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_suite(name: str) -> None:
    assert answer(SUITE / name) == REASONS.get(name, "")


def test_all_cases_are_here_and_all_that_must_fail_have_a_reason() -> None:
    assert len(CASES) == 70
    assert {name for name in CASES if name.endswith("_fail")} == set(REASONS)
