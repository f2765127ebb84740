"""`rescan`: what was delivered, against today's databases: what is new since the verdict, and who has it.

It signs nothing, and needs no network: it runs in the DMZ or in the connected zone. Content that is in the store is
scanned again; of an image that is not, its SBOM is compared with today's database, which finds vulnerabilities only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.times import utc_text
from airgap.content.graph import Descriptor, Node, walk
from airgap.content.item import Item
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import ScannerIdentity, ScanResult
from airgap.jobs.delivered import Delivered, Holder, holders, read_delivered
from airgap.jobs.scan_contents import check_station, scan_contents
from airgap.jobs.surroundings import Surroundings
from airgap.judgement.items import open_policy
from airgap.kinds.table import rule_names
from airgap.resources.load import load_station, load_trust
from airgap.resources.policy import Policy
from airgap.resources.station import Station
from airgap.statements.gate import Decision, Effect, Gate
from airgap.statements.scan_answers import BLOCKS, NO_PACKAGES, answers
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import FindingName, Scan
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
    """Locks, and folders of deliveries; none: the newest lock of each series that passed in the store."""
    store: Path
    policy: Path
    station: Path
    receipts: tuple[Path, ...] = ()
    """Receipts that came back: which Sovereign has what, and under which name."""
    trusts: tuple[Path, ...] = ()
    """Trust resources by which receipts are verified, besides those in the store."""


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
    there: bool = False
    found: list[SubjectScans] = field(default_factory=list)
    scanners: list[ScannerIdentity] = field(default_factory=list)
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


def rescan(options: RescanOptions, surroundings: Surroundings) -> RescanOutcome:
    """Scans what was delivered again.

    1. Read the policy, the Station and what was delivered, with its verdicts. 2. Scan what is in the store. 3. Compare
    the SBOMs of other images with today's database. 4. Judge what is new, and what no longer passes.

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
    delivered = read_delivered(options.things, records)
    trusts = [load_trust(path) for path in options.trusts]
    held = holders(options.receipts, trusts, records, now, surroundings.note)
    again = [one for of in delivered for one in _items(of, layout)]
    # 2.
    today = _Today(policy, station, layout, records, surroundings, now)
    scanners = _contents(again, today)
    # 3.
    _sboms([one for one in again if not one.there], today)
    # 4.
    gate = Gate.of(policy.findings)
    found = [_rescanned(one, gate, records, held, now) for one in again]
    return RescanOutcome(policy, tuple(found), scanners)


def _items(of: Delivered, layout: Layout) -> Iterator[_Again]:
    for item in of.lock.items:
        judged = of.verdict.items.get(item.name) if of.verdict is not None else None
        root = item.root or layout.find(pin_name(item))
        made = _Again(item, of, root, judged)
        made.there = root is not None and _whole(item, root, layout)
        yield made


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
        one.scanners += run.scanners
    return tuple(scanner.as_dict() for scanner in run.scanners)


def _sboms(again: Sequence[_Again], today: _Today) -> None:
    """Compares SBOMs of the images that are not in the store."""
    from airgap.scanning.sboms import scan_sboms

    records = today.records
    wanted: dict[Digest, bytes] = {}
    for one in again:
        one.errors += _without_sbom(one, records)
        for subject, digest in _named_sboms(one, records):
            data = one.of.sbom(digest, records)
            if data is None:
                one.errors.append(f"the SBOM {digest} of {subject} is missing")
            else:
                wanted.setdefault(subject, data)
    if not wanted or today.station.trivy is None:
        return
    progress = today.surroundings.progress()
    found, error = scan_sboms(wanted, today.layout, today.station, records, progress, today.now)
    for one in again:
        for subject, _ in _named_sboms(one, records):
            if subject in found:
                one.found.append(SubjectScans(subject, one.item.name, (found[subject],)))
                one.scanners.append(found[subject].scanner)
            elif subject in wanted:
                one.errors.append(error)


def _named_sboms(one: _Again, records: Records) -> Iterator[tuple[Digest, Digest]]:
    """The subjects of an item, each with the SBOM of the scan behind the verdict."""
    for result in _earlier(one, records):
        if result.sbom is not None:
            yield result.subject, result.sbom


def _without_sbom(one: _Again, records: Records) -> Iterator[str]:
    """What the SBOMs that are there leave out: a platform without one is not clean because another one is."""
    for scan in _scans(one):
        if one.of.result(scan, records) is None:
            yield f"the scan result {scan.result} about {scan.subject} is missing: {_PULL}"
    named = {subject for subject, _ in _named_sboms(one, records)}
    for result in _earlier(one, records):
        if FindingKind.VULNERABILITY in result.looked_for and result.subject not in named:
            named.add(result.subject)
            yield f"neither the content of {result.subject} nor an SBOM of it is here: {_PULL}"


