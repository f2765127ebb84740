"""The lines of `--format jsonl`: every finding, and every scan without an answer, because that is not clean either."""

from __future__ import annotations

from collections.abc import Iterator

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.content.scan_finding import FindingKind, Severity
from airgap.report.scans.model import NotScanned, ReportFinding, ReportItem, ScanReport


def finding_lines(report: ScanReport) -> Iterator[ReportFinding]:
    """What has no answer first: who reads only findings would take it for nothing."""
    known = {(one.item, one.subject, one.id) for one in report.findings if one.kind is FindingKind.COVERAGE}
    items = {one.name: one for one in reversed(report.items)}
    for row in report.not_scanned:
        if (row.item, row.subject, row.code) not in known and row.item in items:
            yield _line(report, row, items[row.item])
    yield from report.findings


def _line(report: ScanReport, row: NotScanned, item: ReportItem) -> ReportFinding:
    signed = {one.lock: one.signed_at for one in report.verdicts}
    versions = {one.name: one.version for one in report.scanners}
    return ReportFinding(
        fingerprint=Digest.of(canonical([row.item, row.code, row.scanner])).hex,
        item=row.item,
        item_kind=item.kind,
        item_digest=item.digest,
        item_outcome=item.outcome,
        lock=item.lock,
        subject=row.subject,
        kind=FindingKind.COVERAGE,
        id=row.code,
        aliases=(),
        severity=Severity.UNKNOWN,
        severity_source="",
        scanner_severity=Severity.UNKNOWN,
        severities={},
        title=row.detail,
        package="",
        purl="",
        installed="",
        fixed="",
        status="",
        layer=None,
        path="",
        line=0,
        reference="",
        decision=row.decision,
        rule="",
        reason="",
        waiver=None,
        vex=(),
        waived_by="",
        scanner=row.scanner,
        scanner_version=versions.get(row.scanner, ""),
        result=None,
        signed_at=signed.get(item.lock),
        report_about=str(report.about.digest or report.about.path),
    )
