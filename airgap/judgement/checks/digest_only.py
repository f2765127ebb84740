"""`digest-only`: has someone approved the item by its digest, and is that approval still valid?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.base.times import utc_text
from airgap.judgement.checks.base import Answer, Case, Outcome
from airgap.kinds.table import kind_of
from airgap.resources.problems import quoted


@dataclass(frozen=True, slots=True)
class DigestOnlyCheck:
    """A `Check`. It answers if the rule has `digestOnly`."""

    name: str = "digest-only"
    waivable: bool = False
    final: bool = False

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. A local artifact passes only if the rule allows local sources."""
        given = case.rule.digest_only if case.rule else None
        if given is None:
            return
        outcome, reason = Outcome.FAILED, ""
        if kind_of(case.item).is_local(case.item) and not given.local:
            reason = "local-source"
            what = f"it comes from a local source ({quoted(case.item.source)}), so its name is only the request's claim"
        elif given.expired(case.now):
            reason = "approval-expired"
            what = f"the approval by digest from {given.approver} expired at {utc_text(given.expires)}"
        else:
            outcome = Outcome.PASSED
            what = f"approved by its digest: {given.approver}, until {utc_text(given.expires)}: {given.reason}"
        yield Answer(self.name, outcome, case.subject, reason=reason, detail=what, approver=given.approver)
