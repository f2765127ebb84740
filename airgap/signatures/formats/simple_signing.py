"""Reads cosign's older signatures: simple-signing payloads, the rest in annotations of their layers (formats A and E).

Sources: cosign's SIGNATURE_SPEC.md (whose annotation names are wrong: these are the names that cosign writes), and the
simple signing of containers/image. `annotated` reads the same annotations of attestations (`envelope`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.signatures.formats.bundle import MAX_CHAIN
from airgap.signatures.formats.strict import (
    fields,
    parse,
    pem_certificates,
    refusing,
    unbase64,
    whole,
)
from airgap.signatures.record import LogEntry, Refusal, SignatureLayout, Signed

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
BUNDLE = "dev.sigstore.cosign/bundle"
TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp"
TYPE = "cosign container image signature"
_BAD = "bad-bundle"


@dataclass(frozen=True, slots=True)
class Annotated:
    """What a layer's annotations contain in addition to the signature."""

    certificate: bytes
    chain: tuple[bytes, ...]
    entries: tuple[LogEntry, ...]
    timestamps: tuple[bytes, ...]


def read_simple_signing(subject: Digest, where: str, annotations: Mapping[str, str], blob: bytes) -> Signed:
    """A signature's record: the payload is the layer; its annotations contain the rest. Raises `Refusal`."""
    signature = signature_of(annotations)
    if not signature:
        raise Refusal(_BAD, f"annotation {SIGNATURE}: missing or empty")
    signed_digest(blob)
    beside = annotated(annotations)
    return Signed(
        subject=subject,
        where=where,
        layout=SignatureLayout.SIMPLE_SIGNING,
        attestation=False,
        payload=blob,
        payload_type="",
        signature=signature,
        message=blob,
        blob=blob,
        certificate=beside.certificate,
        chain=beside.chain,
        entries=beside.entries,
        timestamps=beside.timestamps,
        stamped=signature,
    )


def signature_of(annotations: Mapping[str, str]) -> bytes:
    """The signature in its annotation, empty if there is none. Raises `Refusal`.

    `cosign attach signature` copies a file as it is, and base64 programs break lines; cosign ignores the breaks, too.
    """
    text = annotations.get(SIGNATURE, "")
    return unbase64(text.replace("\r", "").replace("\n", ""), f"annotation {SIGNATURE}", _BAD)


def signed_digest(payload: bytes) -> Digest:
    """The digest that a simple-signing payload names.

    Everything in `critical` is known and of the right type, as the format's own rules require; `optional` is up to the
    signer. The reference in `identity` is a claim about names, and names change on the way: it is not compared. Raises
    `Refusal` (`bad-payload`, `duplicate-key`).
    """
    reason = "bad-payload"
    with refusing():
        document = fields(
            parse(payload, "payload", reason),
            {"critical"},
            "payload",
            reason,
            frozenset({"optional"}),
        )
        critical = fields(document.values["critical"], {"identity", "image", "type"}, "payload: critical", reason)
        critical.exactly("type", TYPE)
        identity = fields(critical.values["identity"], {"docker-reference"}, critical.at("identity"), reason)
        identity.text("docker-reference")
        image = fields(critical.values["image"], {"docker-manifest-digest"}, critical.at("image"), reason)
        text = image.text("docker-manifest-digest")
    try:
        return Digest(text)
    except IntegrityError as error:
        raise Refusal(reason, f"payload: docker-manifest-digest: {error.what}") from error


def annotated(annotations: Mapping[str, str]) -> Annotated:
    """Reads certificate, chain, log entry and timestamp from annotations; ignores empty ones. Raises `Refusal`."""
    leaf: tuple[bytes, ...] = ()
    if annotations.get(CERTIFICATE):
        leaf = pem_certificates(annotations[CERTIFICATE], f"annotation {CERTIFICATE}", 1)
    chain: tuple[bytes, ...] = ()
    if annotations.get(CHAIN):
        chain = pem_certificates(annotations[CHAIN], f"annotation {CHAIN}", MAX_CHAIN)
    if chain and not leaf:
        raise Refusal(_BAD, f"annotation {CHAIN}: a chain, but no certificate")
    return Annotated(leaf[0] if leaf else b"", chain, _entries(annotations), _stamps(annotations))


def _entries(annotations: Mapping[str, str]) -> tuple[LogEntry, ...]:
    text, at = annotations.get(BUNDLE, ""), f"annotation {BUNDLE}"
    if not text:
        return ()
    with refusing():
        bundle = fields(parse(_utf8(text, at), at, _BAD), {"SignedEntryTimestamp", "Payload"}, at, _BAD)
        names = {"body", "integratedTime", "logIndex", "logID"}
        payload = fields(bundle.values["Payload"], names, f"{at}: Payload", _BAD)
        log_id = payload.text("logID")
        if len(log_id) != 64 or not set(log_id) <= set("0123456789abcdef"):
            raise Refusal(_BAD, f"{at}: logID: expected 64 lower-case hex digits")
        return (
            LogEntry(
                body=payload.binary("body"),
                log_id=bytes.fromhex(log_id),
                log_index=whole(payload, "logIndex"),
                integrated_time=whole(payload, "integratedTime"),
                promise=bundle.binary("SignedEntryTimestamp"),
            ),
        )


def _stamps(annotations: Mapping[str, str]) -> tuple[bytes, ...]:
    text, at = annotations.get(TIMESTAMP, ""), f"annotation {TIMESTAMP}"
    if not text:
        return ()
    with refusing():
        stamp = fields(parse(_utf8(text, at), at, _BAD), {"SignedRFC3161Timestamp"}, at, _BAD)
        return (stamp.binary("SignedRFC3161Timestamp"),)


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, written as an escape
        raise Refusal(_BAD, f"{where}: not valid Unicode") from error
