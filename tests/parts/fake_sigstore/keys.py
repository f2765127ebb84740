"""Keys that come out of a name, so that the same instance is the same bytes in every run."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KeyKind = Literal["p256", "p384", "rsa", "ed25519"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

KEY_DETAILS: dict[KeyKind, str] = {
    "p256": "PKIX_ECDSA_P256_SHA_256",
    "p384": "PKIX_ECDSA_P384_SHA_384",
    "rsa": "PKIX_RSA_PKCS1V15_2048_SHA256",
    "ed25519": "PKIX_ED25519",
}


def b64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def elliptic(name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """The key of this name, P-256 unless told."""
    number = int.from_bytes(hashlib.sha512(name.encode()).digest()[:31], "big")
    return ec.derive_private_key(number, curve or ec.SECP256R1())


@cache
def private_key(name: str, kind: KeyKind = "p256") -> PrivateKey:
    """The key of this name. An RSA key is one for the whole run, and another in the next."""
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    return elliptic(name, ec.SECP384R1() if kind == "p384" else ec.SECP256R1())


def kind_of(key: PrivateKey) -> KeyKind:
    """Which of our kinds a key is."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "rsa"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    return "p384" if key.curve.name == "secp384r1" else "p256"


def sign(key: PrivateKey, message: bytes, *, sha384: bool | None = None) -> bytes:
    """Sign as Sigstore does for this kind of key; ECDSA without chance (RFC 6979).

    P-384 goes with SHA-384 unless told otherwise, everything else with SHA-256.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    wide = key.curve.name == "secp384r1" if sha384 is None else sha384
    digest = hashes.SHA384() if wide else hashes.SHA256()
    return key.sign(message, ec.ECDSA(digest, deterministic_signing=True))


def spki(key: PrivateKey | PublicKey) -> bytes:
    """The public key, DER."""
    public = key if isinstance(key, PublicKey) else key.public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_pem(key: PrivateKey) -> bytes:
    """The public key as cosign's `--key` takes it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a key, and the certificate that says whose it is, or none for a managed key."""

    key: PrivateKey
    certificate: x509.Certificate | None = None
    chain: tuple[x509.Certificate, ...] = ()
    """Above the leaf, up to the root, as cosign puts it into annotations."""

    def sign(self, message: bytes) -> bytes:
        """Sign with the hash that goes with the key."""
        return sign(self.key, message)

    @property
    def verifier(self) -> bytes:
        """What Rekor keeps of the signer: the certificate's or the public key's PEM."""
        if self.certificate:
            return self.certificate.public_bytes(Encoding.PEM)
        return public_pem(self.key)

    @property
    def der(self) -> bytes:
        """The same as DER."""
        if self.certificate:
            return self.certificate.public_bytes(Encoding.DER)
        return spki(self.key)

    @property
    def details(self) -> str:
        """The name of the algorithm in Sigstore's registry."""
        return KEY_DETAILS[kind_of(self.key)]

    def digest(self, data: bytes) -> tuple[str, bytes]:
        """The digest that goes with the key, and its name in a bundle."""
        if kind_of(self.key) == "p384":
            return "SHA2_384", hashlib.sha384(data).digest()
        return "SHA2_256", hashlib.sha256(data).digest()

    @property
    def hint(self) -> str:
        """What cosign writes as hint at a managed key."""
        return b64(hashlib.sha256(spki(self.key)).digest())


def managed(name: str, kind: KeyKind = "p256") -> Signer:
    """Somebody with a key of their own and no certificate."""
    return Signer(private_key(name, kind))
