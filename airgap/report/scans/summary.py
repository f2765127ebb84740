"""A report in a few lines for a terminal: what stops it, what was found, what was not scanned. 80 columns wide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from airgap.base.amounts import count
from airgap.base.times import utc_text
from airgap.content.scan_counts import severity_words
from airgap.content.scan_finding import FindingKind, Severity
from airgap.report.scanned import short
from airgap.report.scans.model import Count, FindingEffect, NotScanned, ReportFinding, ReportOutcome, ScanReport

FEW = 10
"""Items, and things that were not scanned, that are named."""
FEW_FINDINGS = 3
"""Findings of an item that are named."""


def summary_lines(report: ScanReport) -> Iterator[str]:
    """The report in words, the outcome first."""
    yield f"{report.outcome}{'' if report.trust else ', says an unchecked signature'}: {report.summary}"
    for one in report.verdicts:
        name = f"{one.lock_name!r}, " if one.lock_name else ""
        yield f"verdict {one.outcome} on lock {name}{one.lock}"
        yield f"  signed {utc_text(one.signed_at)}, policy {one.policy_name!r}"
    yield from _databases(report)
    yield from _stops(report)
    yield from _numbers(report.counts)
    yield from _not_scanned(report.not_scanned)


def _databases(report: ScanReport) -> Iterator[str]:
    for one in report.scanners:
        dates = ", ".join(f"{base.name} of {utc_text(base.updated)}" for base in one.databases)
        yield short(f"scanner {one.name} {one.version}" + (f", {dates}" if dates else ""))


def _stops(report: ScanReport) -> Iterator[str]:
    stopped = [one for one in report.items if one.outcome not in (ReportOutcome.PASS, ReportOutcome.NONE)]
    blocking: dict[tuple[str, str], list[ReportFinding]] = {}
    for one in report.findings:
        if one.decision is FindingEffect.BLOCKS:
            blocking.setdefault((one.item, one.item_digest), []).append(one)
    for item in stopped[:FEW]:
        yield f"  {item.name}"
        found = blocking.get((item.name, item.digest), [])
        if not found:
            yield short(f"    {item.reason}")
        for one in found[:FEW_FINDINGS]:
            yield short(f"    {one.severity} {one.id}{_where(one)}")
        if len(found) > FEW_FINDINGS:
            yield f"    and {len(found) - FEW_FINDINGS} more"
    if len(stopped) > FEW:
        yield f"  and {count(len(stopped) - FEW, 'more item', 'more items')}"


def _where(one: ReportFinding) -> str:
    place = f"{one.package} {one.installed}".strip() or one.path
    fix = f", fixed in {one.fixed}" if one.fixed else ""
    return f" in {place}{fix}" if place else f": {one.title}" if one.title else ""


def _numbers(counts: Sequence[Count]) -> Iterator[str]:
    numbers: dict[FindingKind, dict[Severity, int]] = {}
    stops = Counter[FindingKind]()
    for one in counts:
        numbers.setdefault(one.kind, {})[one.severity] = one.findings
        stops[one.kind] += one.blocking
    for kind, found in numbers.items():
        yield _row(kind, found, stops[kind])


def _row(kind: FindingKind, found: Mapping[Severity, int], stops: int) -> str:
    return f"{kind:<17} {severity_words(found)}" + (f"; {stops} stop it" if stops else "")


def _not_scanned(rows: Sequence[NotScanned]) -> Iterator[str]:
    if not rows:
        return
    yield f"not scanned, and so not clean: {len(rows)}"
    for one in rows[:FEW]:
        yield short(f"  {one.item}: {one.scanner or 'no scanner'}: {one.code}")
    if len(rows) > FEW:
        yield f"  and {len(rows) - FEW} more"
