"""Reads Sigstore bundles in a registry: what cosign v3 writes for signatures and attestations (format D).

The content of a bundle is an envelope around a statement, or a signature of a message, which is the subject itself: its
manifest. cosign signs images the first way, and `cosign sign-blob --bundle` signs a manifest's file the second way.

Sources: sigstore protobuf-specs v0.5 (sigstore_bundle.proto, sigstore_rekor.proto), protobuf's JSON mapping; cosign's
BUNDLE_SPEC.md. Stricter than the mapping: camelCase names only, standard base64 only, no unknown fields. Zero values
may be left out, as cosign and sigstore-js do.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.signatures.formats.intoto import parse_statement
from airgap.signatures.formats.strict import fields, parse, refusing, sequence, whole
from airgap.signatures.record import AttestedStatement, LogEntry, Refusal, SignatureLayout, Signed
from airgap.statements.dsse import pae

BUNDLE_PREFIX = "application/vnd.dev.sigstore.bundle"
"""The start of a bundle's media type, in every version."""
CONTENT = "dev.sigstore.bundle.content"
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
MAX_TIMESTAMPS = 32
"""Timestamps of one signature: as many as sigstore's own verifiers read."""
MAX_ENTRIES = 32
"""Log entries of one signature: as many as sigstore's own verifiers read."""
MAX_CHAIN = 10
"""Certificates above a leaf: real chains have one or two."""
MAX_HASHES = 64
"""Hashes of an inclusion proof: a tree of 2^63 leaves needs 63."""
MAX_HINT = 1024
"""Characters of a hint or key id: real ones have 44 to 51."""

_VERSIONS = {
    "application/vnd.dev.sigstore.bundle.v0.3+json": "0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.3": "0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2": "0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1": "0.1",
}
_HASHES = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}
"""Of sigstore_common.proto, `HashAlgorithm`, those that signers use."""
_BAD = "bad-bundle"


@dataclass(frozen=True, slots=True)
class _Content:
    """What a bundle signs."""

    payload: bytes
    payload_type: str
    signature: bytes
    message: bytes
    statement: AttestedStatement | None = None


def read_bundle(
    subject: Digest,
    where: str,
    media_type: str,
    annotations: Mapping[str, str],
    blob: bytes,
    subject_bytes: Callable[[], bytes],
) -> Signed:
    """A bundle's record. `media_type` is that of its layer; `annotations` are those of the manifest around it.

    1. The version is known, and the layer names the same one. 2. The content is an envelope with one signature around
    a statement, or the signature of `subject_bytes`, whose digest must be the one that the bundle names.
    3. Annotations that repeat something match it. 4. There is either a certificate, in the field that belongs to the
    version, or a key's hint. 5. Log entries and timestamps are within limits. Raises `Refusal`, and what
    `subject_bytes` raises.
    """
    with refusing():
        bundle = fields(
            parse(blob, "bundle", _BAD),
            {"mediaType", "verificationMaterial"},
            "bundle",
            _BAD,
            frozenset({"dsseEnvelope", "messageSignature"}),
        )
        # 1.
        version = _version(bundle.text("mediaType"), media_type)
        # 2.
        content = _message(bundle, subject_bytes) if bundle.has("messageSignature") else _enveloped(bundle)
        # 3.
        _annotations(annotations, content.statement)
        # 4.
        material = fields(
            bundle.values["verificationMaterial"],
            set(),
            "bundle: verificationMaterial",
            _BAD,
            frozenset(
                {
                    *("publicKey", "certificate", "x509CertificateChain"),
                    *("tlogEntries", "timestampVerificationData"),
                }
            ),
        )
        certificates, hint = _material(material, version)
        # 5.
        return Signed(
            subject=subject,
            where=where,
            layout=SignatureLayout.BUNDLE,
            attestation=content.statement is not None and content.statement.attests,
            statement=content.statement,
            payload=content.payload,
            payload_type=content.payload_type,
            signature=content.signature,
            message=content.message,
            blob=b"",
            certificate=certificates[0] if certificates else b"",
            chain=certificates[1:],
            entries=_entries(material),
            timestamps=_timestamps(material),
            stamped=content.signature,
            hint=hint,
            version=version,
        )


