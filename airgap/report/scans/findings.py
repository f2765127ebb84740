"""The findings of a report: each with its place, the effect that the verdict gives it, and by which rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from airgap.report.scans.items import SCAN, subjects_of
from airgap.report.scans.model import (
    Carried,
    FindingEffect,
    NotScanned,
    ReportDatabase,
    ReportFinding,
    ReportOutcome,
    ReportScanner,
)
from airgap.report.scans.words import by_words
from airgap.statements.gate import Effect
from airgap.statements.scans import FindingName
from airgap.statements.verdict import WAIVED, YES, CheckResult, JudgedItem, Verdict

EFFECTS: Mapping[Effect, FindingEffect] = {
    Effect.BLOCK: FindingEffect.BLOCKS,
    Effect.WARN: FindingEffect.WARNS,
    Effect.INFORM: FindingEffect.INFORMS,
}
RESULT_MISSING = "scan-missing"


@dataclass(frozen=True, slots=True)
class JoinedFindings:
    """Joins the results that verdicts name with what the verdicts say of them."""

    gathered: ReportMaterial
    verdicts: Mapping[Digest, Verdict]
    locks: Mapping[Digest, Lock]
    about: str

    def all(self) -> Iterator[ReportFinding]:
        """Every finding, once for each item that has it."""
        signed = {one.statement.subject: one for one in self.gathered.statements if one.statement.kind == "verdict"}
        for lock, verdict in self.verdicts.items():
            results = _by_subject(verdict, self.gathered.results)
            items = {item.name: item for item in self.locks[lock].items} if lock in self.locks else {}
            for name, judged in verdict.items.items():
                item = _OneItem(lock, verdict, name, judged, items.get(name), signed[lock], self.about)
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
        about: str,
    ) -> None:
        self.lock, self.verdict, self.judged, self.about = lock, verdict, judged, about
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

    def findings(self, digest: Digest, result: ScanResult) -> Iterator[ReportFinding]:
        """The findings of one result."""
        for one in result.findings:
            yield self._finding(digest, result, one)

    def _finding(self, digest: Digest, result: ScanResult, one: ScanFinding) -> ReportFinding:
        check = self._check(result.subject, one)
        gate = self.verdict.gate
        decision, rule = _decided(check)
        if gate is not None and self._names is not None and decision is FindingEffect.UNDECIDED:
            by_gate = gate.decide(self.kind, self._names, one)
            decision, rule = EFFECTS[by_gate.effect], by_gate.rule
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
            reason="" if check is None else one_line(check.reason or ""),
            waiver=None if check is None else check.waiver,
            waived_by="" if check is None else one_line(by_words(check.by)),
            scanner=one_line(result.scanner.name),
            scanner_version=one_line(result.scanner.version),
            result=digest,
            signed_at=self.signed_at,
            report_about=one_line(self.about),
        )

    def _check(self, subject: Digest, one: ScanFinding) -> CheckResult | None:
        return self._checks.get((str(one.kind), subject, FindingName.of(one)))


def _decided(check: CheckResult | None) -> tuple[FindingEffect, str]:
    if check is None:
        return FindingEffect.UNDECIDED, ""
    if check.outcome == WAIVED:
        return FindingEffect.WAIVED, check.rule
    return (FindingEffect.NOT_AFFECTED if check.outcome == YES else FindingEffect.BLOCKS), check.rule


def _fingerprint(item: str, one: ScanFinding) -> str:
    """The tag of an image is not in it, nor a version: next month's scan gives the same finding the same one."""
    place = [item.rpartition(":")[0] or item, one.kind, one.id, one.package, one.path, one.line]
    return Digest.of(canonical([str(part) for part in place])).hex


# Who looked, and what nobody looked at


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


def not_scanned(
    gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict], findings: Sequence[ReportFinding]
) -> tuple[NotScanned, ...]:
    """What no scanner looked at: not-run results, results that are not there, items without a subject, coverage."""
    rows = [row for verdict in verdicts.values() for row in _not_run(gathered, verdict)]
    rows += [
        NotScanned(one.item, one.subject, one.scanner, "coverage", _coverage(one), one.decision)
        for one in findings
        if one.kind is FindingKind.COVERAGE
    ]
    return tuple(sorted(dict.fromkeys(rows), key=lambda one: (one.decision.rank, one.item, one.scanner)))


def _coverage(one: ReportFinding) -> str:
    where = f"{one.path}: " if one.path else ""
    return f"{where}{one.title or one.id}"


def _not_run(gathered: ReportMaterial, verdict: Verdict) -> Iterator[NotScanned]:
    names = {one.own_digest: one_line(one.name) for one in verdict.scanners}
    effect = FindingEffect.UNDECIDED if verdict.gate is None else EFFECTS[verdict.gate.not_run]
    scans = _scans(verdict)
    for item, judged in verdict.items.items():
        subjects = subjects_of(judged)
        if not subjects and verdict.gate is not None:
            what = "no scanner was asked about it"
            yield NotScanned(one_line(item), judged.root, "", "coverage", what, FindingEffect.UNDECIDED)
        for subject in subjects:
            for scanner, digest in scans.get(subject, ()):
                result = gathered.results.get(digest)
                if result is None:
                    what = f"the verdict names result {digest}, which could not be read"
                    yield NotScanned(
                        one_line(item), subject, names[scanner], RESULT_MISSING, what, FindingEffect.UNDECIDED
                    )
                elif result.not_run:
                    waived = _is_waived(judged, subject, names[scanner])
                    what = one_line(result.detail)
                    decision = FindingEffect.WAIVED if waived else effect
                    yield NotScanned(one_line(item), subject, names[scanner], one_line(result.not_run), what, decision)


def _scans(verdict: Verdict) -> Mapping[Digest, list[tuple[Digest, Digest]]]:
    found: dict[Digest, list[tuple[Digest, Digest]]] = {}
    for scan in verdict.scans:
        found.setdefault(scan.subject, []).append((scan.scanner, scan.result))
    return found


def _is_waived(judged: JudgedItem, subject: Digest, scanner: str) -> bool:
    return any(
        one.check == SCAN and one.subject == subject and one.outcome == WAIVED and scanner in (one.reason or "")
        for one in judged.checks
    )


def carried(gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict]) -> tuple[Carried, ...]:
    """The SBOMs and reports that travel along, sorted."""
    found = {Carried("report", one.subject, one.digest) for verdict in verdicts.values() for one in verdict.reports}
    found |= {Carried("sbom", one.subject, one.sbom) for one in gathered.results.values() if one.sbom is not None}
    return tuple(sorted(found, key=lambda one: (one.what, one.subject, one.digest)))
