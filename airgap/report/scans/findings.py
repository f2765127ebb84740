"""The findings of a report: each with its place, the effect that the verdict gives it, and by which rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.base.text import one_line
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.scan_finding import FindingKind, ScanFinding
from airgap.content.scan_result import ScannerIdentity, ScanResult
from airgap.jobs.report import ReportMaterial, SignedStatement
from airgap.kinds.table import rule_names
from airgap.report.scanned import answered_by
from airgap.report.scans.items import subjects_of
from airgap.report.scans.model import (
    Carried,
    FindingEffect,
    ReportDatabase,
    ReportFinding,
    ReportOutcome,
    ReportScanner,
)
from airgap.resources.waiver import Waiver
from airgap.statements.gate import Effect
from airgap.statements.scans import FindingName
from airgap.statements.verdict import WAIVED, YES, CheckResult, JudgedItem, Verdict

EFFECTS: Mapping[Effect, FindingEffect] = {
    Effect.BLOCK: FindingEffect.BLOCKS,
    Effect.WARN: FindingEffect.WARNS,
    Effect.INFORM: FindingEffect.INFORMS,
}


@dataclass(frozen=True, slots=True)
class JoinedFindings:
    """Joins the results that verdicts name with what the verdicts say of them."""

    gathered: ReportMaterial
    verdicts: Mapping[Digest, Verdict]
    locks: Mapping[Digest, Lock]
    about: str

    def all(self) -> Iterator[ReportFinding]:
        """Every finding, once for each item that has it."""
        signed = self.gathered.judged
        for lock, verdict in self.verdicts.items():
            results = _by_subject(verdict, self.gathered.results)
            items = {item.name: item for item in self.locks[lock].items} if lock in self.locks else {}
            for name, judged in verdict.items.items():
                item = _OneItem(lock, verdict, name, judged, items.get(name), signed[lock], self)
                for subject in subjects_of(judged):
                    for digest, result in results.get(subject, ()):
                        yield from item.findings(digest, result)


def _by_subject(
    verdict: Verdict, results: Mapping[Digest, ScanResult]
) -> Mapping[Digest, list[tuple[Digest, ScanResult]]]:
    found: dict[Digest, list[tuple[Digest, ScanResult]]] = {}
    for scan in verdict.scans:
        if scan.result in results:
            found.setdefault(scan.subject, []).append((scan.result, results[scan.result]))
    return found


class _OneItem:
    """An item of a verdict: what its checks say of findings, and what the gate says where no check does."""

    def __init__(
        self,
        lock: Digest,
        verdict: Verdict,
        name: str,
        judged: JudgedItem,
        item: Item | None,
        signed: SignedStatement,
        joined: JoinedFindings,
    ) -> None:
        self.lock, self.verdict, self.judged = lock, verdict, judged
        self.about, self.gathered = joined.about, joined.gathered
        self.name = one_line(name)
        self.kind = "" if item is None else item.kind
        self.signed_at = signed.statement.signed_at
        self.outcome = ReportOutcome.FAIL if judged.why_not() else ReportOutcome.PASS
        self._names = None
        if item is not None:
            try:
                self._names = rule_names(item)
            except AirgapError:  # of a kind that a newer version knows: its effects are those that checks name
                self._names = None
        self._checks = {(one.check, one.subject, one.finding): one for one in judged.checks if one.finding is not None}
        kinds = frozenset(map(str, FindingKind))
        self._rest = [one for one in judged.checks if one.finding is None and one.check in kinds]

    def findings(self, digest: Digest, result: ScanResult) -> Iterator[ReportFinding]:
        """The findings of one result."""
        for one in result.findings:
            yield self._finding(digest, result, one)

    def _finding(self, digest: Digest, result: ScanResult, one: ScanFinding) -> ReportFinding:
        gate = self.verdict.gate
        decision, rule, check = self._decided(result.subject, one)
        waiver = self.gathered.waivers.get(check.waiver) if check is not None and check.waiver is not None else None
        return ReportFinding(
            fingerprint=_fingerprint(self.name, one),
            item=self.name,
            item_kind=self.kind,
            item_digest=self.judged.root,
            item_outcome=self.outcome,
            lock=self.lock,
            subject=result.subject,
            kind=one.kind,
            id=one_line(one.id),
            aliases=tuple(map(one_line, one.aliases)),
            severity=one.severity if gate is None else gate.severity_of(one),
            severity_source=one_line(one.source),
            scanner_severity=one.severity,
            severities={one_line(name): str(said) for name, said in one.severities.items()},
            title=one_line(one.title),
            package=one_line(one.package),
            purl=one_line(one.purl),
            installed=one_line(one.installed),
            fixed=one_line(one.fixed),
            status=one_line(one.status),
            layer=one.layer,
            path=one_line(one.path),
            line=one.line,
            reference=one_line(one.reference),
            decision=decision,
            rule=one_line(rule),
            reason=one_line(_why(decision, check, waiver)),
            waiver=None if check is None else check.waiver,
            vex=() if check is None else check.vex,
            waived_by="" if check is None else one_line(answered_by(check, self.verdict)),
            scanner=one_line(result.scanner.name),
            scanner_version=one_line(result.scanner.version),
            result=digest,
            signed_at=self.signed_at,
            report_about=one_line(self.about),
        )

    def _decided(self, subject: Digest, one: ScanFinding) -> tuple[FindingEffect, str, CheckResult | None]:
        """What the verdict says of a finding, or else its gate; the judge lists only the worst that stop an item."""
        check = self._checks.get((str(one.kind), subject, FindingName.of(one)))
        if check is not None:
            return of_check(check), check.rule, check
        gate = self.verdict.gate
        if gate is None or self._names is None:
            return FindingEffect.UNDECIDED, "", None
        by_gate = gate.decide(self.kind, self._names, one)
        if by_gate.effect is not Effect.BLOCK:
            return EFFECTS[by_gate.effect], by_gate.rule, None
        # Those that are not listed share checks that name no finding; what stops the item comes first.
        rest = [two for two in self._rest if (two.check, two.subject) == (str(one.kind), subject)]
        shared = min(rest, key=lambda two: of_check(two).rank, default=None)
        return (FindingEffect.BLOCKS if shared is None else of_check(shared)), by_gate.rule, shared


def of_check(check: CheckResult) -> FindingEffect:
    """What a check about a scan or a finding comes to."""
    if check.outcome == WAIVED:
        return FindingEffect.WAIVED
    return FindingEffect.NOT_AFFECTED if check.outcome == YES else FindingEffect.BLOCKS


def _why(effect: FindingEffect, check: CheckResult | None, waiver: Waiver | None) -> str:
    """Why something does not stop an item that otherwise would."""
    if effect is FindingEffect.WAIVED and waiver is not None:
        return waiver.reason
    return (check.reason or "") if effect is FindingEffect.NOT_AFFECTED and check is not None else ""


def _fingerprint(item: str, one: ScanFinding) -> str:
    """The tag of an image is not in it, nor a version: next month's scan gives the same finding the same one."""
    place = [item.rpartition(":")[0] or item, one.kind, one.id, one.package, one.path, one.line]
    return Digest.of(canonical([str(part) for part in place])).hex


