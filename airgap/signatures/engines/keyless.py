"""Verifies signatures with a certificate of a Sigstore authority, in any format, without a network.

Every rule is checked here, so that each refusal has its reason, and so that legacy signatures, which no library reads,
meet the same rules as bundles. sigstore-python also judges what it can, on the same record, with the trust root's
windows already applied: it ignores them, uses the local clock instead, and raises errors of many types. A signature
counts only if neither objects.

Sources: Sigstore client-spec; sigstore protobuf-specs v0.5; cosign's SIGNATURE_SPEC.md, ATTESTATION_SPEC.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding

from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.signatures.engines.certificates import (
    check_fits,
    check_signature,
    read_leaf,
    verify_chain,
    verify_sct,
)
from airgap.signatures.engines.identity import matches
from airgap.signatures.engines.rekor import known_log, verify_entries
from airgap.signatures.engines.timestamps import missing_extra, verify_timestamps
from airgap.signatures.record import Identity, LogEntry, Proof, Refusal, SignatureLayout, Signed
from airgap.signatures.roots.trust_root import TrustRoot
from airgap.statements.dsse import BUNDLE_TYPE

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.verify import Verifier

MAX_JUDGED = 1 << 20
"""Bytes of a payload up to which sigstore-python is asked as well."""
_JUDGED = frozenset({("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2"), ("dsse", "0.0.1")})
"""Kinds of log entries that sigstore-python knows."""


def verify_keyless(
    signed: Signed,
    root: TrustRoot,
    identities: Sequence[Identity],
    now: datetime,
    *,
    logged: bool | None = None,
) -> Proof:
    """Who signed, and when, from the included certificate and the trust root alone.

    1. The certificate is a signing certificate, and its key signed. 2. A log of the root has the entry of this
    signature (if `logged` is False, or is None and the root names no log, an entry is optional).
    3. Every time stamp verifies. 4. There is a time, and none in the future. 5. The certificate is from an authority
    of the root, was valid at that time, and was logged. 6. Every log that was used is trusted at every time.
    7. sigstore-python does not object. 8. The identity is one of `identities`. `now` is used only to detect times in
    the future.

    Raises `Refusal`, each reason in docs/runbooks/signatures.md; `InputError` (`missing-extra`).
    """
    if find_spec("sigstore") is None:
        raise missing_extra()
    if not signed.certificate:
        raise Refusal("key-for-identity", "signed with a key, but the rule requires an identity")
    # 1.
    leaf = read_leaf(signed.certificate)
    check_fits(leaf, signed.chain)
    check_signature(leaf, signed.signature, signed.message)
    # 2.
    entered = _verify_logged(signed, root, needed=bool(root.logs) if logged is None else logged)
    # 3.
    stamps = verify_timestamps(signed.timestamps, signed.stamped, root)
    # 4.
    times = [*(("log", moment) for moment in entered), *(("tsa", stamp) for stamp in stamps)]
    moments = [moment for _, moment in times]
    if not moments:
        raise Refusal("no-time", "no log entry and no time stamp proves when it was signed")
    # 5.
    _, issuer = verify_chain(leaf, root, moments)
    ct_log, seen = verify_sct(leaf, issuer, root)
    _check_future([*moments, seen], now)
    # 6.
    narrowed = root.within(moments)
    used = [(one, narrowed.logs) for one in (known_log(entry, root) for entry in signed.entries)]
    for log, trusted in [*used, (ct_log, narrowed.ct_logs)]:
        if log not in trusted:
            raise Refusal(
                "outside-window",
                f"the log {log.id.hex()} is trusted from {log.window}; the signature was made outside that window",
            )
    # 7.
    if signed.layout is SignatureLayout.BUNDLE and _is_judged(signed):
        _ask_sigstore(signed, narrowed)
    # 8.
    if not any(matches(one, leaf.identity, leaf.issuer) for one in identities):
        raise Refusal(
            "wrong-identity",
            f"signed by {leaf.identity[:500]} of {leaf.issuer[:200]}, which the rule does not allow",
        )
    return Proof(
        identity=leaf.identity,
        issuer=leaf.issuer,
        key=leaf.key_digest,
        times=tuple(times),
        log_entries=tuple((entry.log_id.hex(), entry.log_index) for entry in signed.entries),
    )


def _verify_logged(signed: Signed, root: TrustRoot, *, needed: bool) -> list[datetime]:
    """The times of the log entries, as far as they have one. Without entries a time stamp must prove the time."""
    if needed and not signed.entries:
        raise Refusal("not-logged", "the signature is in no transparency log, but the trust root lists logs")
    return verify_entries(signed, root, signed.certificate)


def _check_future(moments: Sequence[datetime], now: datetime) -> None:
    latest = max(moments)
    if latest > now + CLOCK_SKEW:
        raise Refusal(
            "signed-in-future",
            f"signed at {utc_text(latest)}, after the local time {utc_text(now)}: check this machine's clock",
        )


# --- the second opinion --------------------------------------------------------------------------


def _is_judged(signed: Signed) -> bool:
    """True for what sigstore-python can judge: one entry with a proof, of a kind that it knows, and a small payload.

    A large SBOM would take another five times its bytes, and every part of it has been checked here already.
    """
    return (
        len(signed.entries) == 1
        and signed.entries[0].proof is not None
        and (signed.entries[0].kind, signed.entries[0].version) in _JUDGED
        and len(signed.payload) <= MAX_JUDGED
    )


def _ask_sigstore(signed: Signed, root: TrustRoot) -> None:
    """Raises `Refusal` (`verifier-error`) where sigstore-python does not accept the record.

    `root` has only the instances that are trusted at the signing times, so nothing is left to the library's clock.
    """
    from sigstore.hashes import Hashed
    from sigstore.models import Bundle
    from sigstore_models.common.v1 import HashAlgorithm

    try:
        bundle = Bundle.from_json(json.dumps(_respelled(signed)))
        verifier = _verifier(root)
        policy = _SameCertificate(signed.certificate)
        if signed.payload_type:
            answer = verifier.verify_dsse(bundle, policy)
            if answer != (signed.payload_type, signed.payload):
                raise Refusal("verifier-error", "sigstore-python reads a different payload")
        else:
            digest = hashlib.sha256(signed.message).digest()
            hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest)
            verifier.verify_artifact(hashed, bundle, policy)
    except Refusal:
        raise
    # It raises TypeError, ValueError, AttributeError and pydantic's errors in addition to its own.
    except Exception as error:
        raise Refusal("verifier-error", f"sigstore-python rejects it: {error}"[:500]) from error


@lru_cache(maxsize=64)
def _verifier(root: TrustRoot) -> Verifier:
    """sigstore-python's verifier of a trust root, cached: making one takes longer than verifying a signature."""
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier
    from sigstore_models.trustroot.v1 import TrustedRoot as Model

    return Verifier(trusted_root=TrustedRoot(Model.from_json(root.opened())))


