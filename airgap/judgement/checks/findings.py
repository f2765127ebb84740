"""`scan`: did every scanner come to its end, and does what they found block? Answers have the names of the kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.judgement.checks.base import Answer, Case, Outcome
from airgap.statements.gate import Gate
from airgap.statements.scan_answers import SCAN, answers


@dataclass(frozen=True, slots=True)
class FindingsCheck:
    """A `Check`. It answers if the policy has `findings`."""

    name: str = SCAN
    waivable: bool = True
    final: bool = False

    def ask(self, case: Case) -> Iterator[Answer]:
        """See `Check.ask`. An item of which nothing was scanned fails, whatever its kind."""
        if case.policy.findings is None or case.run is None:
            return
        gate, nothing = Gate.of(case.policy.findings), True
        for subject in case.run.answers(case.item):
            nothing = False
            for one in answers(gate, case.item.kind, case.names, subject, case.run.scanners, case.now):
                yield Answer(
                    check=one.check,
                    outcome=Outcome(one.outcome),
                    subject=one.subject,
                    reason=one.reason,
                    detail=one.detail,
                    rule=one.rule or "findings",
                    named=one.name,
                )
        if nothing:
            what = "nothing of it was scanned"
            yield Answer(self.name, Outcome.NOT_RUN, case.subject, reason="not-scanned", detail=what, rule="findings")
