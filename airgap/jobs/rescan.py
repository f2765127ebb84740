"""`rescan`: what was delivered, against today's databases: what is new since the verdict, and who has it.

It signs nothing, and needs no network: it runs in the DMZ or in the connected zone. Content that is in the store is
scanned again; of an image that is not, its SBOM is compared with today's database, which finds vulnerabilities only.
What else was found in it counts as it was found. All of it is judged as a station judges, with the same questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.times import utc_text
from airgap.content.graph import Descriptor, Node, walk
from airgap.content.item import Item
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import ScanResult
from airgap.jobs.delivered import Believed, Delivered, Holder, holders, read_delivered
from airgap.jobs.holding import holding
from airgap.jobs.rescan_sboms import as_known_today
from airgap.jobs.scan_contents import check_station, scan_contents
from airgap.jobs.surroundings import Surroundings
from airgap.judgement.items import open_policy
from airgap.judgement.waivers import read_waivers
from airgap.kinds.table import rule_names
from airgap.resources.load import load_station, load_trust
from airgap.resources.policy import Policy
from airgap.resources.station import Station
from airgap.resources.trust import Trust
from airgap.resources.waiver import Waiver
from airgap.statements.gate import Decision, Gate
from airgap.statements.scan_answers import BLOCKS, ScanAnswer, answers, waives
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import FindingName
from airgap.statements.verdict import WAIVED, YES, JudgedItem, Verdict
from airgap.station.files import Records, pin_name, store_records
from airgap.store.layout import Layout

CONTENT, SBOM, NOTHING = "content", "sbom", "nothing"
"""By what an item was scanned again."""
_PULL = "pull it again, or name the delivery that had it"


@dataclass(frozen=True, slots=True)
class RescanOptions:
    """What was delivered, and by what it is asked again."""

    things: tuple[Path, ...]
    """Locks, and folders of deliveries; none: the newest lock of each series that passed in the store, and those of the
    receipts."""
    store: Path
    policy: Path
    station: Path
    receipts: tuple[Path, ...] = ()
    """Receipts that came back: which Sovereign has what, and under which name."""
    trusts: tuple[Path, ...] = ()
    """Trust resources by which receipts and verdicts are verified, besides those in the store."""
    waivers: tuple[Path, ...] = ()
    """Waivers that count today, besides those of the verdicts."""
    approvals: tuple[Path, ...] = ()
    """Approvals of waivers that are not next to their waiver."""


@dataclass(frozen=True, slots=True)
class Rescanned:
    """One item, scanned again."""

    item: str
    kind: str
    lock: str
    root: Digest | None
    by: str
    """`content`, `sbom` or `nothing`."""
    new: tuple[Decision, ...]
    """What the scan behind the verdict did not find, the worst first."""
    blocks: tuple[Decision, ...]
    """What now blocks: new findings, and earlier ones that nothing lets pass any longer."""
    not_run: tuple[str, ...] = ()
    """Why there is no answer, in words."""
    holders: tuple[Holder, ...] = ()
    ended: tuple[str, ...] = ()
    """Waivers of the verdict that have ended since, in words."""

    @property
    def bad(self) -> bool:
        """True if it would not pass today."""
        return bool(self.blocks or self.not_run)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "item": self.item,
            "kind": self.kind,
            "lock": self.lock,
            "root": None if self.root is None else str(self.root),
            "by": self.by,
            "new": [_decision(one) for one in self.new],
            "blocks": [_decision(one) for one in self.blocks],
            "notRun": list(self.not_run),
            "ended": list(self.ended),
            "holders": [one.as_dict(self.item) for one in self.holders],
        }


def _decision(one: Decision) -> dict[str, Any]:
    return one.finding.as_dict() | {"severity": str(one.severity), "effect": str(one.effect), "rule": one.rule}


@dataclass(frozen=True, slots=True)
class RescanOutcome:
    """Everything that was scanned again."""

    policy: Policy
    items: tuple[Rescanned, ...]
    scanners: tuple[dict[str, Any], ...] = ()

    @property
    def bad(self) -> tuple[Rescanned, ...]:
        """What would not pass today."""
        return tuple(one for one in self.items if one.bad)


@dataclass(slots=True)
class _Again:
    """One item, with what is known about it."""

    item: Item
    of: Delivered
    root: Descriptor | None
    judged: JudgedItem | None
    earlier: tuple[ScanResult, ...] = ()
    """The results behind the verdict."""
    there: bool = False
    found: list[SubjectScans] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Today:
    """By what it is asked again."""

    policy: Policy
    station: Station
    layout: Layout
    records: Records
    surroundings: Surroundings
    now: datetime


@holding
def rescan(options: RescanOptions, surroundings: Surroundings) -> RescanOutcome:
    """Scans what was delivered again.

    1. Read the policy, the Station, the waivers and what was delivered, with its verdicts. 2. Scan what is in the
    store. 3. Compare the SBOMs of other images with today's database. 4. Judge what is new, and what no longer passes.

    That something now blocks is a result. Raises `InputError` (`not-delivered`, …), `TrustError`, `StoreError`.
    """
    # 1.
    policy, _ = open_policy(options.policy)
    station, now = load_station(options.station), surroundings.clock()
    if policy.findings is None:
        what = f"{options.policy}: the policy has no `findings`, so nothing would block"
        raise InputError("usage", what, "pass the policy by which content is judged today")
    check_station(policy, station, str(options.policy))
    layout, records = Layout(options.store), store_records(options.store)
    trusts = [load_trust(path) for path in options.trusts]
    waivers = _waivers(options, trusts, now)
    believed = Believed.of(trusts, records, surroundings)
    held = holders(options.receipts, believed)
    delivered = read_delivered(options.things, held, believed)
    again = [one for of in delivered for one in _items(of, layout, records)]
    # 2.
    today = _Today(policy, station, layout, records, surroundings, now)
    scanners = _contents(again, today)
    # 3.
    _sboms([one for one in again if not one.there], today)
    # 4.
    gate = Gate.of(policy.findings)
    found = [_rescanned(one, gate, waivers, held, now) for one in again]
    return RescanOutcome(policy, tuple(found), scanners)


def _waivers(options: RescanOptions, trusts: Sequence[Trust], now: datetime) -> list[Waiver]:
    if not (options.waivers or options.approvals):
        return []
    if len(trusts) != 1:
        flag = "--waiver" if options.waivers else "--approval"
        what = f"rescan: {flag} requires --trust, once"
        raise InputError("usage", what, "the Trust resource says whose approval of a waiver is accepted")
    return [one.waiver for one in read_waivers(options.waivers, options.approvals, trusts[0], now)]


def _items(of: Delivered, layout: Layout, records: Records) -> Iterator[_Again]:
    for item in of.lock.items:
        judged = of.verdict.items.get(item.name) if of.verdict is not None else None
        root = item.root or layout.find(pin_name(item))
        made = _Again(item, of, root, judged)
        made.there = root is not None and _whole(item, root, layout)
        made.earlier, lost = _earlier(of, judged, records)
        if not made.there:
            made.errors += lost
        yield made


def _earlier(of: Delivered, judged: JudgedItem | None, records: Records) -> tuple[tuple[ScanResult, ...], list[str]]:
    """The results behind the verdict about the subjects of an item, and which are lost."""
    if of.verdict is None or judged is None:
        return (), []
    subjects = {check.subject for check in judged.checks}
    found, lost = list[ScanResult](), list[str]()
    for scan in (one for one in of.verdict.scans if one.subject in subjects):
        result = of.result(scan, records)
        if result is None:
            lost.append(f"the scan result {scan.result} about {scan.subject} is missing: {_PULL}")
        else:
            found.append(result)
    return tuple(found), lost


def _whole(item: Item, root: Descriptor, layout: Layout) -> bool:
    """True if all of an item's own content is in the store."""
    with suppress(AirgapError):
        top, keep = item.graphs(root)[0]
        found = (one.descriptor if isinstance(one, Node) else one for one in walk(layout, top, keep))
        return all(layout.has(one) for one in found)
    return False


