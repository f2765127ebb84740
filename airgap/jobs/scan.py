"""`scan_locks`: judges the store's content by a policy, and signs one verdict per lock for the station.

A rejection is a result: the verdict says fail, and is signed and kept like any other. What is not in the store, or
damaged in its manifests, is an error, and then there is no verdict; of a signature that cannot be read it says not-run.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.progress import Progress
from airgap.base.results import ResultFile
from airgap.bundling.evidence import Approved
from airgap.bundling.gate import check_pulled
from airgap.bundling.selected import select
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.jobs.as_locked import check_nodes
from airgap.jobs.holding import holding
from airgap.jobs.importing.needs import needs_of
from airgap.jobs.named_files import read_lock
from airgap.jobs.promote import Promotion, promote_judged
from airgap.jobs.scan_contents import (
    FindingTotals,
    check_station,
    find_totals,
    reports_about,
    scan_contents,
    scanner_reports,
    waive_for,
)
from airgap.jobs.scan_verdict import make_verdict, vex_of
from airgap.jobs.signing import signatory_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.judgement.checks.base import Answer
from airgap.judgement.items import judge_locks, open_policy
from airgap.judgement.judge import Judgement
from airgap.judgement.lock_findings import judge_findings
from airgap.judgement.report_folder import check_subjects, read_reports, subjects
from airgap.judgement.vex import VexFiles, VexNote, read_vex_files
from airgap.judgement.waivers import read_waivers
from airgap.resources.load import load_station, load_trust
from airgap.resources.policy import Policy
from airgap.resources.station import Station
from airgap.resources.trust import Trust
from airgap.resources.trust_verdicts import VerdictLimits
from airgap.resources.waiver import Waiver
from airgap.signatures.scanner_report import Report
from airgap.statements.scan_run import SubjectScans
from airgap.statements.verdict import (
    Verdict,
)
from airgap.station.brought import series_name
from airgap.station.files import Records, store_records
from airgap.station.signatory import Signatory
from airgap.station.uses import Uses
from airgap.store.layout import Layout

if TYPE_CHECKING:
    from airgap.scanning.run import ScannedContent


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """Which locks are judged, in which store, by what, and who signs."""

    locks: tuple[Path, ...]
    store: Path
    policy: Path
    """The Policy resource: the rules for what may come in."""
    key: str | None = None
    """Signs the verdicts: a path, or a `pkcs11:` URI. A dry run needs none."""
    dry_run: bool = False
    """Judge, but sign nothing."""
    trust: Path | None = None
    """The Trust resource: whose approval of a waiver is accepted, and whether the receiver accepts the key."""
    waivers: tuple[Path, ...] = ()
    approvals: tuple[Path, ...] = ()
    """Approvals of waivers that are not next to their waiver."""
    reports: Path | None = None
    """A folder of vulnerability reports to include."""
    station: Path | None = None
    """The Station resource: the scanners. Required if the policy has `findings`, and otherwise not used."""
    vex: tuple[Path, ...] = ()
    """OpenVEX documents, each with its signature next to it."""
    jobs: int = DEFAULT_JOBS
    promote: Path | None = None
    """Where to write a lock of what passed, signed for as well. It needs exactly one lock."""


@dataclass(frozen=True, slots=True)
class ScanOrder:
    """What is judged, by which policy, and at which time."""

    locks: tuple[Lock, ...]
    policy: Policy
    waivers: tuple[Approved, ...]
    now: datetime
    jobs: int = 4
    reports: tuple[Report, ...] = ()
    """Reports of scanners about manifests below the locks; included, but not judged."""
    station: Station | None = None
    """Its scanners look into the content, if the policy has `findings`."""
    vex: VexFiles | None = None
    """OpenVEX documents in files, verified, and whom the policy lets speak."""
    limits: VerdictLimits | None = None
    """What the receiver asks of verdicts: a waiver of what only it blocks goes along, too."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One lock, judged. `path` is where its verdict was written, `None` where none was signed."""

    lock: Lock
    digest: Digest
    """The lock's."""
    judgements: tuple[Judgement, ...]
    verdict: Verdict
    path: Path | None = None
    findings: tuple[Answer, ...] = ()
    """The answers about what the lock lacks of its request."""
    run: ScannedContent | None = None
    """What the scanners of the Station answered about all locks; `None` if nothing was scanned."""


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """The result of judging some locks by a policy."""

    policy: Policy
    locks: tuple[Scanned, ...]
    unused: tuple[Waiver, ...] = ()
    """Waivers that were passed, and that no check needed."""
    promoted: Promotion | None = None
    """What passed, if that was asked for."""
    totals: FindingTotals | None = None
    """What the scanners found; `None` if the policy does not ask for that."""
    vex: tuple[VexNote, ...] = ()
    """The OpenVEX documents in files, and whether they count."""

    @property
    def goes_on(self) -> bool:
        """True if everything passed, or a lock of what passed was promoted."""
        return not self.failed or (self.promoted is not None and not self.promoted.refused)

    @property
    def failed(self) -> int:
        """How many items and findings may not pass."""
        items = sum(not one.passed for lock in self.locks for one in lock.judgements)
        return items + sum(not one.good for lock in self.locks for one in lock.findings)


