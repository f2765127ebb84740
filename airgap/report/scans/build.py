"""Makes the report's model of what was gathered. Judges nothing: effects are those of the verdict and of its gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from airgap.base.amounts import count
from airgap.base.digest import Digest
from airgap.base.text import one_line
from airgap.content.lock import Lock
from airgap.content.scan_finding import FindingKind
from airgap.jobs.report import ReportMaterial
from airgap.report.scanned import by_words, counted_words
from airgap.report.scans.findings import JoinedFindings, carried, report_scanners
from airgap.report.scans.items import report_items
from airgap.report.scans.model import (
    API_VERSION,
    KIND,
    About,
    Count,
    FindingEffect,
    GateLine,
    Lacking,
    ReportFinding,
    ReportGate,
    ReportItem,
    ReportLock,
    ReportOutcome,
    ReportProblem,
    ReportSigner,
    ReportVerdict,
    ReportVex,
    ReportWaiver,
    ScanReport,
)
from airgap.report.scans.unscanned import not_scanned
from airgap.statements.approval import Approval
from airgap.statements.gate import Gate
from airgap.statements.scan_answers import COVERAGE, SCAN
from airgap.statements.statement import Statement
from airgap.statements.verdict import WAIVED, YES, CheckResult, Verdict
from airgap.version import VERSION

MOST_FINDINGS = 50_000
"""Findings that a report lists: a browser takes some seconds for that many (docs/performance.md)."""


def build(gathered: ReportMaterial, made_at: datetime, most: int = MOST_FINDINGS) -> ScanReport:
    """The report. `most` bounds the findings that are listed; all of them are counted."""
    verdicts = gathered.verdicts
    signed = gathered.judged
    locks = {lock.digest: lock for lock in gathered.locks}
    found = JoinedFindings(gathered, verdicts, locks, str(gathered.digest or next(iter(verdicts), gathered.path)))
    every = _once(sorted(found.all(), key=_worst))
    items = report_items(gathered, verdicts, locks, every)
    problems = [ReportProblem(one.code, one_line(one.what)) for one in gathered.faults]
    unscanned = not_scanned(gathered, verdicts, every)
    outcome = _outcome(gathered, verdicts)
    return ScanReport(
        api_version=API_VERSION,
        kind=KIND,
        airgap=VERSION,
        made_at=made_at.replace(microsecond=0),
        outcome=outcome,
        summary=_summary(outcome, items, every, verdicts) + _left_out(gathered.locks),
        about=_about(gathered, verdicts),
        trust=one_line(gathered.trust),
        problems=tuple(problems),
        verdicts=tuple(_verdict(lock, one, locks, signed[lock].statement) for lock, one in verdicts.items()),
        locks=tuple(_lock(one, verdicts.get(one.digest)) for one in gathered.locks),
        signers=tuple(sorted(_signers(gathered), key=lambda one: (one.signed_at, one.statement))),
        scanners=report_scanners(gathered, verdicts),
        items=items,
        not_scanned=unscanned,
        waivers=tuple(_waivers(gathered, verdicts)),
        vex=tuple(
            dict.fromkeys(ReportVex(v.digest, one_line(by_words(v.by))) for one in verdicts.values() for v in one.vex)
        ),
        carried=carried(gathered, verdicts),
        counts=_counts(every),
        findings=tuple(every[:most]),
        more=max(0, len(every) - most),
    )


def _once(findings: Iterable[ReportFinding]) -> list[ReportFinding]:
    """Each finding of an item once, though several locks have the item: the first, which is the strictest answer."""
    found: dict[tuple[str, ...], ReportFinding] = {}
    for one in findings:
        key = (one.fingerprint, one.item_digest, one.subject, one.scanner, one.installed, one.purl, str(one.layer))
        found.setdefault(key, one)
    return list(found.values())


def _worst(one: ReportFinding) -> tuple[int, int, str, str, str, str]:
    return one.decision.rank, one.severity.rank, one.kind, one.id, one.item, one.package


def _outcome(gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict]) -> ReportOutcome:
    """A lock of a delivery that no verdict is about makes it `none`: not everything in it was judged."""
    if any(one.outcome != YES for one in verdicts.values()):
        return ReportOutcome.FAIL
    judged = verdicts and all(lock.digest in verdicts for lock in gathered.locks)
    return ReportOutcome.PASS if judged else ReportOutcome.NONE


def _summary(
    outcome: ReportOutcome,
    items: Sequence[ReportItem],
    findings: Sequence[ReportFinding],
    verdicts: Mapping[Digest, Verdict],
) -> str:
    if outcome is ReportOutcome.NONE:
        return "No verdict says what may enter." if not verdicts else "No verdict is about a part of it."
    bad = [one for one in items if one.outcome is not ReportOutcome.PASS]
    scanned = any(one.gate is not None for one in verdicts.values())
    looked = "" if scanned else " No scanner looked into it: its policy says nothing about findings."
    if outcome is ReportOutcome.PASS:
        return f"All {count(len(items), 'item')} may enter.{_lifted(findings)}{looked}"
    if not bad:
        return f"All items may enter, but the lock lacks something of its request that no waiver accepts.{looked}"
    stops = Counter(str(one.kind) for one in findings if one.decision is FindingEffect.BLOCKS)
    checks = [check for one in verdicts.values() for item in one.items.values() for check in item.checks]
    stops.update(one.check for one in checks if one.finding is None and one.check in (SCAN, COVERAGE) and _stops(one))
    why = counted_words(stops)
    return (
        f"{len(bad)} of {count(len(items), 'item')} must not enter.{f' What stops them: {why}.' if why else ''}{looked}"
    )


def _left_out(locks: Sequence[Lock]) -> str:
    """A lock that lacks something may look complete to who reads only its items."""
    lacking = sum(len(lock.findings) for lock in locks)
    return f" {count(lacking, 'item')} of the request left out." if lacking else ""


def _stops(check: CheckResult) -> bool:
    return check.outcome not in (YES, WAIVED)


def _lifted(findings: Sequence[ReportFinding]) -> str:
    waived = sum(one.decision is FindingEffect.WAIVED for one in findings)
    lifted = sum(one.decision is FindingEffect.NOT_AFFECTED for one in findings)
    said = [f"{count(waived, 'finding')} by waiver"] if waived else []
    said += [f"{count(lifted, 'finding')} by VEX"] if lifted else []
    return f" Let through: {', '.join(said)}." if said else ""


def _about(gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict]) -> About:
    if gathered.index is not None:
        journey = gathered.index.journey
        return About(
            what=gathered.what,
            path=one_line(str(gathered.path)),
            digest=gathered.digest,
            id=one_line(journey.id),
            stream=one_line(journey.stream),
            sequence=journey.sequence,
            sovereign=one_line(journey.sovereign),
            created=journey.created,
            expires=journey.expires,
        )
    digest = next(iter(verdicts), None) if gathered.what == "verdict" else None
    return About(gathered.what, one_line(str(gathered.path)), digest)


def _verdict(lock: Digest, one: Verdict, locks: Mapping[Digest, Lock], statement: Statement) -> ReportVerdict:
    return ReportVerdict(
        lock=lock,
        lock_name=one_line(locks[lock].name) if lock in locks else "",
        outcome=ReportOutcome.PASS if one.outcome == YES else ReportOutcome.FAIL,
        signed_at=statement.signed_at,
        policy_name=one_line(one.policy.name),
        policy_digest=one.policy.digest,
        gate=None if one.gate is None else _gate(one.gate),
        trust_roots={one_line(root.name): root.digest for root in one.trust_roots},
        items=len(one.items),
        refused=sum(bool(item.why_not()) for item in one.items.values()),
    )


def _gate(gate: Gate) -> ReportGate:
    return ReportGate(
        rules=tuple(
            GateLine(
                label=one_line(rule.label),
                match=tuple(map(one_line, rule.match)),
                kinds=tuple(map(one_line, rule.kinds)),
                findings=tuple(str(kind) for kind in FindingKind if kind in rule.findings),
                severity={str(severity): str(effect) for severity, effect in rule.severity.items()},
                ignore_unfixed=rule.ignore_unfixed,
            )
            for rule in gate.rules
        ),
        severity_from=tuple(map(one_line, gate.severity_from)),
        not_run=str(gate.not_run),
        database_max_age_seconds=int(gate.database_max_age.total_seconds()),
        database_max_ages={one_line(name): int(age.total_seconds()) for name, age in gate.database_max_ages.items()},
    )


def _lock(lock: Lock, verdict: Verdict | None) -> ReportLock:
    answers = {} if verdict is None else {one.subject: one.outcome for one in verdict.findings}
    lacking = tuple(
        Lacking(one_line(one.item), one.code, one_line(one.detail), one.digest, answers.get(one.digest, ""))
        for one in lock.findings
    )
    return ReportLock(one_line(lock.name), lock.digest, len(lock.items), lock.promoted_from, lacking)


def _signers(gathered: ReportMaterial) -> Iterator[ReportSigner]:
    for one in gathered.statements:
        said = one.statement
        yield ReportSigner(
            statement=said.kind,
            of=_subject_kind(said),
            subject=said.subject,
            digest=one.digest,
            role=one_line(said.role),
            key=one_line(one.key),
            signed_at=said.signed_at,
            verified=one.verified,
        )


def _subject_kind(statement: Statement) -> str:
    if isinstance(statement.body, Approval):
        return "" if statement.body.approves is None else str(statement.body.approves.kind)
    return {"pull": "lock", "verdict": "lock", "delivery": "delivery"}.get(statement.kind, "")


def _waivers(gathered: ReportMaterial, verdicts: Mapping[Digest, Verdict]) -> Iterator[ReportWaiver]:
    uses = Counter(
        check.waiver
        for one in verdicts.values()
        for check in [*(check for item in one.items.values() for check in item.checks), *one.findings]
        if check.waiver
    )
    for used in {used.digest: used for one in verdicts.values() for used in one.waivers}.values():
        file = gathered.waivers.get(used.digest)
        yield ReportWaiver(
            digest=used.digest,
            name="" if file is None else one_line(file.name),
            approver="" if file is None else one_line(file.approver),
            reason="" if file is None else one_line(file.reason),
            expires=used.expires,
            checks=() if file is None else tuple(map(one_line, file.checks)),
            uses=uses[used.digest],
        )


def _counts(findings: Sequence[ReportFinding]) -> tuple[Count, ...]:
    every = Counter((one.kind, one.severity) for one in findings)
    blocking = Counter((one.kind, one.severity) for one in findings if one.decision is FindingEffect.BLOCKS)
    lifted = Counter(
        (one.kind, one.severity)
        for one in findings
        if one.decision in (FindingEffect.WAIVED, FindingEffect.NOT_AFFECTED)
    )
    order = sorted(every, key=lambda one: (list(FindingKind).index(one[0]), one[1].rank))
    return tuple(Count(*one, every[one], blocking[one], lifted[one]) for one in order)
