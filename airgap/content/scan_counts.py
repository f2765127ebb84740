"""Scan findings, counted: by kind and severity, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from airgap.content.scan_finding import FindingKind, ScanFinding, Severity


def counted(findings: Iterable[ScanFinding]) -> Mapping[FindingKind, Mapping[Severity, int]]:
    """How many findings of each kind have which severity: kinds in their order, severities worst first, no zeros."""
    numbers = Counter((one.kind, one.severity) for one in findings)
    found: dict[FindingKind, dict[Severity, int]] = {}
    for kind in FindingKind:
        of_kind = {severity: numbers[kind, severity] for severity in Severity if numbers[kind, severity]}
        if of_kind:
            found[kind] = of_kind
    return found


def severity_words(numbers: Mapping[Severity, int]) -> str:
    """`2 critical, 5 high`, worst first; `none` if there are none."""
    return ", ".join(f"{numbers[one]} {one}" for one in Severity if numbers.get(one)) or "none"
