"""Signatures and attestations as cosign writes them, made with a key of this Sovereign, for admission control inside.

Two layouts: the bundle of cosign v3 (a statement in a Sigstore bundle v0.3, attached by an OCI 1.1 `subject`), and the
older one: for a signature a payload with the signature in an annotation (tag `sha256-<hex>.sig`), for an attestation a
DSSE envelope (tag `sha256-<hex>.att`). Sources: cosign, specs/BUNDLE_SPEC.md, specs/SIGNATURE_SPEC.md and
specs/ATTESTATION_SPEC.md; tried with cosign 3.1.3. Bytes in, bytes out: nothing here uses the network.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, IntegrityError, TrustError
from airgap.base.json_fields import Fields
from airgap.base.strict_json import parse_json
from airgap.base.times import utc_text
from airgap.content.graph import EMPTY_BLOB, OCI_CONFIG, OCI_EMPTY, OCI_MANIFEST, Descriptor, descriptor_from
from airgap.content.reference import referrers_tag
from airgap.signatures.formats.envelope import DSSE_ENVELOPE
from airgap.signatures.formats.simple_signing import SIGNATURE, SIMPLE_SIGNING
from airgap.signatures.record import COSIGN_SIGN
from airgap.signatures.sbom import CYCLONEDX
from airgap.signatures.scanner_report import VULNERABILITIES, Report
from airgap.signatures.scanner_sbom import ScannerSbom
from airgap.statements.dsse import (
    BUNDLE_TYPE,
    MAX_BUNDLE,
    MAX_EVIDENCE_BUNDLE,
    PAYLOAD_TYPE,
    Envelope,
    open_bundle,
    pae,
    sign_payload,
    verify,
)
from airgap.statements.keys.file import PublicKey, Signer
from airgap.statements.statement import STATEMENT_TYPE

PREDICATE = "dev.sigstore.bundle.predicateType"
"""The annotation of a bundle's manifest that names its statement's type. cosign trusts only the statement."""
EMPTY = Descriptor.of(OCI_EMPTY, EMPTY_BLOB), EMPTY_BLOB
"""The config of every manifest that `referrer` makes; it is not among the artifact's blobs."""
MAX_LAYERS = 100
"""Signatures in one older manifest to which airgap adds: one for each key and year is a handful."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What airgap claims about one digest: that it approves it (a signature), or what a scanner reported about it."""

    subject: Digest
    predicate_type: str
    predicate: Callable[[], bytes]
    """Gives JSON, which is copied into the statement byte for byte."""

    @property
    def statement(self) -> bytes:
        """The in-toto statement. It is the signed content, except for a signature in the older layout."""
        rest = {
            "predicateType": self.predicate_type,
            "subject": [{"digest": {"sha256": self.subject.hex}}],
        }
        head = b'{"_type":' + canonical(STATEMENT_TYPE) + b',"predicate":'
        return head + self.predicate() + b"," + canonical(rest)[1:]

    @property
    def is_signature(self) -> bool:
        """True for what cosign calls a signature, false for an attestation."""
        return self.predicate_type == COSIGN_SIGN

    @property
    def tag(self) -> str:
        """The tag under which the older layout keeps it."""
        return (signature_tag if self.is_signature else attestation_tag)(self.subject)

    @property
    def limit(self) -> int:
        """Maximum bytes of an envelope or bundle of such a claim: larger ones are not read."""
        return MAX_BUNDLE if self.is_signature else MAX_EVIDENCE_BUNDLE


def signature(subject: Digest) -> Claim:
    """Claims that the key's holder approves this digest, and nothing else about it, as `cosign sign` (v3) does."""
    return Claim(subject, COSIGN_SIGN, lambda: b"{}")


def vulnerabilities(report: Report) -> Claim:
    """Claims what a scanner reported, with its report unchanged, as `cosign attest --type vuln` does."""
    return Claim(report.subject, VULNERABILITIES, report.data.strip)


def components(sbom: ScannerSbom) -> Claim:
    """Claims of what it consists, with the scanner's SBOM unchanged, as `cosign attest --type cyclonedx` does."""
    return Claim(sbom.subject, CYCLONEDX, sbom.text)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest with its blobs, to be put into a registry leaves first."""

    blobs: tuple[tuple[Descriptor, bytes], ...]
    manifest: Descriptor
    data: bytes


def signature_tag(subject: Digest) -> str:
    """The tag under which the older layout keeps the signatures of a digest."""
    return referrers_tag(subject) + ".sig"


def attestation_tag(subject: Digest) -> str:
    """The tag under which the older layout keeps the attestations of a digest."""
    return referrers_tag(subject) + ".att"


def sign_bundle(claim: Claim, signer: Signer) -> bytes:
    """Signs a claim; returns the bundle."""
    return sign_payload(claim.statement, signer)


def is_signed_by(bundle: bytes, claim: Claim, key: PublicKey) -> bool:
    """True for a bundle that `sign_bundle` made of this claim with this key. Any other bundle is another party's."""
    try:
        envelope = open_bundle(bundle, "a bundle", claim.limit)
    except TrustError:
        return False
    return envelope.payload == claim.statement and verify(envelope, key)


