"""Why an item passes or not, in words, and what to do (`airgap scan --explain`). Decides nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airgap.base.amounts import count
from airgap.base.times import utc_text
from airgap.content.item import Item
from airgap.content.scan_finding import FindingKind
from airgap.content.scan_result import ScanResult
from airgap.judgement.checks.base import DENIED, Answer, Outcome
from airgap.judgement.judge import Judgement
from airgap.kinds.table import rule_names
from airgap.resources.policy import Policy
from airgap.statements.gate import Decision, Effect, Gate
from airgap.statements.scan_answers import BLOCKS, COVERAGE, SCAN, SCAN_CHECKS
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import FindingName

MOST = 40
"""Findings of one effect that are listed; `--json` has all of them."""
DAYS = 30
"""How long the proposed waiver holds."""
_INSTEAD = {
    FindingKind.SECRET: "a secret is in it: tell its publisher, who must replace it; then take the new content",
    FindingKind.MALWARE: "malware is in it: tell the security-officer, and take nothing more from who published it",
    FindingKind.MODEL: "take the model as safetensors, or another model (`airgap help scanner` has each finding)",
    FindingKind.ARCHIVE: "have it built or packed again at its origin (`airgap help scanner` has each finding)",
    FindingKind.COVERAGE: "take what can be looked into, or let a rule for `coverage` say otherwise "
    "(`airgap help scanner` has each finding)",
}
"""What to do about findings of a kind, besides a version with a fix."""
_WAIVABLE = frozenset({"signature", "attestation", SCAN, COVERAGE})


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is to be said about one item."""

    item: Item
    judgement: Judgement
    subjects: tuple[SubjectScans, ...]
    decisions: tuple[tuple[ScanResult, Decision], ...]
    """Every finding, with the result that has it, and what the policy says of it."""
    waiver: str
    """A Waiver resource that would let the item pass, to be completed; `""` if nothing may be waived."""

    @classmethod
    def of(
        cls, item: Item, judgement: Judgement, subjects: Sequence[SubjectScans], policy: Policy, now: datetime
    ) -> Explanation:
        """Collects what decided about an item."""
        found = list[tuple[ScanResult, Decision]]()
        if policy.findings is not None:
            gate, names = Gate.of(policy.findings), rule_names(item)
            results = (result for subject in subjects for result in subject.results)
            found = [(one, gate.decide(item.kind, names, finding)) for one in results for finding in one.findings]
        found.sort(key=lambda one: (one[1].effect.rank, one[1].severity.rank, one[1].finding.id))
        return cls(item, judgement, tuple(subjects), tuple(found), _waiver(item, judgement, now))

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "judgement": self.judgement.as_dict(),
            "scans": [
                {
                    "subject": str(subject.digest),
                    "title": subject.title,
                    "scanner": result.scanner.as_dict(),
                    "notRun": result.not_run,
                    "detail": result.detail,
                    "packages": result.packages,
                }
                for subject in self.subjects
                for result in subject.results
            ],
            "findings": [
                one.finding.as_dict()
                | {
                    "severity": str(one.severity),
                    "effect": str(one.effect),
                    "rule": one.rule,
                    "subject": str(result.subject),
                    "let": self._let(result, one),
                }
                for result, one in self.decisions
            ],
            "waiver": self.waiver,
        }

    def lines(self) -> Iterator[str]:
        """The text for people."""
        made = self.judgement
        yield f"{made.kind} {made.item!r}: {made.outcome}" + ("" if made.passed else f", because: {made.detail}")
        yield f"  content  {made.root or made.pin}"
        yield f"  comes from {self.item.source}; decided by {made.rule or 'no rule'}"
        yield from (_answer(one) for one in made.answers if one.check not in SCAN_CHECKS)
        for subject in self.subjects:
            yield f"scanned: {subject.title}, {subject.digest}"
            yield from (f"  {_scan(result)}" for result in subject.results)
        # What is about a scan, and about no finding: a scanner that did not run, something that nobody looked for.
        yield from (_answer(one) for one in made.answers if one.check in SCAN_CHECKS and not one.good and not one.named)
        for effect in Effect:
            yield from self._effect(effect)
        for note in made.vex:
            yield f"OpenVEX {note.where}: {'counts' if note.counts else 'does not count'}: {note.detail}"
        yield from self._advice()

    def _effect(self, effect: Effect) -> Iterator[str]:
        mine = [(result, one) for result, one in self.decisions if one.effect is effect]
        if mine:
            yield f"{effect}: {count(len(mine), 'finding')}"
        for result, one in mine[:MOST]:
            finding = one.finding
            where = f"{finding.package} {finding.installed}".strip() or finding.path
            fix = f"fixed in {finding.fixed}" if finding.fixed else f"no fix ({finding.status or 'nobody names one'})"
            parts = [where, fix if finding.kind is FindingKind.VULNERABILITY else "", one.rule]
            sources = ", ".join(f"{name}: {said}" for name, said in sorted(finding.severities.items()))
            said = f" ({sources})" if sources else ""
            yield f"  {finding.id} is {one.severity}{said}: {'; '.join(filter(None, parts))}"
            if finding.title:
                yield f"    {finding.title[:200]}"
            if let := self._let(result, one):
                yield f"    let pass: {let}"
        if len(mine) > MOST:
            yield f"  and {len(mine) - MOST} more: --json lists them"

    def _let(self, result: ScanResult, one: Decision) -> str:
        """By what a finding passes although it blocks; `""` if by nothing."""
        name = FindingName.of(one.finding)
        answer = next(
            (each for each in self.judgement.answers if each.named == name and each.subject == result.subject), None
        )
        if answer is None or not (answer.waiver or answer.vex):
            return ""
        return answer.detail

    def _advice(self) -> Iterator[str]:
        """What to do, the best first."""
        made = self.judgement
        if made.passed:
            return
        yield "what to do:"
        blocking = [one for _, one in self.decisions if one.effect is Effect.BLOCK]
        packages: dict[str, dict[str, None]] = {}
        for finding in (one.finding for one in blocking if one.finding.fixed):
            packages.setdefault(finding.package, {})[finding.fixed] = None
        for package, versions in sorted(packages.items()):
            yield f"  take newer content of {made.item} that has {package} {' or '.join(versions)}"
        for kind, words in _INSTEAD.items():
            if any(one.finding.kind is kind for one in blocking):
                yield f"  {words}"
        if any(one.reason == DENIED for one in made.answers):
            yield "  it is denied by the policy: no waiver lets it in"
            return
        if any(one.outcome is Outcome.NOT_RUN for one in made.answers):
            yield "  correct what keeps the scanner from an answer (`airgap help CODE` says how), and scan again"
        if self.waiver:
            yield "  or have a waiver approved: complete this, save it as waiver.yaml, then"
            yield "    airgap sign waiver.yaml --key officer.key --role security-officer"
            yield "    airgap scan … --waiver waiver.yaml --trust trust.yaml"
            yield from (f"    | {line}" for line in self.waiver.splitlines())