def _enveloped(bundle: Fields) -> _Content:
    """The content of a bundle with an envelope around a statement."""
    payload_type, payload, signature = envelope(bundle.values.get("dsseEnvelope"), "bundle")
    statement = parse_statement(payload, payload_type)
    if statement.text:
        raise Refusal("bad-payload", "statement: predicate: expected an object")
    return _Content(payload, payload_type, signature, pae(payload, payload_type), statement)


def _message(bundle: Fields, subject_bytes: Callable[[], bytes]) -> _Content:
    """The content of a bundle that signs the subject itself. Its `messageDigest` proves nothing, but must be right."""
    if bundle.has("dsseEnvelope"):
        raise Refusal(_BAD, "bundle: both a messageSignature and a dsseEnvelope")
    at = bundle.at("messageSignature")
    signed = fields(bundle.values["messageSignature"], {"signature", "messageDigest"}, at, _BAD)
    signature = signed.binary("signature")
    if not signature:
        raise Refusal(_BAD, f"{at}: the signature is empty")
    message = subject_bytes()
    here = signed.at("messageDigest")
    named = fields(signed.values["messageDigest"], {"algorithm", "digest"}, here, _BAD)
    algorithm = _HASHES[named.choice("algorithm", frozenset(_HASHES))]
    digest = hashlib.new(algorithm, message).digest()
    if named.binary("digest") != digest:
        what = f"{here}: got {named.text('digest')[:100]!r}, expected {base64.b64encode(digest).decode()}"
        raise Refusal("wrong-subject", f"{what}, which is the {algorithm} of what should be signed")
    return _Content(message, "", signature, message)


def envelope(value: Any, where: str) -> tuple[str, bytes, bytes]:
    """Payload type, payload and the one signature of a DSSE envelope. The key id proves nothing, and is ignored.

    Called within `refusing`. Source: DSSE v1.0.2, envelope.md.
    """
    here = f"{where}: dsseEnvelope" if where == "bundle" else where
    parsed = fields(value, {"payload", "payloadType", "signatures"}, here, _BAD)
    signatures = sequence(parsed, "signatures", 1)
    if not signatures:
        raise Refusal(_BAD, f"{here}: it has no signature")
    one = fields(signatures[0], {"sig"}, f"{here}: signatures[0]", _BAD, frozenset({"keyid"}))
    _hint(one, "keyid")
    signature = one.binary("sig")
    if not signature:
        raise Refusal(_BAD, f"{here}: the signature is empty")
    return parsed.text("payloadType"), parsed.binary("payload"), signature


def _version(said: str, layer: str) -> str:
    version = _VERSIONS.get(said)
    if version is None or layer not in _VERSIONS:
        unknown = said if version is None else layer
        raise Refusal("unsupported-format", f"unknown bundle type {unknown[:200]!r}", unsupported=True)
    if _VERSIONS[layer] != version:
        raise Refusal(_BAD, f"the bundle says {said}, but its layer says {layer}")
    return version


def _annotations(annotations: Mapping[str, str], statement: AttestedStatement | None) -> None:
    # The manifest's own annotations may be of any type.
    expected = "dsse-envelope" if statement is not None else "message-signature"
    content = str(annotations.get(CONTENT, expected))
    if content != expected:
        raise Refusal(_BAD, f"annotation {CONTENT}: got {content[:200]!r}, but the content is a {expected}")
    predicate_type = statement.predicate_type if statement is not None else ""
    said = str(annotations.get(PREDICATE_TYPE, predicate_type))
    if said != predicate_type:
        what = f"annotation {PREDICATE_TYPE}: got {said[:200]!r}, but the signed type is {predicate_type[:200]!r}"
        raise Refusal("wrong-predicate-type", what)


