"""The certificate authority and its certificate transparency log: Fulcio's place in the instance."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from . import der
from .keys import KeyKind, PrivateKey, Signer, b64, elliptic, private_key, sign, spki

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")  # the raw text
ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")  # a DER UTF8String
SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")

SAN = "https://code.example/acme/app/.github/workflows/release.yml@refs/tags/v1.0"
ISSUER = "https://token.code.example"
LEAF_LIVES = timedelta(minutes=10)
YEARS = timedelta(days=3650)


def name(common: str, organization: str = "fake.example") -> x509.Name:
    """A subject."""
    parts = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common)]
    return x509.Name([x509.NameAttribute(key, value) for key, value in parts])


class CtLog:
    """A certificate transparency log: it signs that it saw a certificate (RFC 6962 §3.2)."""

    def __init__(self, seed: str) -> None:
        self.key = elliptic(f"{seed}/ct")
        self.log_id = hashlib.sha256(spki(self.key)).digest()

    def sct_list(self, tbs: bytes, issuer: ec.EllipticCurvePublicKey, at: datetime) -> bytes:
        """The extension's value with the one timestamp over a certificate to be."""
        stamp = int(at.timestamp() * 1000)
        entry = hashlib.sha256(spki(issuer)).digest() + len(tbs).to_bytes(3, "big") + tbs
        signed = struct.pack("!BBQH", 0, 0, stamp, 1) + entry + b"\0\0"
        signature = sign(self.key, signed)
        sct = struct.pack("!B32sQHBBH", 0, self.log_id, stamp, 0, 4, 3, len(signature)) + signature
        return der.octets(struct.pack("!HH", len(sct) + 2, len(sct)) + sct)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a signing certificate says. The default is a good one of a build service."""

    at: datetime
    """The certificate is valid from here."""
    san: str = SAN
    """A URI, or an e-mail address (it has an @ and no scheme)."""
    issuer: str = ISSUER
    """Who vouched for the identity: both extensions say so."""
    key: KeyKind = "p256"
    lives: timedelta = LEAF_LIVES
    sct: bool = True
    usages: tuple[x509.ObjectIdentifier, ...] = (CODE_SIGNING,)
    issuer_v1: bool = True
    issuer_v2: bool = True
    old_issuer: str | None = None
    """What the older extension says when it is to say something else."""
    digital_signature: bool = True
    is_ca: bool = False
    number: int = 0
    """Another number is another key and another certificate."""


@dataclass(slots=True)
class Authority:
    """A root, the intermediate that signs leaves, and the log that they go into."""

    seed: str
    start: datetime
    ct: CtLog
    root: x509.Certificate = field(init=False)
    intermediate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.root = _ca(self._key("root"), name(f"{self.seed} root"), self.start, path=1)
        self.intermediate = _ca(
            self._key("intermediate"),
            name(f"{self.seed} intermediate"),
            self.start,
            path=0,
            parent=(self.root, self._key("root")),
        )

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Intermediate and root, as the trusted root lists them."""
        return (self.intermediate, self.root)

    def signer(self, leaf: Leaf, *, ct: CtLog | None = None) -> Signer:
        """A fresh key with its certificate; `ct` is another log than ours."""
        key = private_key(f"{self.seed}/leaf/{leaf.san}/{leaf.number}", leaf.key)
        return Signer(key, self.certify(key, leaf, ct=ct), self.chain)

    def certify(self, key: PrivateKey, leaf: Leaf, *, ct: CtLog | None = None) -> x509.Certificate:
        """The certificate for a key: built twice, as the log signs it before it is in it."""
        builder = self._builder(key, leaf)
        signing = self._key("intermediate")
        if leaf.sct:
            before = _signed(builder, signing)
            found = (ct or self.ct).sct_list(before.tbs_certificate_bytes, signing.public_key(), leaf.at)
            builder = builder.add_extension(_unknown(SCT_LIST, found), critical=False)
        return _signed(builder, signing)

    def _key(self, role: str) -> ec.EllipticCurvePrivateKey:
        return elliptic(f"{self.seed}/{role}")

    def _builder(self, key: PrivateKey, leaf: Leaf) -> x509.CertificateBuilder:
        usage = _usage(digital_signature=leaf.digital_signature, certs=leaf.is_ca)
        serial = hashlib.sha256(f"{self.seed}/{leaf}".encode()).digest()[:16]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.intermediate.subject)
            .public_key(key.public_key())
            .serial_number(int.from_bytes(serial, "big") >> 1 | 1)
            .not_valid_before(leaf.at)
            .not_valid_after(leaf.at + leaf.lives)
            .add_extension(usage, critical=True)
            .add_extension(_key_id(key), critical=False)
            .add_extension(_authority_id(self.intermediate), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(leaf.san)]),
                critical=True,
            )
        )
        if leaf.usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(leaf.usages), critical=False)
        if leaf.is_ca:
            authority = x509.BasicConstraints(ca=True, path_length=None)
            builder = builder.add_extension(authority, critical=True)
        if leaf.issuer_v1:
            old = (leaf.old_issuer if leaf.old_issuer is not None else leaf.issuer).encode()
            builder = builder.add_extension(_unknown(ISSUER_V1, old), critical=False)
        if leaf.issuer_v2:
            new = der.utf8(leaf.issuer)
            builder = builder.add_extension(_unknown(ISSUER_V2, new), critical=False)
        return builder


