"""A time stamping authority that says whatever time it is asked to (RFC 3161, RFC 5816)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from . import der
from .ca import TIME_STAMPING, time_stamper
from .keys import sign

SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
SHA256 = "2.16.840.1.101.3.4.2.1"
SHA512 = "2.16.840.1.101.3.4.2.3"
ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
POLICY = "1.3.6.1.4.1.57264.2"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a response says; the default is a good one."""

    at: datetime
    status: int = 0
    """PKIStatus: 0 is granted, 2 a rejection."""
    certificate: bool = True
    """Whether the authority's leaf comes along."""
    nonce: int | None = None
    sha512: bool = False
    serial: int | None = None


class TimeStamper:
    """The authority: a root and a leaf that stamps."""

    def __init__(
        self,
        seed: str,
        start: datetime,
        *,
        usages: tuple[x509.ObjectIdentifier, ...] = (TIME_STAMPING,),
    ) -> None:
        self.key, self.chain = time_stamper(seed, start, usages=usages)

    def stamp(self, message: bytes, at: datetime) -> bytes:
        """A TimeStampResp (DER): these bytes were there at that time."""
        return self.respond(message, Stamp(at))

    def respond(self, message: bytes, stamp: Stamp) -> bytes:
        """The same with everything that may differ."""
        status = der.sequence(der.integer(stamp.status))
        if stamp.status > 1:
            return der.sequence(status)
        token = self._token(self._info(message, stamp), with_leaf=stamp.certificate)
        content = der.sequence(der.oid(SIGNED_DATA), der.explicit(0, token))
        return der.sequence(status, content)

    @staticmethod
    def _info(message: bytes, stamp: Stamp) -> bytes:
        digest = (hashlib.sha512 if stamp.sha512 else hashlib.sha256)(message).digest()
        serial = stamp.serial or int.from_bytes(hashlib.sha256(message).digest()[:8], "big")
        return der.sequence(
            der.integer(1),
            der.oid(POLICY),
            der.sequence(der.algorithm(SHA512 if stamp.sha512 else SHA256), der.octets(digest)),
            der.integer(serial),
            der.generalized_time(stamp.at),
            der.integer(stamp.nonce) if stamp.nonce is not None else b"",
        )

    def _token(self, info: bytes, *, with_leaf: bool) -> bytes:
        """SignedData (RFC 5652 §5.1) around the TSTInfo."""
        leaf = self.chain[0]
        raw = leaf.public_bytes(Encoding.DER)
        certificate = der.sequence(der.sequence(der.sequence(der.octets(hashlib.sha256(raw).digest()))))
        attributes = [
            _attribute(CONTENT_TYPE, der.oid(TST_INFO)),
            _attribute(MESSAGE_DIGEST, der.octets(hashlib.sha256(info).digest())),
            _attribute(SIGNING_CERTIFICATE_V2, certificate),
        ]
        signer = der.sequence(
            der.integer(1),
            der.sequence(leaf.issuer.public_bytes(), der.integer(leaf.serial_number)),
            der.algorithm(SHA256),
            der.set_of(attributes, tag=0xA0),
            der.algorithm(ECDSA_WITH_SHA256),
            der.octets(sign(self.key, der.set_of(attributes))),
        )
        return der.sequence(
            der.integer(3),
            der.set_of([der.algorithm(SHA256)]),
            der.sequence(der.oid(TST_INFO), der.explicit(0, der.octets(info))),
            der.set_of([raw], tag=0xA0) if with_leaf else b"",
            der.set_of([signer]),
        )


def _attribute(kind: str, value: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.set_of([value]))