def _contents(again: Sequence[_Again], today: _Today) -> tuple[dict[str, Any], ...]:
    """Scans what is in the store; answers of today's databases that are known already are taken."""
    mine = [one for one in again if one.there]
    roots = {one.item.pin: (one.item, one.root) for one in mine if one.root is not None}
    given = (today.layout, today.station, today.records, today.surroundings.progress(), today.now, today.policy)
    run = scan_contents(list(roots.values()), *given)
    for one in mine:
        one.found += run.answers(one.item)
    return tuple(scanner.as_dict() for scanner in run.scanners)


def _sboms(again: Sequence[_Again], today: _Today) -> None:
    """Compares SBOMs of the images that are not in the store; what else was found in them stays as it was found."""
    from airgap.scanning.sboms import scan_sboms

    wanted: dict[Digest, bytes] = {}
    for one in again:
        for result in one.earlier:
            if FindingKind.VULNERABILITY not in result.looked_for:
                continue
            data = None if result.sbom is None else one.of.sbom(result.sbom, today.records)
            if data is None:
                one.errors.append(f"neither the content of {result.subject} nor an SBOM of it is here: {_PULL}")
            else:
                wanted.setdefault(result.subject, data)
    found, error = dict[Digest, ScanResult](), ""
    if wanted and today.station.trivy is not None:
        progress = today.surroundings.progress()
        found, error = scan_sboms(wanted, today.layout, today.station, today.records, progress, today.now)
    elif wanted:
        error = "the Station names no scanner that compares SBOMs with a database"
    for one in again:
        one.errors += [error for result in one.earlier if result.subject in wanted.keys() - found.keys()]
        by_subject: dict[Digest, list[ScanResult]] = {}
        for result in one.earlier:
            by_subject.setdefault(result.subject, []).append(result)
        for subject, results in by_subject.items():
            known = tuple(map(partial(as_known_today, found.get(subject)), results))
            one.found.append(SubjectScans(subject, one.item.name, known))


