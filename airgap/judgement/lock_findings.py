"""The check `finding`: what a lock lacks of its request. Only a waiver lets it pass.

Of an item in quarantine, the policy may say that others go on without it (`findings.partial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airgap.base.times import utc_text
from airgap.content.lock_finding import CHECK, LockFinding
from airgap.judgement.checks.base import Answer, Outcome
from airgap.resources.waiver import Waiver

PARTIAL = "findings.partial"
"""The field of a policy that allows partial deliveries: the rule of answers about what is in quarantine."""


def judge_findings(
    findings: Sequence[LockFinding], waivers: Sequence[Waiver], now: datetime, *, partial: bool = False
) -> tuple[Answer, ...]:
    """One answer for each finding, in their order. `partial` is true if the policy allows partial deliveries."""
    return tuple(_answer(one, waivers, now, partial=partial) for one in findings)


def _answer(finding: LockFinding, waivers: Sequence[Waiver], now: datetime, *, partial: bool) -> Answer:
    what = f"{finding.item}: {finding.detail}"
    mine = [one for one in waivers if one.covers(CHECK, finding.digest)]
    holds = next((one for one in mine if not one.expired(now)), None)
    if holds is not None:
        said = f"waived until {utc_text(holds.expires)} by {holds.approver} ({holds.name}): {what}"
        return Answer(CHECK, Outcome.WAIVED, finding.digest, reason=finding.code, detail=said, waiver=holds)
    if finding.quarantined and partial:
        said = f"left out, as the policy allows ({PARTIAL}): {what}"
        return Answer(CHECK, Outcome.PASSED, finding.digest, detail=said)
    if mine:
        what = f"{what}; the waiver {mine[0].name!r} expired at {utc_text(mine[0].expires)}"
    return Answer(CHECK, Outcome.FAILED, finding.digest, reason=finding.code, detail=what)
