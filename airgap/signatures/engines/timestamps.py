"""Time stamps (RFC 3161) by authorities that the trust root names. Needs rfc3161-client, from the extra `keyless`.

Every included stamp must verify, even if another time is known: a stamp that cannot be checked means damage or a trust
root that is too old, and both must be reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from airgap.base.errors import InputError
from airgap.base.times import utc_text
from airgap.signatures.engines.certificates import check_valid
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
    """1. It is a granted stamp with one signer. 2. The root names the signer. 3. It contains no other certificate.
    4. The chain was valid at the time of the stamp, and signature, usage and imprint verify. 5. So does the window."""
    try:
        from rfc3161_client import decode_timestamp_response
    except ImportError as error:
        raise missing_extra() from error
    # 1. 2.
    if len(der) > MAX_STAMP:
        raise Refusal("too-large", f"a time stamp has {len(der)} bytes, expected at most {MAX_STAMP}")
    try:
        response = decode_timestamp_response(der)
        authority = _authority(response, root)
        moment = response.tst_info.gen_time
    except Refusal:
        raise
    # Damaged names and numbers raise KeyError and other errors from deep inside the library.
    except Exception as error:
        raise Refusal(_BAD, f"a time stamp cannot be read: {error!r:.200}") from error
    # 3.
    known = {certificate.public_bytes(Encoding.DER) for certificate in authority.chain}
    if not set(response.signed_data.certificates) <= known:
        raise Refusal(_BAD, "a time stamp contains a certificate that the trust root does not list")
    # 4.
    for certificate in authority.chain:
        check_valid(certificate, [moment])
    verifier = _verifier(authority)
    try:
        verifier.verify_message(response, stamped)
    except Exception as error:
        raise Refusal(_BAD, f"a time stamp does not verify: {error!r:.200}") from error
    # 5.
    if not authority.window.holds([moment]):
        raise Refusal(
            "outside-window",
            f"stamped {utc_text(moment)}; the authority {authority.name} is trusted from {authority.window}",
        )
    return moment


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


def _authority(response: TimeStampResponse, root: TrustRoot) -> Authority:
    """The authority whose leaf signed, found by the signer's issuer and serial number."""
    if response.status != 0:
        raise Refusal(_BAD, f"the authority refused the time stamp (status {response.status})")
    signers = list(response.signed_data.signer_infos)
    if len(signers) != 1:
        raise Refusal(_BAD, f"a time stamp has {len(signers)} signers, expected one")
    for authority in root.stampers:
        leaf: x509.Certificate = authority.chain[0]
        if (leaf.issuer, leaf.serial_number) == (signers[0].issuer, signers[0].serial_number):
            return authority
    raise Refusal(
        "unknown-tsa",
        "the trust root is too old or belongs to another Sigstore instance: it does not list the time stamp authority "
        f"issued by {signers[0].issuer.rfc4514_string()}, serial number {signers[0].serial_number:x}",
    )


def missing_extra() -> InputError:
    """The error for missing packages: sigstore and its dependencies."""
    return InputError(
        "missing-extra",
        "verifying certificates and time stamps needs the Python package sigstore",
        "pip install 'airgap[keyless]'",
    )
