"""`rule`: is there a rule for the item, and can the item come in by it at all?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.judgement.checks.base import Answer, Case, Outcome


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """A `Check`. It answers only if it fails: the checks that the rule requires give the positive answers."""

    name: str = "rule"
    waivable: bool = False
    final: bool = True

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. A rule lets an item in by `require` or by `digestOnly`, and by nothing else."""
        rule, ruling = case.rule, case.ruling
        if rule is None:
            what = f"no rule matches {case.item.kind} {ruling.name}, so it may not come in"
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="no-rule", detail=what)
        elif rule.deny:
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="denied", detail=f"denied: {rule.deny}")
        elif ruling.other_case:
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="no-rule", detail=ruling.other_case)
        elif ruling.renamed:
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="renamed", detail=ruling.renamed)
        elif rule.require is None and rule.digest_only is None:
            what = "the rule requires nothing: it has neither require nor digestOnly"
            yield Answer(self.name, Outcome.FAILED, case.subject, reason="no-rule", detail=what)
