"""What nobody looked at, or not completely: as the checks of a verdict say it, and as its results do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from airgap.base.digest import Digest
from airgap.base.text import one_line
from airgap.content.scan_finding import FindingKind
from airgap.jobs.report import ReportMaterial
from airgap.report.scans.findings import EFFECTS, of_check
from airgap.report.scans.model import FindingEffect, NotScanned, ReportFinding
from airgap.statements.scan_answers import COVERAGE, NO_PACKAGES, SCAN
from airgap.statements.verdict import YES, CheckResult, JudgedItem, Verdict

MISSING = "scan-missing"
_REASON = re.compile(r"([a-z][a-z0-9-]*): (?:([a-z][a-z0-9-]*): )?(.*)", re.DOTALL)
"""A check's reason: the code, the scanner where one is named, and the words."""


def not_scanned(
    gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict], findings: Sequence[ReportFinding]
) -> tuple[NotScanned, ...]:
    """What no scanner looked at, what stops an item first.

    1. What the judge's checks say: a scan that is no answer, something that nobody looked for. 2. Results that are
    missing, and scans that did not run where that stops nothing. 3. What scanners could not read.
    """
    rows: dict[tuple[str, Digest, str, str], NotScanned] = {}
    for verdict in verdicts.values():
        names = {one.own_digest: one.name for one in verdict.scanners}
        for name, item in verdict.items.items():
            for one in [
                *_checks(name, item, frozenset(names.values())),
                *_results(gathered, verdict, names, name, item),
            ]:
                rows.setdefault((one.item, one.subject, one.scanner, one.code), one)
    for finding in findings:
        if finding.kind is FindingKind.COVERAGE:
            one = _unread(finding)
            rows.setdefault((one.item, one.subject, one.scanner, one.detail), one)
    return tuple(sorted(rows.values(), key=lambda one: (one.decision.rank, one.item, one.scanner)))


def _checks(name: str, item: JudgedItem, scanners: frozenset[str]) -> Iterator[NotScanned]:
    """Those about findings are left out: the findings themselves say it better."""
    for check in item.checks:
        of_itself = check.finding is None or check.finding.id == NO_PACKAGES.id
        if check.check in (SCAN, COVERAGE) and check.outcome != YES and of_itself:
            yield _row(name, item, check, scanners)


def _row(name: str, item: JudgedItem, check: CheckResult, scanners: frozenset[str]) -> NotScanned:
    said = _REASON.fullmatch(check.reason or "")
    code, scanner, words = ("not-scanned", "", check.reason or "") if said is None else said.groups(default="")
    if scanner not in scanners:
        scanner, words = "", f"{scanner}: {words}" if scanner else words
    return NotScanned(
        one_line(name), check.subject or item.root, one_line(scanner), one_line(code), one_line(words), of_check(check)
    )


def _results(
    gathered: ReportMaterial, verdict: Verdict, names: Mapping[Digest, str], name: str, item: JudgedItem
) -> Iterator[NotScanned]:
    effect = FindingEffect.UNDECIDED if verdict.gate is None else EFFECTS[verdict.gate.not_run]
    subjects = {check.subject for check in item.checks if check.check == SCAN}
    for scan in verdict.scans:
        if scan.subject not in subjects:
            continue
        scanner, result = one_line(names[scan.scanner]), gathered.results.get(scan.result)
        if result is None:
            what = f"the verdict names result {scan.result}, which could not be read"
            yield NotScanned(one_line(name), scan.subject, scanner, MISSING, what, FindingEffect.UNDECIDED)
        elif result.not_run:
            yield NotScanned(
                one_line(name), scan.subject, scanner, one_line(result.not_run), one_line(result.detail), effect
            )


def _unread(one: ReportFinding) -> NotScanned:
    where = f"{one.path}: " if one.path else ""
    return NotScanned(one.item, one.subject, one.scanner, one.id, f"{where}{one.title or one.id}", one.decision)
