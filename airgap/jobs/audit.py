"""`audit`: compares the expected content with the actual content, by bytes and not by presence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, UpstreamError
from airgap.base.progress import Progress
from airgap.base.results import ResultFile
from airgap.base.times import utc_text
from airgap.content.finding import Finding, State, because
from airgap.content.forms import Change, ChangeOutcome
from airgap.content.lock import Lock
from airgap.destinations.base import AnyDestination, Key
from airgap.destinations.make import Destinations
from airgap.jobs.inside import Survey
from airgap.jobs.named_files import read_lock
from airgap.jobs.signing import signatory_of
from airgap.jobs.site import ROLE, Site, check_same_sovereign, open_site
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.table import kind_of
from airgap.resources.load import load_sovereign, load_trust
from airgap.resources.sovereign import Declaration
from airgap.resources.trust import Trust
from airgap.statements.audited import Audit, Surveyed
from airgap.statements.predicates import Placed, Receipt
from airgap.station import receipts
from airgap.station.brought import KINDS, Past, Place, spot
from airgap.station.files import STATEMENTS
from airgap.station.rollbacks import after


@dataclass(frozen=True, slots=True)
class Audited:
    """The result: the findings, each with its destination, and the subject that they were compared with."""

    subject: Digest
    findings: tuple[Finding, ...]
    deep: bool
    listed: str
    """Whether everything inside was listed: `all`, `partly` or `not`."""
    receipts: str
    """`verified`, or `unverified` without a Trust resource."""
    declared: Sequence[tuple[Declaration, int]] = ()
    """The declarations of the Sovereign resource, each with the number of things inside that it explains."""
    others: int = 0
    """Things that deliveries brought and that belong here, and that were not compared."""
    strict: bool = False
    """True if what left the locks counts as drift."""

    @property
    def drift(self) -> list[Finding]:
        """Every finding that is not as expected, including names that could not be checked."""
        return [one for one in self.findings if one.state.is_drift or (self.strict and one.state is State.REMOVED)]

    def among(self, state: State) -> tuple[Finding, ...]:
        """The findings with a state."""
        return tuple(finding for finding in self.findings if finding.state is state)

    @property
    def checked(self) -> int:
        """The number of names about which something was found; what left the locks is no such name."""
        return len(self.findings) - len(self.among(State.REMOVED))

    def statement(self) -> Audit:
        """The body of the audit statement."""
        outcome = "fail" if self.drift else "pass"
        inside = Surveyed(
            self.listed,
            self.receipts,
            sum(number for _, number in self.declared),
            self.others,
            self.among(State.REMOVED),
            self.among(State.SUPERSEDED),
        )
        wrong = tuple(finding for finding in self.findings if finding.state.is_drift)
        return Audit(outcome, self.deep, self.checked, wrong, inside)


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What a Sovereign is compared with, and who signs the result. Either `receipt` or `lock` is given."""

    sovereign: Path
    """The Sovereign resource."""
    receipt: Path | None = None
    """The receipt that an import signed; requires `trust`."""
    lock: Path | None = None
    """A lock, instead of a receipt."""
    trust: Path | None = None
    """The Trust resource, to check who signed the receipt."""
    deep: bool = False
    """Hash every blob in every repository."""
    only_listed: bool = False
    """Compare what the receipt or the lock lists, and do not list what else is inside."""
    strict: bool = False
    """What left the locks and is still inside counts as drift."""
    report: Path | None = None
    """A file for the signed audit statement; requires a key."""
    key: str | None = None
    """Signs the audit statement: a path, or a `pkcs11:` URI."""
    jobs: int = DEFAULT_JOBS


def _untold(_result: Audited) -> None:
    """Does nothing: for a caller that only needs the returned result."""


