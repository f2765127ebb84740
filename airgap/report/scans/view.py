"""What the HTML page shows of a report, and where: words, rows, lengths of bars. Decides and escapes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airgap.base.amounts import count, human
from airgap.content.scan_finding import FindingKind, Severity
from airgap.report.scans.model import (
    FindingEffect,
    ReportDatabase,
    ReportFinding,
    ReportItem,
    ReportOutcome,
    ScanReport,
)

NAMES: Mapping[str, str] = {
    ReportOutcome.PASS: "pass",
    ReportOutcome.FAIL: "fail",
    ReportOutcome.NOT_RUN: "not run",
    ReportOutcome.NONE: "not judged",
    FindingEffect.BLOCKS: "stops it",
    FindingEffect.WAIVED: "waived",
    FindingEffect.NOT_AFFECTED: "not affected",
    FindingEffect.WARNS: "warns",
    FindingEffect.INFORMS: "informs",
    FindingEffect.UNDECIDED: "not decided",
    "block": "stops it",
    "warn": "warns",
    "inform": "informs",
    FindingKind.VULNERABILITY: "Vulnerabilities",
    FindingKind.SECRET: "Secrets",
    FindingKind.MISCONFIGURATION: "Misconfigurations",
    FindingKind.MALWARE: "Malware",
    FindingKind.MODEL: "Unsafe models",
    FindingKind.ARCHIVE: "Bad archives",
    FindingKind.COVERAGE: "Not readable",
}
OUTCOMES = {
    ReportOutcome.PASS: "May enter",
    ReportOutcome.FAIL: "Must not enter",
    ReportOutcome.NOT_RUN: "Must not enter",
    ReportOutcome.NONE: "Not judged",
}
LIMITS = {"unscanned": 500, "signers": 200, "carried": 2000, "stops": 50, "why": 8, "items": 2000}
"""How many of each the page lists: a browser lays out tens of thousands of rows only slowly."""
BAR, SIZE_BAR = 200, 100
"""Widths of the bars, in units of their pictures."""


@dataclass(frozen=True, slots=True)
class BarPiece:
    """A piece of a bar."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding, and the place of its severity: 0 for the worst."""

    of: ReportFinding
    rank: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)


def seen(report: ScanReport) -> dict[str, Any]:
    """What the template needs besides the report."""
    ranks = {one: one.rank for one in Severity}
    return {
        "words": _words(report),
        "matrix": _matrix(report),
        "rows": _items(report),
        "shown": [Shown(one, ranks[one.severity]) for one in report.findings],
    }


def title(report: ScanReport) -> str:
    """What the report is about, in a few words."""
    about = report.about
    if about.what == "delivery":
        return f"delivery {about.sequence} of {about.stream} for {about.sovereign}"
    names = [one.lock_name for one in report.verdicts if one.lock_name]
    return f"{about.what} {', '.join(names[:3]) or about.path}"


def _words(report: ScanReport) -> dict[str, Any]:
    stopped = [one for one in report.items if one.outcome in (ReportOutcome.FAIL, ReportOutcome.NOT_RUN)]
    items_more = max(0, len(report.items) - LIMITS["items"])
    total = sum(one.bytes for one in report.items)
    believed = bool(report.trust) or report.outcome is not ReportOutcome.PASS
    return {
        "outcome": OUTCOMES[report.outcome] + ("" if believed else ", says an unchecked signature"),
        "tone": report.outcome if believed else ReportOutcome.NONE,
        "title": title(report),
        "about": title(report),
        "databases": _databases(report),
        "signer": {one.subject: f"{one.key} ({one.role})" for one in report.signers if one.statement == "verdict"},
        "stops": _stops(report, stopped),
        "left_out": [*dict.fromkeys(one for lock in report.locks for one in lock.lacking)],
        "stops_more": max(0, len(stopped) - LIMITS["stops"]),
        "items_more": items_more,
        "total": f"{count(len(report.items), 'item')}, {human(total)} before what they share is counted once."
        if total
        else "",
        "decisions": [one for one in FindingEffect if any(found.decision is one for found in report.findings)],
        "contents": _contents(report, len(stopped)),
    }