def time_stamper(
    seed: str, start: datetime, *, usages: tuple[x509.ObjectIdentifier, ...] = (TIME_STAMPING,)
) -> tuple[ec.EllipticCurvePrivateKey, tuple[x509.Certificate, ...]]:
    """The key of a time stamping authority, and its certificates from the leaf to the root."""
    root_key, key = elliptic(f"{seed}/tsa-root"), elliptic(f"{seed}/tsa")
    root = _ca(root_key, name(f"{seed} tsa root"), start, path=0)
    builder = (
        _named(key, name(f"{seed} tsa"), root.subject, start)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(_key_id(key), critical=False)
        .add_extension(_authority_id(root), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=True)
    )
    return key, (_signed(builder, root_key), root)


def rekeyed(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The certificate that an authority of the same name and number has in another instance: for another key."""
    names = certificate.issuer, certificate.subject, key.public_key(), certificate.serial_number
    lives = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    builder = x509.CertificateBuilder(*names, *lives)
    for extension in certificate.extensions:
        if not isinstance(extension.value, x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    return _signed(builder.add_extension(_key_id(key), critical=False), key)


def _ca(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    start: datetime,
    *,
    path: int,
    parent: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
) -> x509.Certificate:
    issuer = parent[0].subject if parent else subject
    builder = (
        _named(key, subject, issuer, start)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path), critical=True)
        .add_extension(_usage(certs=True), critical=True)
        .add_extension(_key_id(key), critical=False)
    )
    if parent:
        builder = builder.add_extension(_authority_id(parent[0]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([CODE_SIGNING]), critical=False)
    return _signed(builder, parent[1] if parent else key)


def _named(key: PrivateKey, subject: x509.Name, issuer: x509.Name, start: datetime) -> x509.CertificateBuilder:
    serial = int.from_bytes(hashlib.sha256(subject.public_bytes()).digest()[:16], "big") >> 1 | 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + YEARS)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _key_id(key: PrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _authority_id(parent: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    known = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _unknown(oid: x509.ObjectIdentifier, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(oid, value)


def _general_name(san: str) -> x509.GeneralName:
    if "@" in san and "://" not in san:
        return x509.RFC822Name(san)
    return x509.UniformResourceIdentifier(san)


def _usage(*, digital_signature: bool = False, certs: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certs,
        crl_sign=certs,
        encipher_only=False,
        decipher_only=False,
    )


def listed(certificates: tuple[x509.Certificate, ...]) -> dict[str, Any]:
    """A chain as trusted roots and old bundles spell it."""
    raw = (each.public_bytes(Encoding.DER) for each in certificates)
    return {"certificates": [{"rawBytes": b64(each)} for each in raw]}