def audit(options: AuditOptions, surroundings: Surroundings, told: Callable[[Audited], None] = _untold) -> Audited:
    """Compares a receipt or a lock with the content of the Sovereign. Drift is a result, not an error.

    1. Read the resources, check that the report can be written, open the key: what could stop the report stops it now,
    and not after hours of reading. 2. Read the lock, or the receipt, whose signature must verify. 3. Ask the
    destinations; write nothing. 4. Give the result to `told`, so that it is known even if the report cannot be written.
    5. Sign the report, keep it and write it.

    Raises `InputError`, `TrustError`, `IntegrityError`, `StoreError`, `UpstreamError`.
    """
    # 1.
    sovereign = load_sovereign(options.sovereign)
    if options.receipt is not None and options.trust is None:
        raise InputError("no-trust", "--receipt requires --trust, to check who signed the receipt", "use --trust FILE")
    if options.report is not None and options.key is None:
        raise InputError("no-key", "--report requires a key, to sign the report", "use --key KEY, or set AIRGAP_KEY")
    trust = load_trust(options.trust) if options.trust is not None else Trust(sovereign=sovereign.name, keys=())
    if options.trust is not None:
        check_same_sovereign(sovereign, options.sovereign, trust, options.trust)
    site = open_site(sovereign, trust, surroundings, jobs=options.jobs)
    report = signatory = None
    if options.report is not None:
        report = ResultFile(
            options.report, "--report", "an audit statement", own=site.state, rescue=site.rescuer(STATEMENTS)
        )
        report.check()
        believed = trust if options.trust is not None else None
        signatory = signatory_of(options.key, ROLE, site.records, surroundings, believed)
        site.close_state()
    # 2. and 3.
    result = _compare(options, site)
    # 4.
    told(result)
    # 5.
    if signatory is not None and report is not None:
        signed = signatory.sign(result.subject, result.statement())
        site.records.save_statement("audit", result.subject, signed)
        report.write(signed)
    return result


Expected = dict[Place, list[Change]]
"""The lines to compare, by the URL and the form of their destination."""


def _compare(options: AuditOptions, site: Site) -> Audited:
    """1. Read what all receipts say. 2. Compare the lines of the subject, by bytes. 3. List everything inside."""
    if options.lock is None and options.receipt is None:
        raise InputError("usage", "neither a receipt nor a lock was given", "use --receipt RECEIPT or --lock LOCK")
    destinations = site.destinations(create=False)
    expected: Expected = {}
    progress = site.surroundings.progress()
    # 1.
    past = site.past(destinations, verified=options.trust is not None)
    if options.lock is not None:
        lock = read_lock(options.lock)
        past.close()
        subject, findings = _of_lock(lock, destinations, expected, past, progress)
    else:
        now = site.surroundings.clock()
        read = receipts.read(options.receipt or Path(), site.trust, now, site.accepted, KINDS)
        if isinstance(read.statement.body, Receipt):
            past.add(read.statement.subject, read.statement.signed_at, read.statement.body)
        past.close()
        # What was rolled back holds what it held before: the later statement counts.
        rolled = receipts.rollbacks(site.state, site.trust, now, site.accepted)
        told = after(read, [one for _, one in rolled])
        subject, findings = read.statement.subject, _of_receipt(told, destinations, expected, progress)
    # 2.
    for one in destinations.all():
        place = (one.url, one.form)
        lines = {spot(one.form, change): change for change in expected.get(place, ())}
        inspected = one.inspect(list(lines.values()), deep=options.deep) if lines else []
        findings += [_told(finding, one, lines, past, believed=options.trust is not None) for finding in inspected]
    # 3.
    compared = {place: {spot(place[1], change) for change in changes} for place, changes in expected.items()}
    survey = Survey(past, site.sovereign, compared, site.shelves())
    for one in () if options.only_listed else destinations.all():
        here = [finding for finding in findings if finding.destination == one.url]
        if here and all(finding.state is State.UNKNOWN for finding in here):
            survey.partly = True  # it does not answer, which was said for each of its lines
            continue
        findings += survey.findings(one)
    return Audited(
        subject,
        tuple(findings),
        options.deep,
        "not" if options.only_listed else "partly" if survey.partly else "all",
        "unverified" if options.trust is None else "verified",
        [(one, survey.declared[one]) for one in site.sovereign.declared],
        survey.others,
        options.strict,
    )


