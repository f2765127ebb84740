"""Scan findings, counted in words."""

from __future__ import annotations

from airgap.content.scan_counts import count_lines, counted, severity_words
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity


def test_kinds_have_their_order_and_severities_are_worst_first() -> None:
    rows = [
        (FindingKind.SECRET, Severity.HIGH),
        (FindingKind.VULNERABILITY, Severity.LOW),
        (FindingKind.VULNERABILITY, Severity.CRITICAL),
        (FindingKind.VULNERABILITY, Severity.LOW),
    ]
    findings = [ScanFinding(kind, f"id-{number}", severity) for number, (kind, severity) in enumerate(rows)]
    assert count_lines(findings) == ["vulnerability     1 critical, 2 low", "secret            1 high"]
    assert list(counted(findings)[FindingKind.VULNERABILITY]) == [Severity.CRITICAL, Severity.LOW]


def test_nothing_found_is_said() -> None:
    assert count_lines([]) == []
    assert severity_words({}) == "none"


def test_the_longest_line_fits_80_columns() -> None:
    worst = dict.fromkeys(Severity, 9_999)
    assert len(f"{FindingKind.MISCONFIGURATION:<17} {severity_words(worst)}") <= 80
