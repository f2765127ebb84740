"""Sigstore bundles, v0.1 to v0.3, and the in-toto statements that go into them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .ca import listed
from .keys import Signer, b64

BundleVersion = Literal["0.1", "0.2", "0.3", "0.3-alt"]
MEDIA_TYPES: dict[BundleVersion, str] = {
    "0.1": "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "0.2": "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "0.3": "application/vnd.dev.sigstore.bundle.v0.3+json",
    "0.3-alt": "application/vnd.dev.sigstore.bundle+json;version=0.3",
}
BUNDLE = MEDIA_TYPES["0.3"]
IN_TOTO = "application/vnd.in-toto+json"
STATEMENT_V1 = "https://in-toto.io/Statement/v1"
STATEMENT_V01 = "https://in-toto.io/Statement/v0.1"
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
SPDX = "https://spdx.dev/Document"
CYCLONEDX = "https://cyclonedx.org/bom"
SLSA = "https://slsa.dev/provenance/v1"


def dumps(value: Mapping[str, Any]) -> bytes:
    """Compact JSON in the order in which it was made."""
    return json.dumps(value, separators=(",", ":")).encode()


def hex_of(digest: str) -> str:
    """The digest without its algorithm."""
    return digest.removeprefix("sha256:")


def cosign_statement(digest: str, annotations: Mapping[str, str] | None = None) -> bytes:
    """What `cosign sign` of version 3 signs: a subject without a name, and no predicate."""
    subject = {"digest": {"sha256": hex_of(digest)}, "annotations": dict(annotations or {})}
    statement = {
        "_type": STATEMENT_V1,
        "subject": [subject],
        "predicateType": COSIGN_SIGN,
        "predicate": {},
    }
    return dumps(statement)


def attestation_statement(
    digest: str,
    predicate_type: str,
    predicate: Any,
    *,
    name: str = "registry.example/acme/app",
    kind: str = STATEMENT_V01,
) -> bytes:
    """What `cosign attest` signs."""
    statement = {
        "_type": kind,
        "predicateType": predicate_type,
        "subject": [{"name": name, "digest": {"sha256": hex_of(digest)}}],
        "predicate": predicate,
    }
    return dumps(statement)


def pae(payload: bytes, payload_type: str = IN_TOTO) -> bytes:
    """The bytes under an envelope's signature (DSSE, "pre-authentication encoding")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelope(payload: bytes, signature: bytes, payload_type: str = IN_TOTO) -> dict[str, Any]:
    """A DSSE envelope as bundles hold it: no key id."""
    signatures = [{"sig": b64(signature)}]
    return {"payload": b64(payload), "payloadType": payload_type, "signatures": signatures}


def message_signature(message: bytes, signature: bytes, signer: Signer) -> dict[str, Any]:
    """The other content of a bundle: a signature over a digest."""
    name, raw = signer.digest(message)
    digest = {"algorithm": name, "digest": b64(raw)}
    return {"messageSignature": {"messageDigest": digest, "signature": b64(signature)}}


def material(signer: Signer, version: BundleVersion) -> dict[str, Any]:
    """Who signed, as this version spells it."""
    if signer.certificate is None:
        return {"publicKey": {"hint": signer.hint}}
    chain = listed((signer.certificate,))
    if version in {"0.1", "0.2"}:
        return {"x509CertificateChain": chain}
    return {"certificate": chain["certificates"][0]}


def bundle(
    signer: Signer,
    content: Mapping[str, Any],
    *,
    entries: Sequence[Mapping[str, Any]] = (),
    stamps: Sequence[bytes] = (),
    version: BundleVersion = "0.3",
) -> bytes:
    """The whole bundle; `content` is a message signature or `{"dsseEnvelope": …}`."""
    who = material(signer, version)
    if entries:
        who["tlogEntries"] = list(entries)
    if stamps:
        listed_stamps = [{"signedTimestamp": b64(each)} for each in stamps]
        who["timestampVerificationData"] = {"rfc3161Timestamps": listed_stamps}
    made = {"mediaType": MEDIA_TYPES[version], "verificationMaterial": who, **content}
    return dumps(made)
