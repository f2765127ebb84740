"""Certificates of a Sigstore authority: whom they name, which authority issued them, and which log recorded them.

Sources: Fulcio's certificate-specification.md and oid-info.md; RFC 5280 §6 (paths); RFC 6962 §3.2, §3.3 (signed
certificate timestamps). Times are those of the signature, never the local clock's.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from airgap.base.digest import Digest
from airgap.base.times import utc_text
from airgap.signatures.record import Refusal
from airgap.signatures.roots.instances import Authority, TransparencyLog, load_certificate
from airgap.signatures.roots.trust_root import TrustRoot

_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
"""The issuer as bare text (deprecated, but still present)."""
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
"""The same as a DER UTF8String."""
_USER_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
"""The `otherName` of issuers that have no email addresses: `name!domain`."""
_BAD = "bad-certificate"
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A signing certificate and its content. Nothing in it is verified."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePublicKey
    identity: str
    """The one subject alternative name: a URI or an email address."""
    issuer: str
    """The party that vouched for the identity: the OIDC issuer."""

    @property
    def key_digest(self) -> Digest:
        """The digest of the key's SPKI: deny lists name it."""
        return Digest.of(self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def read_leaf(der: bytes) -> Leaf:
    """Reads a signing certificate from its DER.

    Raises `Refusal`: `bad-certificate`, `wrong-identity` if it names no subject or several, `unsupported-format`
    (unsupported) if it names the subject neither by URI nor by email address, and `unsupported-algorithm`
    (unsupported) if its key is not P-256: that is the only key of a certificate that cosign, sigstore-python and
    airgap all verify with the same hash.
    """
    try:
        certificate = load_certificate(der)
    except ValueError as error:
        raise Refusal(_BAD, str(error)) from error
    extensions, key = certificate.extensions, certificate.public_key()
    _check_usage(extensions)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        kind = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
        raise Refusal(
            "unsupported-algorithm",
            f"the certificate's key is {kind.strip('_')}, expected P-256",
            unsupported=True,
        )
    return Leaf(certificate, key, _subject(extensions), _issuer(extensions))


def check_signature(leaf: Leaf, signature: bytes, message: bytes) -> None:
    """Checks that the leaf's key signed `message` (ECDSA with SHA-256). Raises `Refusal` (`bad-signature`)."""
    try:
        leaf.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Refusal("bad-signature", "the signature does not match the certificate's key") from error


def check_fits(leaf: Leaf, chain: Sequence[bytes]) -> None:
    """Checks the included certificates. They are never trusted, and prove nothing; but damage must be noticed.

    1. Each can be read. 2. If some are named like the issuer of the leaf, or of one above it, one of them is that
    issuer. The order is free, and others are ignored, roots included: sigstore_bundle.proto wants that of verifiers,
    because older signers wrote them. Raises `Refusal` (`bad-certificate`).
    """
    # 1.
    try:
        included = [load_certificate(der) for der in chain]
    except ValueError as error:
        raise Refusal(_BAD, "a certificate that is included with the signature cannot be read") from error
    # 2.
    above, checked = [leaf.certificate], list[x509.Certificate]()
    while above:
        below = above.pop()
        checked.append(below)
        named = [one for one in included if one.subject == below.issuer]
        issuers = [one for one in named if _issued(below, one)]
        if named and not issuers:
            raise Refusal(_BAD, "the certificates that are included with the signature do not match")
        above += [one for one in issuers if one not in checked and one not in above]


def verify_chain(leaf: Leaf, root: TrustRoot, times: Sequence[datetime]) -> tuple[Authority, x509.Certificate]:
    """The authority of `root` that issued the leaf, valid at each of `times`, and its certificate that did.

    1. It issued the leaf. 2. Its window contains the times. 3. So does the validity of each certificate. 4. The path
    is valid by the rules of RFC 5280 (constraints, usages, critical extensions). A root may list an authority several
    times, with a renewed certificate for the same key: one of them is enough. Raises `Refusal`: `unknown-ca`,
    `bad-certificate`, `outside-window`, `certificate-expired`.
    """
    # 1.
    issued = _issuers(leaf.certificate, root)
    # 2.
    open_ones = [(one, above) for one, above in issued if one.window.holds(times)]
    if not open_ones:
        closed, _ = issued[0]
        raise Refusal(
            "outside-window",
            f"signed {_shown(times)}; the authority {closed.name} is trusted from {closed.window}",
        )
    refused: Refusal | None = None
    for authority, above in open_ones:
        try:
            # 3.
            for certificate in (leaf.certificate, *authority.chain):
                check_valid(certificate, times)
            # 4.
            for moment in sorted(set(times)):
                _check_path(leaf.certificate, authority, moment)
        except Refusal as refusal:
            refused = refused or refusal
        else:
            return authority, above
    assert refused is not None, "one is open"  # noqa: S101
    raise refused


def _issuers(leaf: x509.Certificate, root: TrustRoot) -> list[tuple[Authority, x509.Certificate]]:
    """The authorities that issued the leaf, and with which certificate: any of the chain, not only the first."""
    named = [(one, above) for one in root.authorities for above in one.chain if above.subject == leaf.issuer]
    issued = [(one, above) for one, above in named if _issued(leaf, above)]
    if issued:
        return issued
    name = leaf.issuer.rfc4514_string()
    if any(_claims(leaf, above) for _, above in named):
        raise Refusal(_BAD, f"{name} did not sign the certificate")
    what = "lists only with another key" if named else "does not list"
    raise Refusal("unknown-ca", f"the certificate was issued by {name}, which trust root {root.name} {what}")


def _claims(below: x509.Certificate, above: x509.Certificate) -> bool:
    """True if the certificate says that this key issued it: many authorities may have one name (RFC 5280 §4.2.1.1)."""
    said = _value(below.extensions, x509.AuthorityKeyIdentifier)
    own = _value(above.extensions, x509.SubjectKeyIdentifier)
    return said is not None and own is not None and said.key_identifier == own.digest


def check_valid(certificate: x509.Certificate, times: Sequence[datetime]) -> None:
    """Checks that the certificate is valid at each of `times`. Raises `Refusal` (`certificate-expired`)."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not all(start <= moment <= end for moment in times):
        raise Refusal(
            "certificate-expired",
            f"signed {_shown(times)}; a certificate is valid from {utc_text(start)} to {utc_text(end)}",
        )


def verify_sct(leaf: Leaf, issuer: x509.Certificate, root: TrustRoot) -> tuple[TransparencyLog, datetime]:
    """The certificate transparency log that recorded the leaf before it was issued, and when.

    Raises `Refusal`: `no-sct`, `bad-sct`, `unknown-ct-log`, `outside-window`, `unsupported-algorithm`.
    """
    kind = x509.PrecertificateSignedCertificateTimestamps
    try:
        listed = list(leaf.certificate.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound as error:
        raise Refusal("no-sct", "the certificate is not in a certificate transparency log") from error
    if len(listed) != 1:
        raise Refusal("bad-sct", f"got {len(listed)} certificate timestamps, expected one")
    sct = listed[0]
    log = root.ct_log(sct.log_id)
    if log is None:
        raise Refusal(
            "unknown-ct-log",
            "the trust root is too old or belongs to another Sigstore instance: it does not list certificate log "
            f"id {sct.log_id.hex()}",
        )
    # sct_version 0, signature_type 0 (certificate_timestamp), then time, entry type 1 (precert_entry) and the entry.
    seen = sct.timestamp.replace(tzinfo=UTC)
    millis = int(seen.timestamp()) * 1000 + seen.microsecond // 1000
    tbs, extra = leaf.certificate.tbs_precertificate_bytes, sct.extension_bytes
    spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = b"".join(
        (
            struct.pack("!BBQH", 0, 0, millis, 1),
            hashlib.sha256(spki).digest(),
            len(tbs).to_bytes(3, "big"),
            tbs,
            struct.pack("!H", len(extra)),
            extra,
        )
    )
    if not log.verify(sct.signature, signed):
        raise Refusal("bad-sct", "the certificate timestamp is not signed by its log")
    if not log.window.holds([seen]):
        raise Refusal(
            "outside-window",
            f"the certificate was logged {utc_text(seen)}; its log is trusted from {log.window}",
        )
    return log, seen


def _check_path(leaf: x509.Certificate, authority: Authority, moment: datetime) -> None:
    """RFC 5280's rules, by the library's web PKI policy; only the extended key usage is left to Sigstore's rules."""
    from cryptography.x509 import verification

    usage = (x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, None)
    above = verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(*usage)
    end = verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(*usage)
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([authority.chain[-1]]))
        .time(moment)
        .extension_policies(ca_policy=above, ee_policy=end)
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, list(authority.chain[:-1]))
    except (
        verification.VerificationError,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ) as error:
        raise Refusal(_BAD, f"no valid path from the certificate to {authority.name}: {error}") from error


