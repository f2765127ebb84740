"""What scanners answered about an image, as tests want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airgap.base.digest import Digest
from airgap.content.item import Item
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import Scan

VULNERABILITY, SECRET, MALWARE = FindingKind.VULNERABILITY, FindingKind.SECRET, FindingKind.MALWARE


def trivy(made: datetime, **more: Any) -> ScannerIdentity:
    """Trivy, with a database that was made then."""
    one = ScannerIdentity("trivy", "0.74.0", Digest.of(b"trivy"), (Database("trivy-db", Digest.of(b"db"), made),))
    return replace(one, **more)


CLAMAV = ScannerIdentity("clamav", "1.4.3", Digest.of(b"clamav"))


def flaw(severity: str = "critical", id_: str = "CVE-2021-36159", **more: Any) -> ScanFinding:
    """A vulnerability."""
    made = ScanFinding(
        VULNERABILITY, id_, Severity(severity), package="apk-tools", installed="2.12.5-r0", status="affected"
    )
    return replace(made, **more)


def result(
    subject: Digest,
    scanner: ScannerIdentity,
    *findings: ScanFinding,
    looked_for: Sequence[str] = ("vulnerability", "secret"),
    packages: int = 14,
    **more: Any,
) -> ScanResult:
    """An answer of a scanner that came to its end."""
    made = ScanResult(subject, scanner, findings, packages, looked_for=frozenset(map(FindingKind, looked_for)))
    return replace(made, **more)


@dataclass(frozen=True, slots=True)
class GivenRun:
    """A run whose answers are given, by the pins of items."""

    scanners: tuple[ScannerIdentity, ...]
    items: Mapping[Digest, tuple[SubjectScans, ...]] = field(default_factory=dict)

    def scans(self, item: Item) -> Sequence[Scan]:
        """See `ScanRun.scans`."""
        return [
            Scan(subject.digest, result.scanner.own_digest, result.digest)
            for subject in self.answers(item)
            for result in subject.results
        ]

    def answers(self, item: Item) -> Sequence[SubjectScans]:
        """See `ScanRun.answers`."""
        return self.items.get(item.pin, ())


def run_of(item: Item, *subjects: tuple[Digest, Sequence[ScanResult]]) -> GivenRun:
    """A run that scanned one item."""
    scanners = {one.scanner.name: one.scanner for _, results in subjects for one in results}
    scans = tuple(SubjectScans(digest, item.name, tuple(results)) for digest, results in subjects)
    return GivenRun(tuple(scanners[name] for name in sorted(scanners)), {item.pin: scans})


def days(number: float) -> timedelta:
    """So many days."""
    return timedelta(days=number)
