"""The items of a report: what was judged, in what order people read it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from airgap.base.digest import Digest
from airgap.base.text import one_line
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.scan_finding import Severity
from airgap.jobs.report import ReportMaterial
from airgap.report.scanned import by_words
from airgap.report.scans.model import FindingEffect, ReportCheck, ReportFinding, ReportItem, ReportOutcome
from airgap.statements.scan_answers import SCAN
from airgap.statements.verdict import JudgedItem, Verdict


def subjects_of(item: JudgedItem) -> tuple[Digest, ...]:
    """What scanners were asked about for an item, each once."""
    return tuple(dict.fromkeys(check.subject for check in item.checks if check.check == SCAN and check.subject))


def report_items(
    gathered: ReportMaterial,
    verdicts: Mapping[Digest, Verdict],
    locks: Mapping[Digest, Lock],
    findings: Sequence[ReportFinding],
) -> tuple[ReportItem, ...]:
    """Refused items first, then those with the worst findings; without a verdict, those of the locks."""
    mine: Mapping[tuple[str, Digest], list[ReportFinding]] = defaultdict(list)
    for one in findings:
        mine[one.item, one.item_digest].append(one)
    packages = Counter[Digest]()
    for result in gathered.results.values():
        packages[result.subject] = max(packages[result.subject], result.packages)
    rows = []
    for lock, verdict in verdicts.items():
        named = {item.name: item for item in locks[lock].items} if lock in locks else {}
        for name, judged in verdict.items.items():
            found = mine.get((one_line(name), judged.root), [])
            rows.append(_row(gathered, lock, name, judged, named.get(name), found, packages))
    for lock, content in locks.items():
        if lock not in verdicts:
            rows += [_unjudged(gathered, lock, item) for item in content.items]
    # Several locks may have one item: the strictest answer counts.
    unique: dict[tuple[str, Digest], ReportItem] = {}
    for row in sorted(rows, key=_order):
        unique.setdefault((row.name, row.digest), row)
    return tuple(unique.values())


def _order(one: ReportItem) -> tuple[bool, list[int], str]:
    return one.outcome is ReportOutcome.PASS, [-one.findings.get(str(severity), 0) for severity in Severity], one.name


def _row(
    gathered: ReportMaterial,
    lock: Digest,
    name: str,
    judged: JudgedItem,
    item: Item | None,
    found: Sequence[ReportFinding],
    packages: Mapping[Digest, int],
) -> ReportItem:
    subjects = subjects_of(judged)
    why = judged.why_not()
    # What is passed in words and refused by its checks is refused: `why_not` says so.
    outcome = (
        ReportOutcome.PASS if not why else ReportOutcome.NOT_RUN if judged.outcome == "not-run" else ReportOutcome.FAIL
    )
    return ReportItem(
        name=one_line(name),
        kind="" if item is None else item.kind,
        digest=judged.root,
        lock=lock,
        bytes=gathered.sizes.get((name, str(judged.root)), 0 if item is None else item.bytes),
        outcome=outcome,
        reason=one_line(why),
        subjects=subjects,
        packages=sum(packages.get(one, 0) for one in subjects),
        findings=Counter(str(one.severity) for one in found),
        blocking=sum(one.decision is FindingEffect.BLOCKS for one in found),
        checks=tuple(
            ReportCheck(
                check=one_line(f"{one.check} {one.predicate_type}" if one.predicate_type else one.check),
                subject=one.subject,
                outcome=one.outcome,
                rule=one_line(one.rule),
                by=one_line(by_words(one.by)),
                reason=one_line(one.reason or ""),
                waiver=one.waiver,
            )
            for one in judged.checks
            if one.finding is None
        ),
    )


def _unjudged(gathered: ReportMaterial, lock: Digest, item: Item) -> ReportItem:
    digest = item.root.digest if item.root is not None else item.pin
    return ReportItem(
        name=one_line(item.name),
        kind=item.kind,
        digest=digest,
        lock=lock,
        bytes=gathered.sizes.get((item.name, str(digest)), item.bytes),
        outcome=ReportOutcome.NONE,
        reason="no verdict is about it",
        subjects=(),
        packages=0,
        findings={},
        blocking=0,
        checks=(),
    )
