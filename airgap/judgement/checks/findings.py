"""`scan`: did every scanner come to its end, and does what they found block? Answers have the names of the kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from airgap.content.scan_finding import FindingKind
from airgap.judgement.checks.base import Answer, Case, Outcome
from airgap.statements.gate import Gate
from airgap.statements.scan_answers import SCAN, ScanAnswer, answers
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import FindingName


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
                yield _lifted(_answer(one), case, subject)
        if nothing:
            what = "nothing of it was scanned"
            yield Answer(self.name, Outcome.NOT_RUN, case.subject, reason="not-scanned", detail=what, rule="findings")


def _answer(one: ScanAnswer) -> Answer:
    return Answer(
        check=one.check,
        outcome=Outcome(one.outcome),
        subject=one.subject,
        reason=one.reason,
        detail=one.detail,
        rule=one.rule or "findings",
        named=one.name,
    )


def _lifted(answer: Answer, case: Case, subject: SubjectScans) -> Answer:
    """The answer after OpenVEX documents. All places of a vulnerability in a package have to be lifted."""
    if answer.named is None or answer.check != FindingKind.VULNERABILITY or case.vex is None:
        return answer
    found = (finding for result in subject.results for finding in result.findings)
    same = [one for one in found if str(one.kind) == answer.check and FindingName.of(one) == answer.named]
    lifts = case.vex.lift(subject.digest, same)
    if not lifts:
        why = f"; no OpenVEX document counts, because one cannot be read: {case.vex.unread}" if case.vex.unread else ""
        return replace(answer, detail=answer.detail + why)
    documents = {one.by.document.digest: one.by for one in lifts}
    return replace(
        answer,
        outcome=Outcome.PASSED,
        reason="",
        detail=f"not affected: {lifts[0].words}: {answer.detail}",
        finding=lifts[0].by.result,
        vex=tuple(documents[digest] for digest in sorted(documents)),
    )
