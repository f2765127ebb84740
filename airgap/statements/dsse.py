"""Envelopes: DSSE in a Sigstore bundle v0.3 with a public-key hint, so that cosign also verifies airgap's statements.

Sources: DSSE v1.0.2 (protocol.md, envelope.md); sigstore protobuf-specs, sigstore_bundle.proto. airgap writes no
`keyid` (cosign refuses any that it does not know) and exactly one signature.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from airgap.base.canonical import canonical
from airgap.base.errors import AirgapError, TrustError
from airgap.base.json_fields import Fields
from airgap.statements.keys.file import PublicKey, Signer

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BUNDLE = 1 << 20
"""Bytes of a signature next to a delivery. It is small, because it is read before anything is trusted."""
MAX_EVIDENCE_BUNDLE = 64 << 20
"""Bytes of a statement in the evidence, or of a receipt: these name every item, as a lock does."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed bundle: the payload's exact bytes and the signature over `pae(payload)`. Nothing is verified yet."""

    payload: bytes
    signature: bytes
    hint: str
    """base64(sha256(DER SPKI)) of the key that signed, as the bundle claims; `""` if it does not say."""
    raw: bytes
    """The bundle's bytes, kept as evidence."""


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The bytes that are signed (DSSE protocol.md, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign_payload(payload: bytes, signer: Signer) -> bytes:
    """The bundle's bytes for the bytes of an in-toto statement: canonical JSON, with the payload unchanged."""
    return encode_bundle(payload, signer.sign(pae(payload)), signer.key_id)


def encode_bundle(payload: bytes, signature: bytes, hint: str) -> bytes:
    """The bundle's bytes as airgap writes them, for a payload that was signed; without a hint if that is `""`."""
    return canonical(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint} if hint else {}},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode()}],
            },
        }
    )


def open_bundle(data: bytes, where: str, limit: int = MAX_BUNDLE) -> Envelope:
    """Parses a bundle strictly; `where` names it in errors.

    Raises `TrustError` (`bad-bundle`): too large, not JSON, a repeated key, an unknown or missing field, another media
    or payload type, not exactly one signature, or base64 that is not canonical.
    """
    # 1. Size, before parsing.
    if len(data) > limit:
        raise _refuse(f"{where}: got {len(data)} bytes, expected at most {limit}")
    # 2. The bundle: this version, a key (not a certificate), a DSSE envelope (not a bare signature).
    bundle = Fields.parse(data, {"mediaType", "verificationMaterial", "dsseEnvelope"}, where, _refuse)
    bundle.exactly("mediaType", BUNDLE_TYPE)
    material = bundle.inner("verificationMaterial", {"publicKey"})
    key = material.inner("publicKey", set(), frozenset({"hint"}))
    # 3. The envelope: an in-toto statement, one signature.
    envelope = bundle.inner("dsseEnvelope", {"payload", "payloadType", "signatures"})
    envelope.exactly("payloadType", PAYLOAD_TYPE)
    signatures = envelope.each("signatures", {"sig"})
    if len(signatures) != 1:
        raise _refuse(f"{where}: got {len(signatures)} signatures, expected one")
    return Envelope(
        payload=envelope.binary("payload"),
        signature=signatures[0].binary("sig"),
        hint=key.text("hint") if key.has("hint") else "",
        raw=data,
    )


def verify(envelope: Envelope, key: PublicKey) -> bool:
    """True if `key` signed the envelope's payload. The hint is not used."""
    return key.verify(pae(envelope.payload), envelope.signature)


def _refuse(what: str) -> AirgapError:
    return TrustError(
        "bad-bundle",
        what,
        "the file is damaged, or was made by a tool that this version does not know; get it again",
    )
