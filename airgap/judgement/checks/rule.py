"""`rule`: is there a rule for the item, and may the item come in by it at all?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.judgement.checks.base import Answer, Case, Outcome


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """A `Check`. It answers only with a no: who let an item in is said by the checks that the rule asks for."""

    name: str = "rule"
    waivable: bool = False
    final: bool = True

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. A rule lets an item in by `require` or by `digestOnly`, and by nothing else."""
        rule = case.rule
        if rule is None:
            what = f"no rule matches {case.item.kind} {case.name}; that may not come in"
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="no-rule", detail=what)
        elif rule.deny:
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="denied", detail=f"denied: {rule.deny}")
        elif rule.require is None and rule.digest_only is None:
            what = "the rule asks for nothing"
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="no-rule", detail=what)