@holding
def scan(options: ScanOptions, surroundings: Surroundings) -> ScanOutcome:
    """Judges locks that were pulled, and signs a verdict for each.

    1. Read the locks, the policy with its trust roots, the Station, the Trust resource, the waivers and the reports.
    2. Open the key, unless nothing is signed. 3. Scan, judge and sign (`scan_locks`). 4. Sign for a lock of what
    passed, and write it.

    A rejection is a result. Raises `InputError`, and what `scan_locks` raises.
    """
    # 1.
    locks = tuple(read_lock(path) for path in options.locks)
    policy, roots = open_policy(options.policy)
    station = load_station(options.station) if options.station is not None else None
    check_station(policy, station, str(options.policy))
    trust, waivers, now = _trust(options), list[Approved](), surroundings.clock
    if trust is not None:
        waivers = read_waivers(options.waivers, options.approvals, trust, now())
    reports = read_reports(options.reports) if options.reports is not None else ()
    vex = VexFiles.of(read_vex_files(options.vex, now()), policy, roots, now())
    layout, records = Layout(options.store), store_records(options.store)
    out = _promoted_file(options, locks)
    # 2.
    signatory = None
    if not options.dry_run:
        signatory = signatory_of(options.key, "station", records, surroundings, trust)
    # 3.
    limits = None if trust is None else trust.verdicts
    order = ScanOrder(locks, policy, tuple(waivers), now(), options.jobs, tuple(reports), station, vex, limits)
    found = tuple(scan_locks(order, layout, records, signatory, surroundings.progress()))
    totals = find_totals(policy, found[0].run, [item for one in found for item in one.lock.items])
    used = {waiver.digest for one in found for waiver in one.verdict.waivers}
    unused = tuple(one.waiver for one in waivers if one.waiver.digest not in used)
    # 4.
    if out is None:
        return ScanOutcome(policy, found, unused, totals=totals, vex=vex.notes)
    only = found[0]
    tops = select([only.lock], layout).roots
    needs = needs_of(tops, layout, check_nodes(tops, layout, options.jobs))
    given = [one.waiver for one in waivers]
    promoted = promote_judged(only.lock, only.judgements, policy, given, order.now, needs)
    if signatory is not None and not promoted.refused:
        _promote(only, promoted, order, records, signatory)
        out.write(promoted.lock.encode())
    return ScanOutcome(policy, found, unused, promoted, totals, vex.notes)


@dataclass(frozen=True, slots=True)
class JudgedContent:
    """One item, judged, with what scanners answered about it."""

    item: Item
    judgement: Judgement
    subjects: tuple[SubjectScans, ...]


def pick_judged(result: ScanOutcome, name: str) -> JudgedContent:
    """One item of a scan. Raises `InputError` (`no-such-item`)."""
    for one in result.locks:
        for item, judgement in zip(one.lock.items, one.judgements, strict=True):
            if item.name == name:
                subjects = () if one.run is None else tuple(one.run.answers(item))
                return JudgedContent(item, judgement, subjects)
    names = [item.name for one in result.locks for item in one.lock.items]
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else "`airgap ls LOCK` lists the names"
    raise InputError("no-such-item", f"no item {name!r} in these locks", hint)


def _promoted_file(options: ScanOptions, locks: Sequence[Lock]) -> ResultFile | None:
    if options.promote is None:
        return None
    if len({lock.digest for lock in locks}) > 1:
        raise InputError("usage", "scan: --promote takes one lock", "scan one lock after the other")
    out = ResultFile(options.promote, "--promote", "a lock")
    out.check()
    if any(options.promote.resolve() == path.resolve() for path in options.locks):
        what = f"--promote {options.promote}: this is the lock that is scanned"
        raise InputError("bad-path", what, "name another file: the full lock is needed for the next scan")
    if options.promote.exists() and series_name(before := read_lock(options.promote).name) != series_name(
        locks[0].name
    ):
        what = f"--promote {options.promote}: this is lock {before!r}, and one of {locks[0].name!r} would replace it"
        raise InputError("other-file", what, "name another file")
    return out


