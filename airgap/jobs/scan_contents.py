"""The part of `scan` that looks into content: what a Station's scanners find, counted by what the policy says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.progress import Progress
from airgap.base.times import utc_text
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.content.scan_finding import FindingKind, Severity
from airgap.content.scan_result import ScannerIdentity
from airgap.judgement.checks.base import Answer, Outcome
from airgap.judgement.judge import Judgement
from airgap.judgement.worst import bounded
from airgap.kinds.table import rule_names
from airgap.resources.policy import Policy
from airgap.resources.station import Station
from airgap.resources.trust_verdicts import VerdictLimits
from airgap.resources.waiver import Waiver
from airgap.signatures.scanner_report import MAX_REPORTS
from airgap.statements.gate import Effect, Gate
from airgap.statements.scan_answers import BLOCKS, waives
from airgap.statements.scans import FindingName
from airgap.statements.verdict import Reported
from airgap.station.files import Records
from airgap.store.layout import Layout

_LIMITS = "verdicts.blocks of the Trust resource"

if TYPE_CHECKING:
    from airgap.scanning.run import ScannedContent


@dataclass(frozen=True, slots=True)
class FindingTotals:
    """What was found in all locks, each subject and each scanner counted once for each item that has it."""

    scanners: tuple[ScannerIdentity, ...]
    started: int
    """How many scans ran."""
    kept: int
    """How many answers are of an earlier run."""
    severities: Mapping[Severity, int] = field(hash=False)
    """By the severity that counts, the worst first."""
    effects: Mapping[Effect, int] = field(hash=False)
    not_run: Mapping[str, int] = field(hash=False)
    """How many scans did not run, by the code of the reason."""


def check_station(policy: Policy, station: Station | None, file: str) -> None:
    """Raises `InputError` (`usage`) if the policy judges findings, and no Station says who looks for them."""
    if policy.findings is not None and station is None:
        raise InputError(
            "usage",
            f"{file}: the policy has `findings`, so content must be scanned, and no --station was passed",
            "pass --station FILE: the Station resource names the scanners",
        )


def scan_contents(
    roots: Sequence[tuple[Item, Descriptor]],
    layout: Layout,
    station: Station,
    records: Records,
    progress: Progress,
    now: datetime,
    policy: Policy,
) -> ScannedContent:
    """Scans the items with the scanners of the Station. Raises as `scan_content` does."""
    from airgap.scanning.run import scan_content

    gate = None if policy.findings is None else Gate.of(policy.findings)
    return scan_content(roots, layout, station, records, progress, now, gate)


def find_totals(policy: Policy, run: ScannedContent | None, items: Sequence[Item]) -> FindingTotals | None:
    """Counts what was found, by what the policy says of it; `None` if nothing was scanned. Raises `IntegrityError`."""
    if policy.findings is None or run is None:
        return None
    gate = Gate.of(policy.findings)
    severities, effects, not_run = Counter[Severity](), Counter[Effect](), Counter[str]()
    for item in items:
        names = rule_names(item)
        for result in (one for subject in run.answers(item) for one in subject.results):
            not_run.update([result.not_run] if result.not_run else [])
            for decision in (gate.decide(item.kind, names, one) for one in result.findings):
                severities[decision.severity] += 1
                effects[decision.effect] += 1
    found = {one: severities[one] for one in Severity if severities[one]}
    does = {one: effects[one] for one in Effect if effects[one]}
    return FindingTotals(run.scanners, run.started, run.kept, found, does, dict(sorted(not_run.items())))


def scanner_reports(
    run: ScannedContent | None,
    items: Sequence[Item],
    given: Mapping[Digest, Digest],
    records: Records,
    progress: Progress,
) -> dict[Digest, Digest]:
    """The reports for cosign about the subjects of some items: those that were `given`, else those of the scanners.

    A verdict carries `MAX_REPORTS` bytes of the scanners' own; what is more is left out, and said.
    """
    found, size, left_out = dict(given), 0, 0
    for subject in (one for item in items for one in run.answers(item)) if run is not None else ():
        named = next((one.report for one in subject.results if one.report is not None), None)
        if named is None or subject.digest in found:
            continue
        size += len(records.report(named) or b"")
        if size > MAX_REPORTS:
            left_out += 1
        else:
            found[subject.digest] = named
    if left_out:
        progress.note(f"{left_out} reports for cosign are left out: together they have more than {MAX_REPORTS} bytes")
    return found


def reports_about(
    run: ScannedContent | None, items: Sequence[Item], reports: Sequence[Reported]
) -> dict[Digest, Digest]:
    """Those of the reports that are about the given items, or about something that was not scanned."""
    if run is None:
        return {one.subject: one.digest for one in reports}
    mine = {subject.digest for item in items for subject in run.subjects(item)}
    scanned = {subject.digest for found in run.items.values() for subject in found}
    return {one.subject: one.digest for one in reports if one.subject in mine or one.subject not in scanned}


def waive_for(
    limits: VerdictLimits,
    policy: Policy,
    run: ScannedContent,
    judged: tuple[Item, Judgement],
    waivers: Sequence[Waiver],
) -> Judgement:
    """The judgement with the waivers of findings that the policy lets in and the receiver blocks.

    The receiver takes waivers only from the verdict. What nobody waived is not said here: `bundle --trust` refuses it.
    """
    item, made = judged
    if policy.findings is None:
        return made
    gate, names, root = Gate.of(policy.findings), rule_names(item), made.root or made.pin
    found: dict[tuple[Digest, FindingKind, FindingName], Answer] = {}
    for subject in run.answers(item):
        for finding in (finding for result in subject.results for finding in result.findings):
            decision, name = gate.decide(item.kind, names, finding), FindingName.of(finding)
            if decision.effect is Effect.BLOCK or not limits.forbids(finding, decision.severity):
                continue
            check = str(finding.kind)
            by = next((one for one in waivers if waives(one, check, subject.digest, name, root, names)), None)
            if by is not None:
                what = f"waived until {utc_text(by.expires)} by {by.approver} ({by.name}): {finding.id}"
                found[subject.digest, finding.kind, name] = Answer(
                    check, Outcome.WAIVED, subject.digest, BLOCKS, what, rule=_LIMITS, waiver=by, named=name
                )
    return replace(made, answers=(*made.answers, *bounded(tuple(found.values()))))
