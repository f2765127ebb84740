"""The authorities and logs that a trust root names, each with the window in which it is trusted.

Source: sigstore protobuf-specs, sigstore_trustroot.proto (`TransparencyLogInstance`, `CertificateAuthority`),
sigstore_common.proto (`PublicKeyDetails`, `TimeRange`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from airgap.base.json_fields import Fields
from airgap.base.times import utc_text
from airgap.signatures.record import Refusal

MAX_CHAIN = 10
"""Certificates of an authority: real ones have one to three."""
MAX_CERTIFICATE = 64 << 10
"""Bytes of a certificate: real ones have under 2 KiB."""
_OPEN = {"start": "1970-01-01T00:00:00Z"}
_RSA = frozenset({"PKCS1_RSA_PKCS1V5", *(f"PKIX_RSA_PKCS1V15_{bits}_SHA256" for bits in (2048, 3072, 4096))})
_CURVES: dict[str, tuple[type[ec.EllipticCurve], hashes.HashAlgorithm]] = {
    "PKIX_ECDSA_P256_SHA_256": (ec.SECP256R1, hashes.SHA256()),
    "PKIX_ECDSA_P384_SHA_384": (ec.SECP384R1, hashes.SHA384()),
    "PKIX_ECDSA_P521_SHA_512": (ec.SECP521R1, hashes.SHA512()),
}


@dataclass(frozen=True, slots=True)
class Window:
    """When an instance is trusted. Both ends are included. Without an end, it still is (sigstore_common.proto)."""

    start: datetime
    end: datetime | None = None

    def holds(self, moments: Iterable[datetime]) -> bool:
        """True if each of `moments` is in it."""
        return all(self.start <= moment and (self.end is None or moment <= self.end) for moment in moments)

    def as_dict(self) -> dict[str, str | None]:
        """For display: `from` and `until`."""
        return {
            "from": utc_text(self.start),
            "until": utc_text(self.end) if self.end else None,
        }

    def __str__(self) -> str:
        ends = self.as_dict()
        return f"{ends['from']} to {ends['until'] or 'now'}"


@dataclass(frozen=True, slots=True)
class TransparencyLog:
    """A transparency log or a certificate transparency log: its id, its key, its window."""

    id: bytes
    """The id by which entries and certificates name it."""
    raw_key: bytes
    details: str
    """`keyDetails`: the key's kind and its hash."""
    url: str
    window: Window
    key: object = field(default=None, compare=False, repr=False)
    """The loaded key; None if this version does not know its kind."""

    def verify(self, signature: bytes, data: bytes) -> bool:
        """True if the log signed `data`. Raises `Refusal` (`unsupported-algorithm`)."""
        try:
            if isinstance(self.key, ec.EllipticCurvePublicKey) and self.details in _CURVES:
                self.key.verify(signature, data, ec.ECDSA(_CURVES[self.details][1]))
            elif isinstance(self.key, rsa.RSAPublicKey):
                self.key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            elif isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, data)
            else:
                raise Refusal(
                    "unsupported-algorithm",
                    f"the log {self.id.hex()} signs with {self.details}",
                    unsupported=True,
                )
        except InvalidSignature:
            return False
        return True

    def opened(self) -> dict[str, Any]:
        """The log as a trust root spells it, with an open window."""
        key = {"rawBytes": _b64(self.raw_key), "keyDetails": self.details, "validFor": _OPEN}
        return {
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": key,
            "logId": {"keyId": _b64(self.id)},
        }

    def describe(self) -> dict[str, Any]:
        """The log for display."""
        return {"id": self.id.hex(), "url": self.url, "key": self.details, **self.window.as_dict()}


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate or timestamp authority: its chain from the one that issues (or stamps) to its root."""

    chain: tuple[x509.Certificate, ...]
    uri: str
    window: Window

    @property
    def name(self) -> str:
        """The issuing certificate's subject."""
        return self.chain[0].subject.rfc4514_string()

    def opened(self) -> dict[str, Any]:
        """The authority as a trust root spells it, with an open window."""
        return {
            "subject": {"organization": "", "commonName": ""},
            "uri": self.uri,
            "certChain": {"certificates": [{"rawBytes": _b64(der)} for der in self._ders()]},
            "validFor": _OPEN,
        }

    def describe(self) -> dict[str, Any]:
        """The authority for display."""
        chain = [hashlib.sha256(der).hexdigest() for der in self._ders()]
        return {"name": self.name, "uri": self.uri, "certificates": chain, **self.window.as_dict()}

    def _ders(self) -> list[bytes]:
        return [certificate.public_bytes(Encoding.DER) for certificate in self.chain]


