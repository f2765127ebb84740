"""Time stamps (RFC 3161) by authorities that the trust root names. Needs rfc3161-client, from the extra `keyless`.

Every included stamp must verify, even if another time is known: a stamp that cannot be checked means damage or a trust
root that is too old, and both must be reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from airgap.base.errors import InputError
from airgap.base.times import utc_text
from airgap.signatures.engines.certificates import check_valid
from airgap.signatures.engines.stamp_order import sorted_certificates
from airgap.signatures.record import Refusal
from airgap.signatures.roots.instances import Authority
from airgap.signatures.roots.trust_root import TrustRoot

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse, Verifier

MAX_STAMPS = 32
"""Stamps at one signature."""
MAX_STAMP = 64 << 10
"""Bytes of one stamp."""
_BAD = "bad-timestamp"


def verify_timestamps(responses: Sequence[bytes], stamped: bytes, root: TrustRoot) -> tuple[datetime, ...]:
    """The times at which `stamped` existed, one for each response (DER `TimeStampResp`).

    Raises `Refusal`: `too-many`, `too-large`, `bad-timestamp`, `unknown-tsa`, `outside-window`,
    `certificate-expired`; `InputError` (`missing-extra`).
    """
    if len(responses) > MAX_STAMPS:
        raise Refusal("too-many", f"got {len(responses)} time stamps, expected at most {MAX_STAMPS}")
    if len(set(responses)) != len(responses):
        raise Refusal(_BAD, "the same time stamp occurs twice")
    return tuple(_verify(response, stamped, root) for response in responses)


def _verify(der: bytes, stamped: bytes, root: TrustRoot) -> datetime:
    """1. It is a granted stamp with one signer. 2. The root names the signer, by the certificate and not only by name
    and number. 3. The chain was valid at the time of the stamp. 4. Signature, usage and imprint verify. 5. The window
    contains the time. Other certificates in a stamp prove nothing, and are ignored."""
    try:
        from rfc3161_client import decode_timestamp_response
    except ImportError as error:
        raise missing_extra() from error
    # 1. 2.
    if len(der) > MAX_STAMP:
        raise Refusal("too-large", f"a time stamp has {len(der)} bytes, expected at most {MAX_STAMP}")
    try:
        response = decode_timestamp_response(sorted_certificates(der))
        authorities = _authorities(response, root)
        moment = response.tst_info.gen_time
    except Refusal:
        raise
    # Damaged names and numbers raise KeyError and other errors from deep inside the library.
    except Exception as error:
        raise Refusal(_BAD, f"a time stamp cannot be read: {error!r:.200}") from error
    refused: Refusal | None = None
    for authority in authorities:
        try:
            _check(der, response, stamped, authority)
        except Refusal as refusal:
            refused = refused or refusal
        else:
            return moment
    assert refused is not None, "there is one"  # noqa: S101
    raise refused


def _check(der: bytes, response: TimeStampResponse, stamped: bytes, authority: Authority) -> None:
    """Steps 3 to 5, for one authority. A root may list one several times, with other windows or certificates."""
    moment = response.tst_info.gen_time
    # 3.
    for certificate in authority.chain:
        check_valid(certificate, [moment])
    # 4.
    verifier = _verifier(authority)
    try:
        verifier.verify_message(response, stamped)
    except Exception as error:
        if not _means(der, authority.chain[0]):
            raise _unknown(response) from error
        raise Refusal(_BAD, f"a time stamp does not verify: {error!r:.200}") from error
    # 5.
    if not authority.window.holds([moment]):
        raise Refusal(
            "outside-window",
            f"stamped {utc_text(moment)}; the authority {authority.name} is trusted from {authority.window}",
        )


def _verifier(authority: Authority) -> Verifier:
    """rfc3161-client's verifier for one authority. It requires the chain up to a root, as cosign does."""
    from rfc3161_client import VerifierBuilder

    leaf, *between = authority.chain
    if authority.chain[-1].issuer != authority.chain[-1].subject:
        raise Refusal(
            "unsupported-format",
            f"the trust root lists {authority.name} without the root certificate of its chain: add it",
            unsupported=True,
        )
    builder = VerifierBuilder().tsa_certificate(leaf).add_root_certificate(authority.chain[-1])
    for intermediate in between[:-1]:
        builder = builder.add_intermediate_certificate(intermediate)
    return builder.build()


def _authorities(response: TimeStampResponse, root: TrustRoot) -> list[Authority]:
    """The authorities whose leaf signed, found by the signer's issuer and serial number: mostly one."""
    if response.status != 0:
        raise Refusal(_BAD, f"the authority refused the time stamp (status {response.status})")
    signers = list(response.signed_data.signer_infos)
    if len(signers) != 1:
        raise Refusal(_BAD, f"a time stamp has {len(signers)} signers, expected one")
    signer = signers[0].issuer, signers[0].serial_number
    leaves = ((one, one.chain[0]) for one in root.stampers)
    found = [one for one, leaf in leaves if (leaf.issuer, leaf.serial_number) == signer]
    if not found:
        raise _unknown(response)
    return found


def _means(der: bytes, leaf: x509.Certificate) -> bool:
    """True if the stamp names this certificate of its signer by hash, as it must (RFC 3161 §2.4.1, RFC 5816)."""
    raw = leaf.public_bytes(Encoding.DER)
    return any(hashlib.new(name, raw).digest() in der for name in ("sha1", "sha256", "sha384", "sha512"))


def _unknown(response: TimeStampResponse) -> Refusal:
    (signer,) = response.signed_data.signer_infos
    return Refusal(
        "unknown-tsa",
        "the trust root is too old or belongs to another Sigstore instance: it does not list the time stamp authority "
        f"issued by {signer.issuer.rfc4514_string()}, serial number {signer.serial_number:x}",
    )


def missing_extra() -> InputError:
    """The error for missing packages: sigstore and its dependencies."""
    return InputError(
        "missing-extra",
        "verifying certificates and time stamps needs the Python package sigstore",
        "pip install 'airgap[keyless]'",
    )