def _material(material: Fields, version: str) -> tuple[tuple[bytes, ...], str]:
    """The certificates, leaf first, or the key's hint."""
    kinds = [name for name in ("publicKey", "certificate", "x509CertificateChain") if material.has(name)]
    if len(kinds) != 1:
        got = " and ".join(kinds) or "neither"
        raise Refusal(_BAD, f"{material.where}: got {got}, expected a key or a certificate")
    at = material.at(kinds[0])
    value = material.values[kinds[0]]
    if kinds[0] == "publicKey":
        return (), _hint(fields(value, set(), at, _BAD, frozenset({"hint"})), "hint")
    # The chain was given up with version 0.3 (sigstore_bundle.proto, VerificationMaterial).
    if kinds[0] == "x509CertificateChain" and version == "0.3":
        raise Refusal(_BAD, f"{at}: not in a bundle of version {version}")
    if kinds[0] == "certificate":
        return (_certificate(value, at),), ""
    listed = sequence(fields(value, {"certificates"}, at, _BAD), "certificates", MAX_CHAIN + 1)
    if not listed:
        raise Refusal(_BAD, f"{at}: it has no certificate")
    return tuple(_certificate(one, f"{at}[{number}]") for number, one in enumerate(listed)), ""


def _certificate(value: Any, where: str) -> bytes:
    der = fields(value, {"rawBytes"}, where, _BAD).binary("rawBytes")
    if not der:
        raise Refusal("bad-certificate", f"{where}: it is empty")
    return der


def _hint(values: Fields, name: str) -> str:
    text = values.text(name) if values.has(name) else ""
    if len(text) > MAX_HINT:
        raise Refusal("too-large", f"{values.at(name)}: more than {MAX_HINT} characters")
    return text


def _timestamps(material: Fields) -> tuple[bytes, ...]:
    if not material.has("timestampVerificationData"):
        return ()
    at = material.at("timestampVerificationData")
    data = fields(
        material.values["timestampVerificationData"],
        set(),
        at,
        _BAD,
        frozenset({"rfc3161Timestamps"}),
    )
    return tuple(
        fields(one, {"signedTimestamp"}, f"{at}[{number}]", _BAD).binary("signedTimestamp")
        for number, one in enumerate(sequence(data, "rfc3161Timestamps", MAX_TIMESTAMPS))
    )


def _entries(material: Fields) -> tuple[LogEntry, ...]:
    listed = sequence(material, "tlogEntries", MAX_ENTRIES)
    return tuple(_entry(one, f"{material.at('tlogEntries')}[{n}]") for n, one in enumerate(listed))


def _entry(value: Any, where: str) -> LogEntry:
    entry = fields(
        value,
        {"logId", "kindVersion", "canonicalizedBody"},
        where,
        _BAD,
        frozenset({"logIndex", "integratedTime", "inclusionPromise", "inclusionProof"}),
    )
    kind = fields(entry.values["kindVersion"], {"kind", "version"}, entry.at("kindVersion"), _BAD)
    promise = b""
    if entry.has("inclusionPromise"):
        at = entry.at("inclusionPromise")
        said = fields(entry.values["inclusionPromise"], {"signedEntryTimestamp"}, at, _BAD)
        promise = said.binary("signedEntryTimestamp")
    log = fields(entry.values["logId"], {"keyId"}, entry.at("logId"), _BAD)
    return LogEntry(
        body=entry.binary("canonicalizedBody"),
        log_id=log.binary("keyId"),
        log_index=whole(entry, "logIndex"),
        integrated_time=whole(entry, "integratedTime"),
        promise=promise,
        proof=_proof(entry.values.get("inclusionProof"), entry.at("inclusionProof")),
        kind=kind.text("kind"),
        version=kind.text("version"),
    )


def _proof(value: Any, where: str) -> Mapping[str, Any] | None:
    """An inclusion proof as a bundle spells it, with the zero values that a bundle may leave out."""
    if value is None:
        return None
    proof = fields(
        value,
        {"rootHash", "checkpoint"},
        where,
        _BAD,
        frozenset({"logIndex", "treeSize", "hashes"}),
    )
    hashes = sequence(proof, "hashes", MAX_HASHES)
    listed = Fields({str(n): one for n, one in enumerate(hashes)}, f"{where}: hashes", proof.refuse)
    for number in listed.values:
        listed.binary(number)
    proof.binary("rootHash")
    checkpoint = fields(proof.values["checkpoint"], {"envelope"}, f"{where}: checkpoint", _BAD)
    return {
        "logIndex": str(whole(proof, "logIndex")),
        "treeSize": str(whole(proof, "treeSize")),
        "rootHash": proof.text("rootHash"),
        "hashes": hashes,
        "checkpoint": {"envelope": checkpoint.text("envelope")},
    }
