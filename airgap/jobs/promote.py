"""Promotion: what passed goes on, what did not stays in quarantine, and the lock that travels names both."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from airgap.base.amounts import count
from airgap.content.lock import Lock
from airgap.content.lock_finding import LockFinding
from airgap.content.promotion import promote
from airgap.jobs.importing.needs import Needs
from airgap.judgement.checks.base import Answer
from airgap.judgement.judge import Judgement
from airgap.judgement.lock_findings import judge_findings
from airgap.resources.policy import Policy
from airgap.resources.waiver import Waiver


@dataclass(frozen=True, slots=True)
class Promotion:
    """A lock of what passed of a full lock. If `refused` says why not, nothing may go on."""

    full: Lock
    lock: Lock
    """The full lock itself, if all of it passed."""
    judgements: tuple[Judgement, ...]
    answers: tuple[Answer, ...]
    """About what the promoted lock lacks."""
    refused: str = ""

    @property
    def left_out(self) -> tuple[LockFinding, ...]:
        """What stays in quarantine."""
        return self.lock.quarantined


def promote_judged(
    full: Lock, judgements: Sequence[Judgement], policy: Policy, waivers: Sequence[Waiver], now: datetime, needs: Needs
) -> Promotion:
    """The lock of what passed. Signs and writes nothing.

    What belongs together stays together: an item that needs one that did not pass is left out, too.
    Something has to pass, the policy has to allow partial deliveries if not all of it does, and nothing else that the
    lock lacks may be without a waiver. Raises `InputError` (`too-many-findings`).
    """
    failed = {one.item: f"{one.outcome}: {one.reason}: {one.detail}" for one in judgements if not one.passed}
    failed |= _needing(failed, needs)
    lock = promote(full, failed)
    partial = policy.findings is not None and policy.findings.partial
    answers = judge_findings(lock.findings, waivers, now, partial=partial)
    kept = tuple(one for one in judgements if one.item not in failed)
    bad = [one for one in answers if not one.good]
    refused = ""
    if not kept:
        refused = "no item passed"
    elif failed and not partial:
        many = count(len(failed), "item")
        refused = f"{many} did not pass, and the policy does not allow partial deliveries (findings.partial: true)"
    elif bad:
        refused = f"{count(len(bad), 'finding')} of the lock may not pass, the first: {bad[0].detail}"
    return Promotion(full, lock, kept, answers, refused)


def _needing(failed: Collection[str], needs: Needs) -> dict[str, str]:
    """What cannot be used without something that did not pass, and why."""
    found: dict[str, str] = {}
    while True:
        out = {*failed, *found}
        more = {
            item: f"it belongs with {min(others & out)!r}, which did not pass"
            for item, others in needs.items()
            if item not in out and others & out
        }
        if not more:
            return found
        found |= more