def _check_usage(extensions: x509.Extensions) -> None:
    """The leaf may sign code, but may not issue certificates."""
    usage = _value(extensions, x509.KeyUsage)
    if usage is None or not usage.digital_signature or usage.key_cert_sign:
        raise Refusal(_BAD, "the certificate's key usage is not digital signature only")
    purposes = _value(extensions, x509.ExtendedKeyUsage)
    if purposes is None or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise Refusal(_BAD, "the certificate does not allow code signing")
    constraints = _value(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise Refusal(_BAD, "the certificate is a CA certificate, expected a signing certificate")


def _subject(extensions: x509.Extensions) -> str:
    names = list(_value(extensions, x509.SubjectAlternativeName) or ())
    if len(names) != 1:
        raise Refusal("wrong-identity", f"the certificate has {len(names)} subject names, expected one")
    if not isinstance(names[0], x509.UniformResourceIdentifier | x509.RFC822Name):
        kind = type(names[0]).__name__
        what = "a user name in the issuer's own format" if _is_user_name(names[0]) else f"a {kind}"
        raise Refusal(
            "unsupported-format",
            f"the certificate names {what}; rules can match only URIs and email addresses",
            unsupported=True,
        )
    return names[0].value


def _is_user_name(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.OtherName) and name.type_id == _USER_NAME


def _issuer(extensions: x509.Extensions) -> str:
    """The OIDC issuer. Most certificates name it twice; both must be the same."""
    found: list[str] = []
    for oid, decode in ((_ISSUER_V1, bytes), (_ISSUER_V2, _utf8_string)):
        try:
            extension = extensions.get_extension_for_oid(oid).value
        except x509.ExtensionNotFound:
            continue
        if not isinstance(extension, x509.UnrecognizedExtension):
            raise Refusal(_BAD, "the certificate's issuer extension cannot be read")
        try:
            found.append(decode(extension.value).decode())
        except UnicodeDecodeError as error:
            raise Refusal(_BAD, "the certificate's OIDC issuer is not text") from error
    if not found or not found[0]:
        raise Refusal(_BAD, "the certificate does not name its OIDC issuer")
    if len(set(found)) != 1:
        raise Refusal(_BAD, f"the certificate names two OIDC issuers: {found[0]!r}, {found[1]!r}")
    return found[0]


def _utf8_string(der: bytes) -> bytes:
    """The content of a DER UTF8String in its one encoding (X.690 §8.1.3, §10.1)."""
    for head in (2, 3, 4):
        content = der[head:]
        if der[:head] == b"\x0c" + _length(len(content)):
            return content
    raise Refusal(_BAD, "the certificate's OIDC issuer is not a DER string")


def _length(size: int) -> bytes:
    """A DER length of up to two bytes."""
    if size < 0x80:
        return bytes([size])
    return b"\x81" + bytes([size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")


def _value(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _shown(times: Sequence[datetime]) -> str:
    return " and ".join(utc_text(moment) for moment in sorted(set(times)))
