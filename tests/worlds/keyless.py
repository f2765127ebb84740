"""Records of what the fake Sigstore signed, and the answer about each: what tests of upstream signatures share."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airgap.base.digest import Digest
from airgap.signatures.engines.keyless import verify_keyless
from airgap.signatures.formats.bundle import read_bundle
from airgap.signatures.formats.envelope import read_envelope
from airgap.signatures.formats.simple_signing import SIMPLE_SIGNING, read_simple_signing
from airgap.signatures.record import Identity, Refusal, Signed
from airgap.signatures.roots.trust_root import TrustRoot
from tests.parts.fake_sigstore import ISSUER, SAN, FakeSigstore, How, Layer

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SUBJECT = Digest("sha256:" + "5a" * 32)
MANIFEST = b'{"schemaVersion":2}'
"""What bundles sign that have a message signature: the bytes of a manifest, which are not `SUBJECT`'s."""
SPDX = "https://spdx.dev/Document"
SIGNER = Identity(ISSUER, SAN)
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

SIGSTORE = FakeSigstore()
OTHER = FakeSigstore("other")


def root(sigstore: FakeSigstore = SIGSTORE, /, **lists: Any) -> TrustRoot:
    """The instance's trust root; `lists` are other authorities, logs, ct_logs or stampers than all of it."""
    contents = replace(sigstore.contents(), **lists)
    return TrustRoot.load(sigstore.seed, sigstore.trusted_root(contents), None)


ROOT = root()


def read(made: bytes | Layer, subject: Digest = SUBJECT, *, bundle_type: str = "") -> Signed:
    """The record of a bundle or a layer; `bundle_type` is its layer's where the bundle says another."""
    if isinstance(made, bytes):
        layer = bundle_type or json.loads(made)["mediaType"]
        return read_bundle(subject, "here", layer, {}, made, lambda: MANIFEST)
    reader = read_simple_signing if made.media_type == SIMPLE_SIGNING else read_envelope
    return reader(subject, "here", made.annotations, made.blob)


def bundle(how: How, sigstore: FakeSigstore = SIGSTORE) -> Signed:
    """A cosign v3 signature."""
    return read(sigstore.sign_image(SUBJECT, how))


def old(how: How, sigstore: FakeSigstore = SIGSTORE) -> Signed:
    """A simple-signing set."""
    return read(sigstore.old_signature(SUBJECT, how))


def attestation(how: How, sigstore: FakeSigstore = SIGSTORE) -> Signed:
    """A layer with an envelope."""
    return read(sigstore.old_attestation(SUBJECT, SPDX, {}, how))


def answer(signed: Signed, trust: TrustRoot = ROOT, now: datetime = NOW) -> str:
    """`verified`, or the reason why not."""
    try:
        verify_keyless(signed, trust, [SIGNER], now)
    except Refusal as refusal:
        return refusal.reason
    return "verified"
