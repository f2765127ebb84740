"""The verdict of a scan, made of what the judge answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airgap.base.digest import Digest
from airgap.content.lock import Lock
from airgap.judgement.checks.base import Answer, Outcome
from airgap.judgement.judge import Judgement
from airgap.judgement.lock_findings import PARTIAL
from airgap.judgement.vex import TrustedVex
from airgap.resources.policy import Policy
from airgap.signatures.record import VerificationResult
from airgap.statements.gate import Gate
from airgap.statements.scan_answers import SCAN
from airgap.statements.scans import Scan, sort_scans
from airgap.statements.verdict import (
    CheckResult,
    CountedVex,
    JudgedItem,
    Named,
    PassedBy,
    Reported,
    UsedWaiver,
    Verdict,
)

if TYPE_CHECKING:
    from airgap.scanning.run import ScannedContent


def make_verdict(
    lock: Lock,
    judged: Sequence[Judgement],
    lacking: Sequence[Answer],
    roots: Mapping[str, Digest],
    policy: Policy,
    reports: Mapping[Digest, Digest],
    run: ScannedContent | None,
) -> Verdict:
    """The verdict on a lock: `judged` are its items, `lacking` the answers about what it lacks of its request.

    `roots` are those of the items in the store, by name; `reports` those to include, by subject.
    """
    answers = [*(check for one in judged for check in one.answers), *lacking]
    used = {check.waiver.digest: check.waiver.expires for check in answers if check.waiver is not None}
    return Verdict(
        policy=Named(policy.name, policy.digest),
        trust_roots=tuple(Named(one.name, one.digest) for one in policy.trust_roots),
        waivers=tuple(UsedWaiver(digest, used[digest].replace(microsecond=0)) for digest in sorted(used)),
        items={one.item: _item(one, roots[one.item]) for one in judged},
        reports=tuple(Reported(subject, reports[subject]) for subject in sorted(reports)),
        findings=tuple(_checked(one, PARTIAL if one.outcome is Outcome.PASSED else "") for one in lacking),
        scanners=run.scanners if run is not None else (),
        scans=_scans(lock, run) if run is not None else (),
        vex=_counted(answers),
        gate=None if policy.findings is None else Gate.of(policy.findings),
    )


def _counted(answers: Sequence[Answer]) -> tuple[CountedVex, ...]:
    """The OpenVEX documents that lifted findings, each once."""
    documents = {
        one.document.digest: CountedVex(one.document.digest, _signed_by(one.result)) for one in vex_of(answers)
    }
    return tuple(documents[digest] for digest in sorted(documents))


def vex_of(answers: Iterable[Answer]) -> Iterator[TrustedVex]:
    """The OpenVEX documents that lifted findings."""
    return (one for answer in answers for one in answer.vex)


def _scans(lock: Lock, run: ScannedContent) -> tuple[Scan, ...]:
    """The results about a lock's items. One of another run is no answer, and the judge has said so."""
    names = {one.own_digest for one in run.scanners}
    found = [one for item in lock.items for one in run.scans(item) if one.scanner in names]
    return sort_scans(found, run.scanners)


def _item(one: Judgement, root: Digest) -> JudgedItem:
    return JudgedItem(
        root=root,
        outcome=str(one.outcome),
        reason=None if one.passed else f"{one.reason}: {one.detail}",
        checks=tuple(_checked(check, one.rule) for check in one.answers),
    )


def _checked(check: Answer, rule: str) -> CheckResult:
    return CheckResult(
        check=check.check,
        predicate_type=check.predicate_type or None,
        outcome=str(check.outcome),
        subject=check.subject,
        rule=check.rule or rule,
        by=_by(check),
        reason=_reason(check),
        waiver=None if check.waiver is None else check.waiver.digest,
        finding=check.named,
        vex=tuple(one.document.digest for one in check.vex),
    )


def _reason(check: Answer) -> str | None:
    """Why it did not pass; of what passed only where the rule and who signed do not say it."""
    if check.reason:
        return f"{check.reason}: {check.detail}"
    return check.detail if check.check == SCAN or check.vex else None


def _by(check: Answer) -> PassedBy | None:
    """The role or person who made it pass."""
    if check.finding is not None and check.finding.verified and check.finding.proof is not None:
        return _signed_by(check.finding)
    if check.approver:
        return PassedBy(approver=check.approver)
    return PassedBy(approver=check.waiver.approver) if check.waiver is not None else None


def _signed_by(result: VerificationResult) -> PassedBy:
    """Who made a verified signature."""
    proof = result.proof
    if proof is None:
        return PassedBy()
    if proof.identity:
        return PassedBy(identity=proof.identity, issuer=proof.issuer, key_digest=proof.key)
    return PassedBy(key=proof.key_name, key_digest=proof.key)