def report_scanners(gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict]) -> tuple[ReportScanner, ...]:
    """The scanners of all verdicts, each identity once."""
    found: dict[Digest, ScannerIdentity] = {}
    asked: dict[Digest, set[Digest]] = {}
    failed: dict[Digest, set[Digest]] = {}
    for verdict in verdicts.values():
        found |= {one.own_digest: one for one in verdict.scanners}
        for scan in verdict.scans:
            asked.setdefault(scan.scanner, set()).add(scan.subject)
            result = gathered.results.get(scan.result)
            if result is None or result.not_run:
                failed.setdefault(scan.scanner, set()).add(scan.subject)
    return tuple(
        ReportScanner(
            name=one_line(one.name),
            version=one_line(one.version),
            digest=one.digest,
            options=one_line(one.options),
            databases=tuple(ReportDatabase(one_line(base.name), base.digest, base.updated) for base in one.databases),
            subjects=len(asked.get(own, ())),
            not_run=len(failed.get(own, ())),
        )
        for own, one in sorted(found.items(), key=lambda pair: (pair[1].name, pair[0]))
    )


def carried(gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict]) -> tuple[Carried, ...]:
    """The SBOMs and reports that travel along, sorted."""
    found = {Carried("report", one.subject, one.digest) for verdict in verdicts.values() for one in verdict.reports}
    found |= {Carried("sbom", one.subject, one.sbom) for one in gathered.results.values() if one.sbom is not None}
    return tuple(sorted(found, key=lambda one: (one.what, one.subject, one.digest)))
