"""Compares the content of a transparency log's entry with the signature that it accompanies.

An entry about something else proves nothing about this signature (CVE-2022-36056), so every field that is present is
compared: digests, signature, certificate or key. Sources: Rekor's schemas, pkg/types/*/v0.0.*; for Rekor v2 the
protobuf-specs, rekor/v2/hashedrekord.proto.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from airgap.base.json_fields import Fields
from airgap.signatures.formats.strict import fields, parse, refusing, sequence, unbase64
from airgap.signatures.record import LogEntry, Refusal, SignatureLayout, Signed

MAX_BODY = 256 << 10
"""Bytes of an entry's body: it contains digests, a signature and a certificate."""
_BAD = "entry-mismatch"
_PEM = re.compile(rb"-----BEGIN (CERTIFICATE|PUBLIC KEY)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n?\Z")
_HASHES_V1 = frozenset({"sha256", "sha384", "sha512"})
_HASHES_V2 = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}
_CURVES = {
    "secp256r1": ("PKIX_ECDSA_P256_SHA_256",),
    "secp384r1": ("PKIX_ECDSA_P384_SHA_384", "PKIX_ECDSA_P384_SHA_256"),
    "secp521r1": ("PKIX_ECDSA_P521_SHA_512", "PKIX_ECDSA_P521_SHA_256"),
}


def compare(entry: LogEntry, signed: Signed, material: bytes) -> None:
    """Checks that the entry's body is about this signature, by this certificate or key (DER).

    Raises `Refusal`: `entry-mismatch` if it is about something else, `unsupported-format` if its kind cannot record
    this type of signature or is unknown to this version, `too-large`.
    """
    if len(entry.body) > MAX_BODY:
        raise Refusal("too-large", f"the log entry has {len(entry.body)} bytes, expected at most {MAX_BODY}")
    with refusing():
        parsed = parse(entry.body, "log entry", _BAD)
        body = fields(parsed, {"apiVersion", "kind", "spec"}, "log entry", _BAD)
        kind = body.text("kind"), body.text("apiVersion")
        if (entry.kind or kind[0], entry.version or kind[1]) != kind:
            raise Refusal(
                _BAD,
                f"the log entry is a {' '.join(kind)}, but the bundle calls it {entry.kind} {entry.version}",
            )
        check = _kinds(signed).get(kind)
        if check is None:
            raise Refusal(
                "unsupported-format",
                f"a log entry of kind {kind[0][:60]} {kind[1][:20]} cannot record this type of signature",
                unsupported=True,
            )
        check(body.values["spec"], _Expected(signed, material))


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the entry must say."""

    signed: Signed
    material: bytes
    """The certificate or the key, DER."""

    def digest(self, value: Any, data: bytes, where: str) -> None:
        """`{algorithm, value}` of Rekor v1."""
        hashed = fields(value, {"algorithm", "value"}, where, _BAD)
        algorithm = hashed.choice("algorithm", _HASHES_V1)
        _same(hashed.text("value"), hashlib.new(algorithm, data).hexdigest(), where)

    def envelope(self, value: Any, where: str) -> None:
        """The digest of the envelope's bytes. It is known only if the blob is the envelope: bundles re-encode it."""
        if self.signed.layout is SignatureLayout.ENVELOPE:
            self.digest(value, self.signed.blob, where)

    def signature(self, value: bytes, where: str) -> None:
        """The signature's bytes."""
        _same(value, self.signed.signature, where)

    def signer(self, pem: bytes, where: str) -> None:
        """The certificate or the key, PEM."""
        block = _PEM.match(pem)
        der = unbase64(block[2].replace(b"\n", b"").decode(), where, _BAD) if block else b""
        _same(der, self.material, where)


_Check = Callable[[Any, _Expected], None]


def _kinds(signed: Signed) -> Mapping[tuple[str, str], _Check]:
    """The kinds of entries that exist for such a signature."""
    if not signed.payload_type:
        return _OF_MESSAGES
    # intoto 0.0.1 contains no signature: only the envelope's digest ties it to this one.
    return _OF_LAYERS if signed.layout is SignatureLayout.ENVELOPE else _OF_ENVELOPES


def _hashedrekord(spec: Any, expected: _Expected) -> None:
    """hashedrekord and rekord 0.0.1: a signature over a digest."""
    record = fields(spec, {"data", "signature"}, "log entry: spec", _BAD)
    data = fields(record.values["data"], {"hash"}, record.at("data"), _BAD)
    maybe = frozenset({"format"})
    names = {"content", "publicKey"}
    made = fields(record.values["signature"], names, record.at("signature"), _BAD, maybe)
    if made.has("format"):
        made.exactly("format", "x509")
    key = fields(made.values["publicKey"], {"content"}, made.at("publicKey"), _BAD)
    expected.digest(data.values["hash"], expected.signed.message, data.at("hash"))
    expected.signature(made.binary("content"), made.at("content"))
    expected.signer(key.binary("content"), key.at("content"))


def _dsse(spec: Any, expected: _Expected) -> None:
    """dsse 0.0.1: the digests of an envelope and its payload, and the signature."""
    record = fields(spec, {"envelopeHash", "payloadHash", "signatures"}, "log entry: spec", _BAD)
    expected.envelope(record.values["envelopeHash"], record.at("envelopeHash"))
    expected.digest(record.values["payloadHash"], expected.signed.payload, record.at("payloadHash"))
    made = _one(record, {"signature", "verifier"})
    expected.signature(made.binary("signature"), made.at("signature"))
    expected.signer(made.binary("verifier"), made.at("verifier"))