def _scans(one: _Again) -> list[Scan]:
    """The scans of the verdict about the subjects of an item."""
    subjects = {check.subject for check in one.judged.checks} if one.judged is not None else set[Digest | None]()
    verdict = one.of.verdict
    return [scan for scan in (verdict.scans if verdict is not None else ()) if scan.subject in subjects]


def _earlier(one: _Again, records: Records) -> list[ScanResult]:
    """The results behind the verdict about the subjects of an item."""
    found = (one.of.result(scan, records) for scan in _scans(one))
    return [result for result in found if result is not None]


def _rescanned(one: _Again, gate: Gate, records: Records, held: Sequence[Holder], now: datetime) -> Rescanned:
    names, earlier = rule_names(one.item), _earlier(one, records)
    known = {_key(result.subject, finding) for result in earlier for finding in result.findings}
    lets = _let_pass(one, now)
    new, blocks = list[Decision](), list[Decision]()
    errors = list(one.errors)
    for subject in one.found:
        for finding in (finding for result in subject.results for finding in result.findings):
            decision = gate.decide(one.item.kind, names, finding)
            if _key(subject.digest, finding) not in known:
                new.append(decision)
            if decision.effect is Effect.BLOCK and (subject.digest, FindingName.of(finding)) not in lets:
                blocks.append(decision)
        errors += _unanswered(one, subject, gate, now, lets)
    image = any(FindingKind.VULNERABILITY in result.looked_for for result in earlier) or one.item.kind == "image"
    if not one.found and not errors and image:
        errors.append(f"neither its content nor an SBOM of it is here: {_PULL}")
    by = CONTENT if one.there else SBOM if one.found else NOTHING
    return Rescanned(
        one.item.name,
        one.item.kind,
        one.of.lock.name,
        None if one.root is None else one.root.digest,
        by,
        _worst_first(new),
        _worst_first(blocks),
        tuple(dict.fromkeys(errors)),
        tuple(holder for holder in held if holder.has(one.item, one.of.lock)),
        tuple(_ended(one, now)),
    )


def _unanswered(one: _Again, subject: SubjectScans, gate: Gate, now: datetime, lets: _Lets) -> Iterator[str]:
    """Why there is no answer about a subject, as the judge says it: an old database gives none.

    Of an SBOM only vulnerabilities are asked, and whether it has packages at all was judged with the content.
    """
    if not one.there:
        seen = {kind: found & {FindingKind.VULNERABILITY} for kind, found in gate.required.items()}
        gate = replace(gate, required=seen)
    for answer in answers(gate, one.item.kind, rule_names(one.item), subject, one.scanners, now):
        nothing = answer.finding is NO_PACKAGES and one.there
        let = (subject.digest, answer.name or answer.check) in lets
        if not answer.good and (answer.finding is None or nothing) and not let:
            yield f"{answer.detail} [{answer.reason}]"


def _ended(one: _Again, now: datetime) -> Iterator[str]:
    """What waivers let pass that have ended."""
    verdict = one.of.verdict
    for waiver in verdict.waivers if verdict is not None else ():
        checks = [check for check in one.judged.checks if check.waiver == waiver.digest] if one.judged else []
        names = dict.fromkeys(check.finding.id if check.finding else check.check for check in checks)
        if names and waiver.expires <= now:
            yield f"{', '.join(names)} was waived until {utc_text(waiver.expires)}"


def _key(subject: Digest, finding: ScanFinding) -> tuple[Digest, FindingKind, FindingName]:
    return subject, finding.kind, FindingName.of(finding)


def _worst_first(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """Each finding once."""
    found = {(one.finding.kind, FindingName.of(one.finding)): one for one in decisions}
    order = list(Severity)
    return tuple(sorted(found.values(), key=lambda one: (order.index(one.severity), one.finding.id)))


_Lets = Set[tuple[Digest, FindingName | str]]
"""What may be there: a finding of a subject, or the name of a check of it that has no finding."""


def _let_pass(one: _Again, now: datetime) -> _Lets:
    """What the verdict let pass, by waivers that have not ended and by OpenVEX documents."""
    verdict: Verdict | None = one.of.verdict
    ends = {waiver.digest: waiver.expires for waiver in verdict.waivers} if verdict is not None else {}
    found = set[tuple[Digest, FindingName | str]]()
    for check in one.judged.checks if one.judged is not None else ():
        # A check that stands for many findings is no answer about the whole.
        if check.subject is None or (check.finding is None and (check.reason or "").startswith(BLOCKS)):
            continue
        waived = check.outcome == WAIVED and check.waiver in ends and now < ends[check.waiver]
        if waived or (check.outcome == YES and check.vex):
            found.add((check.subject, check.finding or check.check))
    return found