def _told(
    finding: Finding, destination: AnyDestination, lines: Mapping[Key, Change], past: Past, *, believed: bool
) -> Finding:
    """A finding with its destination, with what the receipt said, and with the later delivery that explains it.

    What a later delivery moved is no drift, if the signatures of the receipts that say so were verified (`believed`).
    Otherwise that only explains the drift.
    """
    finding = replace(finding, destination=destination.url)
    if finding.state not in (State.CHANGED, State.MISSING):
        return finding
    place = (destination.url, destination.form)
    named = Change(finding.item, finding.at, finding.name, finding.expected)
    key = spot(destination.form, named)
    line = lines.get(key)
    if line is not None and line.outcome not in (*receipts.PUT, ChangeOutcome.WRITE):
        said = f"the receipt says {line.outcome}: {line.reason or 'no reason'}"
        finding = replace(finding, detail="; ".join(filter(None, (finding.detail, said))))
    digest, plan, at = past.pruned.get((place, key), ("", None, None))
    known = finding.state is State.MISSING and digest == finding.expected
    if known and plan is not None and at is not None and past.is_gone(place, key, digest, at):
        why = "deleted by an approved prune plan"
        state = State.SUPERSEDED if believed else finding.state
        return replace(finding, state=state, detail=why, delivery=str(plan), since=utc_text(at))
    current = past.current(place, key) if finding.got and finding.name else None
    if current is None or current.digest != finding.got or current.digest == finding.expected or not current.brought:
        return finding
    later = past.deliveries[current.delivery]
    return replace(
        finding,
        state=State.SUPERSEDED if believed else finding.state,
        detail=f"it holds what {later} brought, which counts there now",
        delivery=str(later.digest),
        since=utc_text(later.at),
    )


def _of_receipt(
    told: Sequence[Placed], destinations: Destinations, expected: Expected, progress: Progress
) -> list[Finding]:
    """What is known without asking. A destination that is no longer configured is drift."""
    known = {(one.url, one.form) for one in destinations.all()}
    progress.start("audit", 0, sum(len(part.items) for part in told))
    findings: list[Finding] = []
    for part in told:
        if (part.url, part.form) not in known:
            detail = "the Sovereign resource no longer has this destination"
            findings += [_finding(part.url, change, State.UNKNOWN, detail) for change in part.items]
            continue
        for item in part.items:
            if item.at == item.item and item.outcome is ChangeOutcome.FAILED:
                # It failed before anything was planned: the receipt knows no place.
                detail = f"the receipt says {item.outcome}: {item.reason or 'no reason'}"
                findings.append(_finding(part.url, item, State.MISSING, detail))
            else:
                expected.setdefault((part.url, part.form), []).append(item)
    if not findings and not any(expected.values()):
        findings.append(Finding("", "", "", State.UNKNOWN, detail="the receipt lists nothing that can be checked"))
    return findings


def _finding(url: str, change: Change, state: State, detail: str) -> Finding:
    """The finding for a line of a receipt that no destination was asked about."""
    return Finding(change.item, change.at, change.name, state, change.digest, change.previous, detail, url)


def _of_lock(
    lock: Lock, destinations: Destinations, expected: Expected, past: Past, progress: Progress
) -> tuple[Digest, list[Finding]]:
    """Every name that an import of the lock would write, and this Sovereign's signatures of it, as receipts list them.

    A destination that cannot say which names these are is a finding.
    """
    progress.start("audit", 0, len(lock.items))
    findings: list[Finding] = []
    for line in destinations.work(kind_of(item).expect(item) for item in lock.items).lines:
        there = (line.destination.url, line.destination.form)
        try:
            expected.setdefault(there, []).extend(line.expected())
        except UpstreamError as error:
            # A destination that cannot be asked is a finding; the findings of the others are kept.
            item = line.form.item
            findings.append(Finding(item, item, "", State.UNKNOWN, detail=because(error), destination=there[0]))
    items = {item.name for item in lock.items}
    for place, changes in expected.items():
        changes.extend(past.signatures(place, items))
    return lock.digest, findings