def _answer(one: Answer) -> str:
    kind = f" {one.predicate_type}" if one.predicate_type else ""
    reason = f"{one.reason}: " if one.reason else ""
    return f"  {one.check}{kind}: {one.outcome}: {reason}{one.detail}"


def _scan(result: ScanResult) -> str:
    who = f"{result.scanner.name} {result.scanner.version}"
    dates = ", ".join(f"{one.name} of {one.updated:%Y-%m-%d}" for one in result.scanner.databases)
    with_ = f" with {dates}" if dates else ""
    if result.not_run:
        return f"{who}{with_}: not-run [{result.not_run}]: {result.detail}"
    looked = ", ".join(sorted(map(str, result.looked_for)))
    packages = f" in {count(result.packages, 'package')}" if result.packages else ""
    return f"{who}{with_}: {count(len(result.findings), 'finding')}{packages}; it looked for {looked or 'nothing'}"


def _waiver(item: Item, judgement: Judgement, now: datetime) -> str:
    """A waiver of everything that stops the item, as narrow as can be."""
    stops = [one for one in judgement.answers if not one.good]
    if not stops or any(one.reason == DENIED for one in stops):
        return ""
    findings = {one.named: None for one in stops if one.named is not None and one.check != SCAN}
    checks = {one.check: None for one in stops if one.named is None}
    many = any(one.named is None and one.reason == BLOCKS for one in stops)
    if many or not checks.keys() <= _WAIVABLE:  # a check that stands for many findings: nobody read what they are
        return ""
    digests = {one.subject: None for one in stops}
    until = (now + timedelta(days=DAYS)).replace(hour=0, minute=0, second=0)
    name = re.sub(r"[^a-z0-9]+", "-", item.name.lower()).strip("-")[:40].strip("-")
    lines = ["apiVersion: airgap.openova.io/v1alpha1", "kind: Waiver", f"metadata: {{name: {name}-{until:%Y-%m-%d}}}"]
    lines += ["spec:", f"  digests: {json.dumps([str(one) for one in digests])}"]
    if checks:
        lines.append(f"  checks: {json.dumps([*checks])}")
    if findings:
        lines.append("  findings:")
        lines += [f"  - {json.dumps(_named(one))}" for one in findings]
    # Left empty, so that nobody can sign it as it is.
    lines += ["  approver:   # the name of the person responsible", "  reason:   # why it may come in"]
    return "\n".join([*lines, f"  expires: '{utc_text(until)}'"]) + "\n"


def _named(one: FindingName) -> dict[str, str]:
    return {name: value for name, value in one.as_dict().items() if value}
