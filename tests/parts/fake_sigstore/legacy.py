"""What cosign wrote before bundles: layers whose descriptors' annotations hold the signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding

from .bundles import IN_TOTO, dumps
from .keys import Signer, b64
from .logs import Entry

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
BUNDLE = "dev.sigstore.cosign/bundle"
RFC3161 = "dev.sigstore.cosign/rfc3161timestamp"
PREDICATE_TYPE = "predicateType"


@dataclass(frozen=True, slots=True)
class Layer:
    """One signature: a layer and its descriptor's annotations."""

    media_type: str
    blob: bytes
    annotations: Mapping[str, str] = field(hash=False)


def simple_signing(
    digest: str,
    reference: str = "registry.example/acme/app",
    optional: Mapping[str, str] | None = None,
) -> bytes:
    """The payload of an old signature; `optional` is what `cosign sign -a` gives."""
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return dumps({"critical": critical, "optional": dict(optional) if optional else None})


def old_envelope(payload: bytes, signature: bytes, payload_type: str = IN_TOTO) -> bytes:
    """An envelope as a layer: cosign wrote an empty key id."""
    signatures = [{"keyid": "", "sig": b64(signature)}]
    made = {"payloadType": payload_type, "payload": b64(payload), "signatures": signatures}
    return dumps(made)


def annotations_of(
    signer: Signer,
    signature: str,
    *,
    entry: Entry | None = None,
    stamp: bytes | None = None,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The annotations of one layer; `signature` is base64, and empty beside an envelope."""
    made = {SIGNATURE: signature, **(more or {})}
    if signer.certificate:
        made[CERTIFICATE] = signer.certificate.public_bytes(Encoding.PEM).decode()
        chain = b"".join(each.public_bytes(Encoding.PEM) for each in signer.chain)
        made[CHAIN] = chain.decode()
    if entry:
        made[BUNDLE] = dumps(entry.in_annotation()).decode()
    if stamp:
        made[RFC3161] = dumps({"SignedRFC3161Timestamp": b64(stamp)}).decode()
    return made
