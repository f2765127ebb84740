"""Signatures as cosign writes them, by a key of ours: what admission inside looks for.

Two layouts: the bundle of cosign v3 (a statement in a Sigstore bundle v0.3, attached by an OCI 1.1 `subject`), and the
older payload with its signature in an annotation (tag `sha256-<hex>.sig`). Sources: cosign, specs/BUNDLE_SPEC.md and
specs/SIGNATURE_SPEC.md; tried with cosign 3.1.3. Bytes in, bytes out: nothing here asks anybody.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airgap.canonical import canonical
from airgap.digest import Digest
from airgap.errors import AirgapError, TrustError
from airgap.graph import EMPTY_BLOB, OCI_CONFIG, OCI_EMPTY, OCI_MANIFEST, Descriptor, parse_json
from airgap.times import utc_text
from airgap.trust.dsse import BUNDLE_TYPE, open_bundle, sign_payload, verify
from airgap.trust.keys import PublicKey, Signer
from airgap.trust.statement import STATEMENT_TYPE
from airgap.trust.upstream.record import COSIGN_SIGN

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
"""The annotation with the signature of a layer, base64 (the older layout)."""
MAX_LAYERS = 100
"""Signatures in one older manifest that we add to: one a key and year is a handful."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest with its blobs: what is put into a registry, leaves first."""

    blobs: tuple[tuple[Descriptor, bytes], ...]
    manifest: Descriptor
    data: bytes


def signature_tag(subject: Digest) -> str:
    """Where the older layout keeps the signatures of a digest."""
    return f"sha256-{subject.hex}.sig"


def attestation_tag(subject: Digest) -> str:
    """Where the older layout keeps the attestations of a digest."""
    return f"sha256-{subject.hex}.att"


def statement(subject: Digest) -> bytes:
    """What cosign v3 signs: that the key's holder means this digest, and nothing about it."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"digest": {"sha256": subject.hex}}],
            "predicateType": COSIGN_SIGN,
            "predicate": {},
        }
    )


def sign_bundle(subject: Digest, signer: Signer) -> bytes:
    """A signature of `subject` as a bundle."""
    return sign_payload(statement(subject), signer)


def is_signed_by(bundle: bytes, subject: Digest, key: PublicKey) -> bool:
    """True for a bundle that `sign_bundle` made for this subject and this key. Anything else is somebody else's."""
    try:
        envelope = open_bundle(bundle, "a bundle")
    except TrustError:
        return False
    return envelope.payload == statement(subject) and verify(envelope, key)


def referrer(subject: Descriptor, bundle: bytes, created: datetime) -> Artifact:
    """The artifact that attaches a bundle to `subject`, which need not be in the same repository."""
    layer = Descriptor.of(BUNDLE_TYPE, bundle)
    config = Descriptor.of(OCI_EMPTY, EMPTY_BLOB)
    data = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": BUNDLE_TYPE,
            "config": _edge(config),
            "layers": [_edge(layer)],
            "subject": _edge(subject),
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": COSIGN_SIGN,
                "org.opencontainers.image.created": utc_text(created),
            },
        }
    )
    return Artifact(
        ((config, EMPTY_BLOB), (layer, bundle)), Descriptor.of(OCI_MANIFEST, data), data
    )


def simple_payload(subject: Digest, repository: str) -> bytes:
    """What the older layout signs; `repository` (host and path) is what cosign calls the docker-reference."""
    image = {"docker-manifest-digest": str(subject)}
    critical = {
        "identity": {"docker-reference": repository},
        "image": image,
        "type": "cosign container image signature",
    }
    return canonical({"critical": critical, "optional": None})


def simple_layers(manifest: bytes) -> list[dict[str, Any]]:
    """The layers of an older signature manifest, as they stand there; none for what is no such manifest."""
    try:
        document = parse_json(manifest, "a signature tag")
    except AirgapError:
        return []
    layers = document.get("layers") if isinstance(document, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        return []
    return layers


def simple_signature(layer: dict[str, Any], key: PublicKey, payload: bytes) -> bool:
    """True for a layer of the older layout that is `key`'s signature of exactly `payload`."""
    annotations = layer.get("annotations")
    text = annotations.get(SIGNATURE) if isinstance(annotations, dict) else None
    if layer.get("digest") != str(Digest.of(payload)) or not isinstance(text, str):
        return False
    try:
        signature = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return key.verify(payload, signature)


def simple(payload: bytes, signer: Signer, beside: Sequence[dict[str, Any]] = ()) -> Artifact:
    """The older manifest with our signature behind those in `beside`, which are kept as they are.

    Raises `TrustError` (`too-many-signatures`) where there are too many of them.
    """
    if len(beside) >= MAX_LAYERS:
        raise TrustError(
            "too-many-signatures", f"{len(beside)} signatures under one tag, at most {MAX_LAYERS}"
        )
    layer = Descriptor.of(SIMPLE_SIGNING, payload)
    signature = base64.b64encode(signer.sign(payload)).decode()
    layers = [*beside, _edge(layer) | {"annotations": {SIGNATURE: signature}}]
    diffs = [each["digest"] for each in layers]
    # An image's config, because the older layout pretends to be an image.
    config_data = _json(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        }
    )
    config = Descriptor.of(OCI_CONFIG, config_data)
    data = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _edge(config),
            "layers": layers,
        }
    )
    return Artifact(
        ((config, config_data), (layer, payload)), Descriptor.of(OCI_MANIFEST, data), data
    )


def _edge(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor without what its parent said of it: a platform says nothing about a subject."""
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