def _contents(report: ScanReport, stopped: int) -> list[tuple[str, str, int | None]]:
    left_out = sum(len(lock.lacking) for lock in report.locks)
    return [
        ("stops", "What stops it", stopped),
        ("unscanned", "Not scanned", len(report.not_scanned)),
        *([("left-out", "Left out", left_out)] if left_out else []),
        ("numbers", "What was found", None),
        ("findings", "Findings", len(report.findings) + report.more),
        ("items", "Items", len(report.items)),
        ("exceptions", "Exceptions", len(report.waivers) + len(report.vex)),
        ("answers", "Who answers", None),
        ("asked", "What was asked", None),
    ]


def _databases(report: ScanReport) -> list[ReportDatabase]:
    found = {(one.name, one.digest): one for scanner in report.scanners for one in scanner.databases}
    return sorted(found.values(), key=lambda one: (one.name, one.updated))


def _stops(report: ScanReport, stopped: Sequence[ReportItem]) -> list[tuple[ReportItem, list[ReportFinding], int]]:
    """Items that may not pass, each with the findings that stop it; of a long list the first."""
    blocking: dict[tuple[str, str], list[ReportFinding]] = {}
    for one in report.findings:
        if one.decision is FindingEffect.BLOCKS:
            blocking.setdefault((one.item, one.item_digest), []).append(one)
    rows = []
    for item in stopped[: LIMITS["stops"]]:
        found = blocking.get((item.name, item.digest), [])
        rows.append((item, found[: LIMITS["why"]], max(item.blocking, len(found)) - len(found[: LIMITS["why"]])))
    return rows


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A kind of finding: how many of each severity, and the pieces of its bar."""

    kind: FindingKind
    numbers: tuple[int, ...]
    blocking: int
    lifted: int
    bars: tuple[BarPiece, ...]


def _matrix(report: ScanReport) -> dict[str, Any]:
    numbers = {(one.kind, one.severity): one for one in report.counts if one.findings}
    kinds = [kind for kind in FindingKind if any((kind, one) in numbers for one in Severity)]
    most = max((sum(_of(numbers, kind, "findings")) for kind in kinds), default=1)
    rows = [
        MatrixRow(
            kind,
            tuple(_of(numbers, kind, "findings")),
            sum(_of(numbers, kind, "blocking")),
            sum(_of(numbers, kind, "lifted")),
            _bars(_of(numbers, kind, "findings"), most),
        )
        for kind in kinds
    ]
    return {"severities": list(Severity), "rows": rows}


def _of(numbers: Mapping[Any, Any], kind: FindingKind, what: str) -> list[int]:
    return [getattr(numbers[kind, one], what) if (kind, one) in numbers else 0 for one in Severity]


def _bars(numbers: Sequence[int], most: int) -> tuple[BarPiece, ...]:
    """Lengths are as the numbers, but never so small that nobody sees them."""
    bars, x = [], 0.0
    for severity, number in zip(Severity, numbers, strict=True):
        if number:
            width = max(2.0, round(number / most * BAR, 1))
            bars.append(BarPiece(str(severity), round(x, 1), width))
            x += width
    scale = min(1.0, BAR / x) if x else 1.0
    return tuple(BarPiece(one.kind, round(one.x * scale, 1), round(one.width * scale, 1)) for one in bars)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item, its findings by severity, and the length of the bar of its size."""

    item: ReportItem
    numbers: tuple[int | None, ...]
    width: float
    scanned: bool
    ways: str


def _items(report: ScanReport) -> list[ItemRow]:
    largest = max((one.bytes for one in report.items), default=0)
    return [_row(one, largest) for one in report.items[: LIMITS["items"]]]


def _row(one: ReportItem, largest: int) -> ItemRow:
    scanned = bool(one.subjects)
    numbers = tuple(one.findings.get(str(severity), 0) if scanned else None for severity in Severity)
    width = round(max(1.0, one.bytes / largest * SIZE_BAR), 1) if one.bytes and largest else 0.0
    ways = [f"{check.check} by {check.by}" for check in one.checks if check.by]
    return ItemRow(one, numbers, width, scanned, ", ".join(dict.fromkeys(ways)))
