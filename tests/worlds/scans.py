"""What scanners answered about an image, as tests want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.zstd import packed
from airgap.content.item import Item
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.kinds.table import rule_names
from airgap.resources.load import load_policy
from airgap.resources.waiver import Waiver
from airgap.statements.gate import Gate
from airgap.statements.scan_answers import answers, waives
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import Scan, sort_scans
from airgap.statements.verdict import CheckResult, JudgedItem, Named, UsedWaiver, Verdict

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


def verdict_of(item: Item, run: GivenRun, gate: Gate, waivers: Sequence[Waiver] = ()) -> Verdict:
    """What a station says of one item by these answers."""
    root = item.pin if item.root is None else item.root.digest
    names = rule_names(item)
    checks = []
    for subject in run.answers(item):
        for one in answers(gate, item.kind, names, subject, run.scanners, None):
            used = next((w for w in waivers if waives(w, one.check, one.subject, one.name, root, names)), None)
            waived = used is not None and not one.good
            checks.append(
                CheckResult(
                    check=one.check,
                    outcome="waived" if waived else one.outcome,
                    subject=one.subject,
                    rule=one.rule,
                    reason=one.detail,
                    waiver=used.digest if waived and used else None,
                    finding=one.name,
                )
            )
    good = all(one.outcome in ("pass", "waived") for one in checks)
    used_ones = {one.waiver for one in checks if one.waiver}
    return Verdict(
        policy=Named("bank", Digest.of(b"policy")),
        trust_roots=(),
        waivers=tuple(UsedWaiver(one.digest, one.expires) for one in waivers if one.digest in used_ones),
        items={item.name: JudgedItem(root, "pass" if good else "fail", None if good else "findings", tuple(checks))},
        scanners=run.scanners,
        scans=sort_scans(run.scans(item), run.scanners),
        gate=gate,
    )


def carried(run: GivenRun) -> dict[str, bytes]:
    """The results as evidence carries them."""
    results = [result for subjects in run.items.values() for subject in subjects for result in subject.results]
    return {f"scans/{one.digest.hex}.json.zst": packed(one.encode()) for one in results}


def gate_of(findings: str = "{}") -> Gate:
    """The gate of a policy with these findings."""
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec:\n"
    rules = "  rules: [{match: ['**'], digestOnly: {approver: a, reason: r, expires: 2036-01-01T00:00:00Z}}]\n"
    policy = load_policy(f"{head}{rules}  findings: {findings}\n".encode(), base_dir=Path(), label="policy.yaml")
    if policy.findings is None:
        raise ValueError(findings)
    return Gate.of(policy.findings)