def _rescanned(one: _Again, gate: Gate, waivers: Sequence[Waiver], held: Sequence[Holder], now: datetime) -> Rescanned:
    names, kind = rule_names(one.item), one.item.kind
    known = {_key(result.subject, finding) for result in one.earlier for finding in result.findings}
    new, blocks, errors = list[Decision](), list[Decision](), list(one.errors)
    if not (one.found or errors) and kind == "image":
        errors.append(f"neither its content nor an SBOM of it is here: {_PULL}")
    for subject in one.found:
        found = [(result, finding) for result in subject.results for finding in result.findings]
        new += [gate.decide(kind, names, it) for result, it in found if _key(result.subject, it) not in known]
        identities = [result.scanner for result in subject.results]
        for answer in answers(gate, kind, names, subject, identities, now):
            if answer.good or _lifted(one, answer, waivers, now):
                continue
            if answer.finding is None:
                errors.append(f"{answer.detail} [{answer.reason}]")
            else:
                blocks.append(gate.decide(kind, names, answer.finding))
    by = CONTENT if one.there else SBOM if any(map(_compared, one.found)) else NOTHING
    return Rescanned(
        one.item.name,
        kind,
        one.of.lock.name,
        None if one.root is None else one.root.digest,
        by,
        _worst_first(new),
        _worst_first(blocks),
        tuple(dict.fromkeys(errors)),
        tuple(holder for holder in held if holder.has(one.item, one.of.lock)),
        tuple(_ended(one, now)),
    )


def _ended(one: _Again, now: datetime) -> Iterator[str]:
    """What waivers let pass that have ended."""
    verdict = one.of.verdict
    for waiver in verdict.waivers if verdict is not None else ():
        checks = [check for check in one.judged.checks if check.waiver == waiver.digest] if one.judged else []
        names = dict.fromkeys(check.finding.id if check.finding else check.check for check in checks)
        if names and waiver.expires <= now:
            yield f"{', '.join(names)} was waived until {utc_text(waiver.expires)}"


def _compared(subject: SubjectScans) -> bool:
    return any(FindingKind.VULNERABILITY in result.looked_for for result in subject.results)


def _key(subject: Digest, finding: ScanFinding) -> tuple[Digest, FindingKind, FindingName]:
    return subject, finding.kind, FindingName.of(finding)


def _worst_first(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """Each finding once."""
    found = {(one.finding.kind, FindingName.of(one.finding)): one for one in decisions}
    order = list(Severity)
    return tuple(sorted(found.values(), key=lambda one: (order.index(one.severity), one.finding.id)))


def _lifted(one: _Again, answer: ScanAnswer, waivers: Sequence[Waiver], now: datetime) -> bool:
    """True if something lets it pass: a waiver that was given, or one of the verdict, or an OpenVEX document of it."""
    root, names = None if one.judged is None else one.judged.root, rule_names(one.item)
    if any(waives(waiver, answer.check, answer.subject, answer.name, root, names) for waiver in waivers):
        return True
    verdict: Verdict | None = one.of.verdict
    ends = {waiver.digest: waiver.expires for waiver in verdict.waivers} if verdict is not None else {}
    for check in one.judged.checks if one.judged is not None else ():
        # A check that stands for many findings is no answer about the whole.
        many = check.finding is None and (check.reason or "").startswith(BLOCKS)
        if many or (check.check, check.subject, check.finding) != (answer.check, answer.subject, answer.name):
            continue
        if check.outcome == YES and check.vex:
            return True
        if check.outcome == WAIVED and check.waiver in ends and now < ends[check.waiver]:
            return True
    return False