def referrer(subject: Descriptor, claim: Claim, bundle: bytes, created: datetime) -> Artifact:
    """The artifact that attaches a claim's bundle to `subject`, which need not be in the same repository.

    Its config is `EMPTY`, which must be put before it.
    """
    layer = Descriptor.of(BUNDLE_TYPE, bundle)
    config, _ = EMPTY
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
                PREDICATE: claim.predicate_type,
                "org.opencontainers.image.created": utc_text(created),
            },
        }
    )
    return Artifact(((layer, bundle),), Descriptor.of(OCI_MANIFEST, data), data)


def simple_payload(subject: Digest, repository: str) -> bytes:
    """The payload that the older layout signs. `repository` (host and path) is cosign's docker-reference."""
    image = {"docker-manifest-digest": str(subject)}
    critical = {
        "identity": {"docker-reference": repository},
        "image": image,
        "type": "cosign container image signature",
    }
    return canonical({"critical": critical, "optional": None})


def older_layers(manifest: bytes) -> list[dict[str, Any]]:
    """The layers of a manifest of the older layout, unchanged; an empty list if it is not such a manifest."""
    try:
        document = parse_json(manifest, "a signature tag")
    except AirgapError:
        return []
    layers = document.get("layers") if isinstance(document, dict) else None
    if not isinstance(layers, list):
        return []
    good = all(isinstance(one, dict) and isinstance(one.get("digest"), str) for one in layers)
    return layers if good else []


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


def simple_layer(payload: bytes, signer: Signer) -> dict[str, Any]:
    """The layer of a signature in the older layout; its blob is the payload."""
    text = base64.b64encode(signer.sign(payload)).decode()
    return _edge(Descriptor.of(SIMPLE_SIGNING, payload)) | {"annotations": {SIGNATURE: text}}


def envelope(claim: Claim, signer: Signer) -> bytes:
    """An attestation in the older layout: a DSSE envelope, without the `keyid` that cosign refuses."""
    sig = base64.b64encode(signer.sign(pae(claim.statement))).decode()
    payload = base64.b64encode(claim.statement).decode()
    return canonical({"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": sig}]})


def envelope_layer(claim: Claim, data: bytes) -> dict[str, Any]:
    """The layer of an attestation in the older layout; its blob is the envelope."""
    said = {"predicateType": claim.predicate_type, SIGNATURE: ""}
    return _edge(Descriptor.of(DSSE_ENVELOPE, data)) | {"annotations": said}


def envelope_blob(layer: dict[str, Any], claim: Claim) -> Descriptor | None:
    """The blob of a layer that may be the claim in the older layout, `None` if it is not worth reading."""
    said = layer.get("annotations")
    if not isinstance(said, dict) or said.get("predicateType") != claim.predicate_type:
        return None
    try:
        blob = descriptor_from(layer, "a layer")
    except IntegrityError:
        return None
    return blob if blob.media_type == DSSE_ENVELOPE and blob.size <= claim.limit else None


def is_enveloped_by(data: bytes, claim: Claim, key: PublicKey) -> bool:
    """True for an envelope that `envelope` made of this claim with this key."""
    if len(data) > claim.limit:
        return False
    try:
        found = Fields.parse(data, {"payload", "payloadType", "signatures"}, "an envelope", _strange)
        found.exactly("payloadType", PAYLOAD_TYPE)
        signatures = [one.binary("sig") for one in found.each("signatures", {"sig"})]
        payload = found.binary("payload")
    except TrustError:
        return False
    return payload == claim.statement and any(verify(Envelope(payload, one, "", data), key) for one in signatures[:1])


def older(layer: dict[str, Any], data: bytes, beside: Sequence[dict[str, Any]] = ()) -> Artifact:
    """The older manifest with the new layer (its blob is `data`) after those in `beside`, which are kept unchanged.

    Raises `TrustError` (`too-many-signatures`) if there are too many of them.
    """
    if len(beside) >= MAX_LAYERS:
        raise TrustError(
            "too-many-signatures", f"the tag would contain {len(beside)} signatures, expected at most {MAX_LAYERS}"
        )
    layers = [*beside, layer]
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
    made = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _edge(config),
            "layers": layers,
        }
    )
    blob = Descriptor.of(layer["mediaType"], data)
    return Artifact(((config, config_data), (blob, data)), Descriptor.of(OCI_MANIFEST, made), made)


def _strange(what: str) -> AirgapError:
    return TrustError("bad-bundle", what)


def _edge(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor without what its parent stated about it: a subject has no platform."""
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