def _promote(one: Scanned, promoted: Promotion, order: ScanOrder, records: Records, station: Signatory) -> None:
    """Signs for a promoted lock. Its full lock was kept: without it, nobody takes the promoted one."""
    if promoted.lock == one.lock:
        return
    roots = {name: item.root for name, item in one.verdict.items.items()}
    reports = reports_about(one.run, promoted.lock.items, one.verdict.reports)
    verdict = make_verdict(promoted.lock, promoted.judgements, promoted.answers, roots, order.policy, reports, one.run)
    _sign(Scanned(promoted.lock, promoted.lock.digest, promoted.judgements, verdict), order, records, station)


def _trust(options: ScanOptions) -> Trust | None:
    """The Trust resource. Read even if unused, so that a wrong path is reported."""
    if options.trust is not None:
        return load_trust(options.trust)
    if options.waivers or options.approvals:
        flag = "--waiver" if options.waivers else "--approval"
        raise InputError(
            "usage",
            f"scan: {flag} requires --trust",
            "pass --trust FILE: the Trust resource says whose approval of a waiver is accepted",
        )
    return None


def scan_locks(
    order: ScanOrder, layout: Layout, records: Records, station: Signatory | None, progress: Progress
) -> list[Scanned]:
    """Judges every item of the locks; a lock that is named twice counts once.

    1. Everything that the locks name is in the store, and was found good when it was pulled; nodes are hashed again,
       and compared with the locks.
    2. If the policy asks what is in the content, the scanners of the Station look into it.
    3. Each item is judged; what is attached to it is hashed again on the way, and where that is damaged it is not-run.
    4. With a station, one verdict a lock is signed and kept, with the waivers and the trust roots that it rests on, and
       the reports that it names.

    Raises `InputError` (`not-pulled`, `report-unasked`), `IntegrityError` (`not-as-locked`, …), `PolicyError`
    (`pull-incomplete`), `TrustError` (a trust root is not what the policy says), `StoreError`.
    """
    named = {lock.digest: lock for lock in order.locks}
    locks = list(named.values())
    # 1. Layers are hashed by `bundle`, in the pass that writes them; nothing here is concluded from them.
    selected = select(locks, layout)
    check_nodes(selected.roots, layout, order.jobs)
    # Two locks may have an item of one name: last month's and this month's.
    rest = iter(selected.roots)
    roots = [{item.name: root.digest for item, root in islice(rest, len(lock.items))} for lock in locks]
    for lock, mine in zip(locks, roots, strict=True):
        check_pulled([lock], mine, records)
    about = subjects(locks, selected.roots, layout) if order.reports else {}
    check_subjects(order.reports, about)
    # 2.
    run: ScannedContent | None = None
    if order.policy.findings is not None and order.station is not None:
        run = scan_contents(selected.roots, layout, order.station, records, progress, order.now, order.policy)
    # 3.
    waivers = [one.waiver for one in order.waivers]
    judged = iter(
        judge_locks(locks, layout, order.policy, order.now, waivers, order.jobs, progress, run, vex=order.vex)
    )
    found = []
    for (digest, lock), mine in zip(named.items(), roots, strict=True):
        judgements = tuple(islice(judged, len(lock.items)))
        if order.limits is not None and run is not None:
            judgements = tuple(
                waive_for(order.limits, order.policy, run, pair, waivers)
                for pair in zip(lock.items, judgements, strict=True)
            )
        given = {one.subject: one.digest for one in order.reports if one.subject in about[digest]}
        reports = scanner_reports(run, lock.items, given, records, progress)
        partial = order.policy.findings is not None and order.policy.findings.partial
        lacking = judge_findings(lock.findings, waivers, order.now, partial=partial)
        verdict = make_verdict(lock, judgements, lacking, mine, order.policy, reports, run)
        found.append(Scanned(lock, digest, judgements, verdict, findings=lacking, run=run))
    # 4.
    if station is not None:
        found = [_sign(one, order, records, station) for one in found]
    return found


def _sign(one: Scanned, order: ScanOrder, records: Records, station: Signatory) -> Scanned:
    used = {waiver.digest for waiver in one.verdict.waivers}
    for approved in order.waivers:
        if approved.waiver.digest in used:
            records.save_waiver(approved.waiver.raw)
            records.save_statement("approval", approved.waiver.digest, approved.approval)
    for root in order.policy.trust_roots:
        records.save_root(root.data)
    for document in vex_of(check for judgement in one.judgements for check in judgement.answers):
        records.save_vex(document.data, document.bundle)
    named = {report.digest for report in one.verdict.reports}
    for report in order.reports:
        if report.digest in named:
            records.save_report(report.data)
    Uses(records.folder).note([one.lock], "scan", station.clock(), whole=True)
    bundle = station.sign(one.digest, one.verdict)
    return replace(one, path=records.save_statement("verdict", one.digest, bundle))