def _intoto_1(spec: Any, expected: _Expected) -> None:
    """intoto 0.0.1, the oldest: the digest of the envelope, which contains the signature."""
    record = fields(spec, {"content", "publicKey"}, "log entry: spec", _BAD)
    maybe = frozenset({"payloadHash"})
    content = fields(record.values["content"], {"hash"}, record.at("content"), _BAD, maybe)
    expected.envelope(content.values["hash"], content.at("hash"))
    if content.has("payloadHash"):
        value, where = content.values["payloadHash"], content.at("payloadHash")
        expected.digest(value, expected.signed.payload, where)
    expected.signer(record.binary("publicKey"), record.at("publicKey"))


def _intoto_2(spec: Any, expected: _Expected) -> None:
    """intoto 0.0.2: the envelope, mostly without its payload. Signature and payload are base64-encoded twice."""
    record = fields(spec, {"content"}, "log entry: spec", _BAD)
    names = {"envelope", "hash", "payloadHash"}
    content = fields(record.values["content"], names, record.at("content"), _BAD)
    names, maybe = {"payloadType", "signatures"}, frozenset({"payload"})
    envelope = fields(content.values["envelope"], names, content.at("envelope"), _BAD, maybe)
    _same(envelope.text("payloadType"), expected.signed.payload_type, envelope.at("payloadType"))
    expected.envelope(content.values["hash"], content.at("hash"))
    expected.digest(content.values["payloadHash"], expected.signed.payload, content.at("payloadHash"))
    if envelope.has("payload"):
        _same(_twice(envelope, "payload"), expected.signed.payload, envelope.at("payload"))
    made = _one(envelope, {"publicKey", "sig"}, frozenset({"keyid"}))
    expected.signature(_twice(made, "sig"), made.at("sig"))
    expected.signer(made.binary("publicKey"), made.at("publicKey"))


def _hashedrekord_2(spec: Any, expected: _Expected) -> None:
    """hashedrekord 0.0.2 of Rekor v2: for an envelope it records the digest of the signed bytes."""
    outer = fields(spec, {"hashedRekordV002"}, "log entry: spec", _BAD)
    where = outer.at("hashedRekordV002")
    record = fields(outer.values["hashedRekordV002"], {"data", "signature"}, where, _BAD)
    data = fields(record.values["data"], {"algorithm", "digest"}, record.at("data"), _BAD)
    algorithm = _HASHES_V2[data.choice("algorithm", frozenset(_HASHES_V2))]
    digest = hashlib.new(algorithm, expected.signed.message).digest()
    _same(data.binary("digest"), digest, data.at("digest"))
    made = fields(record.values["signature"], {"content", "verifier"}, record.at("signature"), _BAD)
    expected.signature(made.binary("content"), made.at("content"))
    kinds = frozenset({"x509Certificate", "publicKey"})
    verifier = fields(made.values["verifier"], {"keyDetails"}, made.at("verifier"), _BAD, kinds)
    if verifier.text("keyDetails") not in _details(expected.material):
        raise Refusal(_BAD, f"{verifier.at('keyDetails')}: the log entry differs from the signature")
    for kind in kinds & set(verifier.values):
        held = fields(verifier.values[kind], {"rawBytes"}, verifier.at(kind), _BAD)
        _same(held.binary("rawBytes"), expected.material, held.at("rawBytes"))
    if len(kinds & set(verifier.values)) != 1:
        raise Refusal(_BAD, f"{verifier.where}: expected a certificate or a key")


_OF_MESSAGES: Mapping[tuple[str, str], _Check] = {
    ("hashedrekord", "0.0.1"): _hashedrekord,
    ("rekord", "0.0.1"): _hashedrekord,
    ("hashedrekord", "0.0.2"): _hashedrekord_2,
}
_OF_ENVELOPES: Mapping[tuple[str, str], _Check] = {
    ("dsse", "0.0.1"): _dsse,
    ("intoto", "0.0.2"): _intoto_2,
    ("hashedrekord", "0.0.2"): _hashedrekord_2,
}
_OF_LAYERS: Mapping[tuple[str, str], _Check] = {**_OF_ENVELOPES, ("intoto", "0.0.1"): _intoto_1}


def _details(material: bytes) -> tuple[str, ...]:
    """Sigstore's names for what the key can sign with (protobuf-specs, `PublicKeyDetails`)."""
    key: object
    try:
        key = x509.load_der_x509_certificate(material).public_key()
    except ValueError:
        key = load_der_public_key(material)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, ())
    if isinstance(key, rsa.RSAPublicKey):
        return f"PKIX_RSA_PKCS1V15_{key.key_size}_SHA256", f"PKIX_RSA_PSS_{key.key_size}_SHA256"
    return ("PKIX_ED25519",) if isinstance(key, ed25519.Ed25519PublicKey) else ()


def _one(record: Fields, names: set[str], maybe: frozenset[str] = frozenset()) -> Fields:
    """The one signature of an entry."""
    where = record.at("signatures")
    listed = sequence(record, "signatures", 1)
    if not listed:
        raise Refusal(_BAD, f"{where}: it is empty")
    return fields(listed[0], names, f"{where}[0]", _BAD, maybe)


def _twice(record: Fields, name: str) -> bytes:
    """A field that was base64-encoded twice."""
    return unbase64(record.binary(name).decode("ascii", "replace"), record.at(name), _BAD)


def _same(got: object, expected: object, where: str) -> None:
    if got != expected:
        raise Refusal(_BAD, f"{where}: the log entry differs from the signature")
