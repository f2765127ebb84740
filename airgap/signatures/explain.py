"""Findings in words and as JSON: which of several explains most, and the text of a verified one."""

from __future__ import annotations

from typing import Any

from airgap.base.times import utc_text
from airgap.signatures.record import Status, VerificationResult

_EXPLAINS = (
    "bad-sbom",
    "key-not-valid",
    "wrong-identity",
    "signed-in-future",
    "outside-window",
    "certificate-expired",
    "unknown-log",
    "unknown-tsa",
    "unknown-ct-log",
    "no-sct",
    "bad-sct",
    "no-time",
    "bad-promise",
    "bad-proof",
    "bad-timestamp",
    "entry-mismatch",
    "unknown-ca",
    "bad-certificate",
    "bad-signature",
    "wrong-subject",
    "unsupported-algorithm",
)
_SAYS_LITTLE = (
    "wrong-key",
    "identity-for-key",
    "key-for-identity",
    "wrong-payload-type",
    "unsupported-format",
    "wrong-predicate-type",
    "not-a-signature",
    "unsigned",
)
"""The reported reason is that of the signature that got furthest. These reasons concern other signers or other things.
"""


def weight(finding: VerificationResult) -> int:
    """How much a finding explains: the further its signature got in verification, the more."""
    if finding.verified:
        return 1000
    if finding.reason == "denied":
        return 999
    if finding.reason in _EXPLAINS:
        return 900 - _EXPLAINS.index(finding.reason)
    if finding.reason in _SAYS_LITTLE:
        return 100 - _SAYS_LITTLE.index(finding.reason)
    return 0 if finding.status is Status.ABSENT else 500


def signer_text(finding: VerificationResult) -> str:
    """Who signed, if that is known, and what proves the time, in words."""
    proof = finding.proof
    if proof is None:
        return ""
    key = f" ({proof.key})" if proof.key and not proof.identity else ""
    who = f"{proof.identity} (issuer {proof.issuer})" if proof.identity else f"key {proof.key_name!r}{key}"
    by = {"log": "transparency log", "tsa": "timestamp authority"}
    when = ", ".join(f"{utc_text(at)} ({by.get(kind, kind)})" for kind, at in proof.times)
    root = f", trust root {finding.trust_root!r}" if finding.trust_root else ""
    return f"signed by {who}{f' at {when}' if when else ''}{root}"


def finding_dict(finding: VerificationResult) -> dict[str, Any]:
    """The JSON shape of a finding. Empty fields and the signed payload are left out."""
    made: dict[str, Any] = {
        "status": str(finding.status),
        "subject": str(finding.subject),
        "where": finding.where,
        "layout": str(finding.layout),
        "predicateType": finding.predicate_type,
        "reason": finding.reason,
        "detail": finding.detail,
        "trustRoot": finding.trust_root,
        "trustRootDigest": str(finding.trust_root_digest or ""),
    }
    if finding.proof is not None:
        proof = finding.proof
        made |= {
            "identity": proof.identity,
            "issuer": proof.issuer,
            "key": proof.key_name,
            "keyDigest": str(proof.key or ""),
            "times": [{"by": by, "at": utc_text(at)} for by, at in proof.times],
            "logEntries": [{"log": log, "index": index} for log, index in proof.log_entries],
        }
    return {key: value for key, value in made.items() if value}