class _SameCertificate:
    """sigstore-python's policy: the certificate is the one that was verified here."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def verify(self, cert: Certificate) -> None:
        if cert.public_bytes(Encoding.DER) != self._der:
            raise Refusal("verifier-error", "sigstore-python reads a different certificate")


def _respelled(signed: Signed) -> dict[str, Any]:
    """The record as a bundle in the spelling that sigstore-python reads: numbers as strings, zeros included."""
    material = {
        "certificate": {"rawBytes": _b64(signed.certificate)},
        "tlogEntries": [_entry_json(entry) for entry in signed.entries],
        "timestampVerificationData": {
            "rfc3161Timestamps": [{"signedTimestamp": _b64(one)} for one in signed.timestamps]
        },
    }
    bundle: dict[str, Any] = {"mediaType": BUNDLE_TYPE, "verificationMaterial": material}
    if signed.payload_type:
        bundle["dsseEnvelope"] = {
            "payload": _b64(signed.payload),
            "payloadType": signed.payload_type,
            "signatures": [{"sig": _b64(signed.signature)}],
        }
    else:
        bundle["messageSignature"] = {"signature": _b64(signed.signature)}
    return bundle


def _entry_json(entry: LogEntry) -> dict[str, Any]:
    made: dict[str, Any] = {
        "logIndex": str(entry.log_index),
        "logId": {"keyId": _b64(entry.log_id)},
        "kindVersion": {"kind": entry.kind, "version": entry.version},
        "inclusionProof": entry.proof,
        "canonicalizedBody": _b64(entry.body),
    }
    if entry.promise:
        made["integratedTime"] = str(entry.integrated_time)
        made["inclusionPromise"] = {"signedEntryTimestamp": _b64(entry.promise)}
    return made


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
