"""Scan findings, counted in words."""

from __future__ import annotations

from airgap.content.scan_counts import counted, severity_words
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity


def test_kinds_have_their_order_and_severities_are_worst_first() -> None:
    rows = [
        (FindingKind.SECRET, Severity.HIGH),
        (FindingKind.VULNERABILITY, Severity.LOW),
        (FindingKind.VULNERABILITY, Severity.CRITICAL),
        (FindingKind.VULNERABILITY, Severity.LOW),
    ]
    findings = [ScanFinding(kind, f"id-{number}", severity) for number, (kind, severity) in enumerate(rows)]
    found = counted(findings)
    assert list(found) == [FindingKind.VULNERABILITY, FindingKind.SECRET]
    assert list(found[FindingKind.VULNERABILITY]) == [Severity.CRITICAL, Severity.LOW]
    assert [severity_words(numbers) for numbers in found.values()] == ["1 critical, 2 low", "1 high"]


def test_nothing_found_is_said() -> None:
    assert counted([]) == {}
    assert severity_words({}) == "none"