def read_log(one: Fields) -> TransparencyLog:
    public = _public_key(one)
    raw, details = public.binary("rawBytes"), public.text("keyDetails")
    return TransparencyLog(
        id=one.inner("logId", {"keyId"}).binary("keyId"),
        raw_key=raw,
        details=details,
        url=one.text("baseUrl") if one.has("baseUrl") else "",
        window=window_of(one),
        key=_load_key(public, raw, details),
    )


def _public_key(one: Fields) -> Fields:
    return one.inner("publicKey", {"rawBytes", "keyDetails"}, frozenset({"validFor"}))


def _load_key(public: Fields, raw: bytes, details: str) -> object:
    """The key, if it is of the kind that `details` names; None for a kind that this version does not know."""
    if details not in _RSA and details not in _CURVES and details != "PKIX_ED25519":
        return None
    try:
        key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise public.refuse(f"{public.at('rawBytes')}: not a public key: {error}") from error
    if details in _CURVES:
        fits = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES[details][0])
    else:
        fits = isinstance(key, rsa.RSAPublicKey if details in _RSA else ed25519.Ed25519PublicKey)
    if not fits:
        raise public.refuse(f"{public.at('rawBytes')}: got {type(key).__name__.strip('_')}, expected {details}")
    return key


def load_certificate(der: bytes) -> x509.Certificate:
    """Loads a certificate. Its names and extensions can be read, and its number is positive (RFC 5280 §4.1.2.2; as Go).

    Raises only `ValueError`.
    """
    if len(der) > MAX_CERTIFICATE:
        raise ValueError(f"got {len(der)} bytes, expected a certificate of at most {MAX_CERTIFICATE}")
    try:
        certificate = x509.load_der_x509_certificate(der)
        # These are parsed only when they are read.
        str(certificate.issuer), str(certificate.subject), list(certificate.extensions)
        certificate.public_key()
    # A damaged certificate raises KeyError and others in addition to what the library documents.
    except Exception as error:
        raise ValueError(f"the certificate cannot be read: {error!r:.200}") from error
    if certificate.serial_number <= 0:
        raise ValueError("the certificate's serial number is not positive")
    return certificate


def read_authority(one: Fields) -> Authority:
    chain = one.inner("certChain", {"certificates"}).each("certificates", {"rawBytes"})
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise one.refuse(f"{one.at('certChain')}: got {len(chain)} certificates, expected 1 to {MAX_CHAIN}")
    loaded = []
    for certificate in chain:
        try:
            loaded.append(load_certificate(certificate.binary("rawBytes")))
        except ValueError as error:
            raise one.refuse(f"{certificate.where}: {error}") from error
    return Authority(tuple(loaded), one.text("uri") if one.has("uri") else "", window_of(one))


def window_of(one: Fields) -> Window:
    """The window of a log (at its key) or of an authority. It must have a start, as sigstore-go demands of logs.

    Without one, an instance would be trusted for signatures from before it existed.
    """
    holder = _public_key(one) if one.has("publicKey") else one
    span = holder.inner("validFor", set(), frozenset({"start", "end"})) if holder.has("validFor") else None
    if span is None or not span.has("start"):
        raise holder.refuse(f"{holder.at('validFor')}: the start is missing, from which it is trusted")
    return Window(_time(span, "start"), _time(span, "end") if span.has("end") else None)


def _time(span: Fields, name: str) -> datetime:
    """RFC 3339 with or without fractions of a second, in UTC (proto3 JSON, `Timestamp`)."""
    text = span.text(name)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise span.refuse(f"{span.at(name)}: got {text[:60]!r}, expected a time with a zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise span.refuse(f"{span.at(name)}: got {text[:60]!r}, expected a time") from error


def identity_of(one: Fields) -> str:
    """What identifies an instance across versions: its key, or its chain."""
    if one.has("publicKey"):
        return _public_key(one).text("rawBytes")
    chain = one.inner("certChain", {"certificates"}).each("certificates", {"rawBytes"})
    return " ".join(certificate.text("rawBytes") for certificate in chain)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
