"""The hash and the padding of a signature by a key: verifying with those of the policy, and finding the signer's.

A signature does not name them. Only the policy decides; the search only explains why a signature does not count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from airgap.signatures.record import Signed, UpstreamKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_HASHES = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_OTHERS = {"sha1": "SHA-1", "sha224": "SHA-224"}
"""Hashes that no policy can name: the first is broken, and signers do not use the second."""
_PADDINGS = {"pkcs1v15": "PKCS #1 v1.5", "pss": "PSS"}


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How a key signs, in the words of a policy. The padding matters only to RSA, and neither to Ed25519."""

    hash: str
    padding: str

    @property
    def fields(self) -> str:
        """The fields of a key in a policy that say so; empty if none can."""
        if self.hash in _OTHERS:
            return ""
        padded = "" if self.padding == "pkcs1v15" else f", rsaPadding: {self.padding}"
        return f"hashAlgorithm: {self.hash}{padded}"

    def words(self, key: PublicKeyTypes) -> str:
        """The algorithm of a key of this kind, for people."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        hashed = (_HASHES | _OTHERS)[self.hash]
        return f"{hashed} and {_PADDINGS[self.padding]}" if isinstance(key, rsa.RSAPublicKey) else hashed


def named(key: UpstreamKey) -> Algorithm:
    """The algorithm that the policy names for a key."""
    return Algorithm(key.hash_algorithm, key.rsa_padding)


class Signature:
    """A signature and what it is over, which is hashed once for all keys: an SBOM has many MiB."""

    __slots__ = ("_digests", "message", "raw")

    def __init__(self, signed: Signed) -> None:
        self.raw, self.message = signed.signature, signed.message
        self._digests = dict[str, bytes]()

    def digest(self, name: str) -> bytes:
        """The digest of the message."""
        if name not in self._digests:
            self._digests[name] = hashlib.new(name, self.message, usedforsecurity=False).digest()
        return self._digests[name]


def used(key: PublicKeyTypes, signature: Signature) -> Algorithm | None:
    """The algorithm with which this key made the signature; `None` if with none, or if the kind has no choice."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return None
    paddings = list(_PADDINGS) if isinstance(key, rsa.RSAPublicKey) else ["pkcs1v15"]
    choices = (Algorithm(hashed, padded) for hashed, padded in product(_HASHES | _OTHERS, paddings))
    return next((one for one in choices if verifies(key, signature, one)), None)


def verifies(key: PublicKeyTypes, signature: Signature, algorithm: Algorithm) -> bool:
    """True if this key made the signature, with this algorithm."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    known = (hashes.SHA1(), hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512())  # noqa: S303
    chosen: hashes.HashAlgorithm = next(one for one in known if one.name == algorithm.hash)
    # RFC 8017 fixes no length of the salt: OpenSSL makes it as long as it can, most others as long as the hash.
    padded = {"pkcs1v15": padding.PKCS1v15(), "pss": padding.PSS(padding.MGF1(chosen), padding.PSS.AUTO)}
    hashed = utils.Prehashed(chosen)
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature.raw, signature.digest(algorithm.hash), ec.ECDSA(hashed))
            case rsa.RSAPublicKey():
                key.verify(signature.raw, signature.digest(algorithm.hash), padded[algorithm.padding], hashed)
            case ed25519.Ed25519PublicKey():
                key.verify(signature.raw, signature.message)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
