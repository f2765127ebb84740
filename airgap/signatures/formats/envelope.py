"""Reads cosign's older attestations: a DSSE envelope as the layer, the rest in its annotations (format B).

Source: cosign's ATTESTATION_SPEC.md; DSSE v1.0.2. The RFC 3161 timestamp covers the whole layer, not the signature.
"""

from __future__ import annotations

from collections.abc import Mapping

from airgap.base.digest import Digest
from airgap.signatures.formats.bundle import envelope
from airgap.signatures.formats.intoto import parse_statement
from airgap.signatures.formats.simple_signing import SIGNATURE, annotated, signature_of
from airgap.signatures.formats.strict import parse, refusing
from airgap.signatures.record import Refusal, SignatureLayout, Signed
from airgap.statements.dsse import pae

DSSE_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
PREDICATE_TYPE = "predicateType"
_BAD = "bad-bundle"


def read_envelope(subject: Digest, where: str, annotations: Mapping[str, str], blob: bytes) -> Signed:
    """An attestation's record.

    1. It is an envelope with one signature. 2. Its payload is a statement. 3. Annotations that repeat something match
    it: the predicate type, and the signature unless it is empty. Raises `Refusal`.
    """
    # 1.
    with refusing():
        payload_type, payload, signature = envelope(parse(blob, "envelope", _BAD), "envelope")
    # 2.
    statement = parse_statement(payload, payload_type)
    # 3.
    said = annotations.get(PREDICATE_TYPE, statement.predicate_type)
    if said != statement.predicate_type:
        what = (
            f"annotation {PREDICATE_TYPE}: got {said[:200]!r}, but the signed type is "
            f"{statement.predicate_type[:200]!r}"
        )
        raise Refusal("wrong-predicate-type", what)
    if signature_of(annotations) not in (b"", signature):
        raise Refusal(_BAD, f"annotation {SIGNATURE}: differs from the envelope's signature")
    beside = annotated(annotations)
    return Signed(
        subject=subject,
        where=where,
        layout=SignatureLayout.ENVELOPE,
        attestation=statement.attests,
        statement=statement,
        payload=payload,
        payload_type=payload_type,
        signature=signature,
        message=pae(payload, payload_type),
        blob=blob,
        certificate=beside.certificate,
        chain=beside.chain,
        entries=beside.entries,
        timestamps=beside.timestamps,
        stamped=blob,
    )
