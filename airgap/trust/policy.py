"""The judge: what a policy says about one item, and why.

A judgement is made of checks, and a check of findings. What a policy does not allow fails; so does everything that
could not be looked at. Source: docs/format.md, "Policy".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from airgap.digest import Digest
from airgap.times import utc_text
from airgap.trust.upstream.record import Finding


class Outcome(StrEnum):
    """How a check or a whole judgement ended. Only `PASSED` (and, of a check, `WAIVED`) lets an item through."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_RUN = "not-run"
    """Its content could not be read: nobody knows, which is no yes."""
    WAIVED = "waived"
    """Of a check: it failed, and a waiver that holds now says that it need not pass."""


RULE = "rule"
"""Is there a rule, and may the item come in at all?"""
DENY = "deny"
"""Is the item's digest on the policy's deny list? No waiver counts here."""
SIGNATURE = "signature"
ATTESTATION = "attestation"
DIGEST_ONLY = "digest-only"
"""Somebody approved the item by its digest, until a day."""
CHECKS = (RULE, DENY, SIGNATURE, ATTESTATION, DIGEST_ONLY)
WAIVABLE = (SIGNATURE, ATTESTATION)


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was asked about one subject, and its answer."""

    name: str
    """One of `CHECKS`."""
    outcome: Outcome
    subject: Digest | None = None
    """`None` where the question is about the item as such."""
    predicate_type: str = ""
    """Of an attestation: which one was demanded."""
    reason: str = ""
    """A stable code, that of the finding which explains most; empty where the answer is yes."""
    detail: str = ""
    """The answer in words, also where it is yes."""
    finding: Finding | None = None
    """The one that decided."""
    waiver: str = ""
    """The name of the waiver that let it pass."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape; empty fields are left out."""
        made = {
            "check": self.name,
            "outcome": str(self.outcome),
            "subject": str(self.subject or ""),
            "predicateType": self.predicate_type,
            "reason": self.reason,
            "detail": self.detail,
            "waiver": self.waiver,
        }
        return {key: value for key, value in made.items() if value}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the policy says about one item. `findings` are all that was looked at, also what decided nothing."""

    item: str
    kind: str
    root: Digest | None
    """`None` for Git, which has refs."""
    pin: Digest
    """The digest of the item as the lock has it: names every kind."""
    outcome: Outcome
    rule: str
    """The rule that matched, for people: `rules[2] (ghcr.io/acme/*)`; empty where none did."""
    reason: str = ""
    """The stable code of the first check that failed; empty where the item may pass."""
    detail: str = ""
    """The same in words."""
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """True when the item may go on."""
        return self.outcome is Outcome.PASSED

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape, with every finding."""
        return {
            "item": self.item,
            "kind": self.kind,
            "root": str(self.root) if self.root else None,
            "pin": str(self.pin),
            "outcome": str(self.outcome),
            "rule": self.rule,
            "reason": self.reason,
            "detail": self.detail,
            "checks": [check.as_dict() for check in self.checks],
            "findings": [finding_dict(finding) for finding in self.findings],
        }


class Waives(Protocol):
    """What the judge must know of a waiver. Whether its signature counts was made sure of before."""

    @property
    def name(self) -> str:
        """Its name, for the judgement."""

    @property
    def digests(self) -> Sequence[str]:
        """Roots of items that it is for, or their pins."""

    @property
    def checks(self) -> Sequence[str]:
        """Those of `WAIVABLE` (and of later gates) that need not pass."""

    @property
    def expires(self) -> datetime:
        """From when on it counts for nothing."""


def finding_dict(finding: Finding) -> dict[str, Any]:
    """The JSON shape of a finding; empty fields are left out. What was signed is not in it."""
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
