"""`audit`: compares the expected content with the actual content, by bytes and not by presence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, UpstreamError
from airgap.base.progress import Progress
from airgap.base.results import ResultFile
from airgap.content.finding import Finding, State, because
from airgap.content.forms import Change
from airgap.content.lock import Lock
from airgap.destinations.make import Destinations
from airgap.jobs.inside import Beyond, own_records
from airgap.jobs.named_files import read_lock
from airgap.jobs.signing import signatory_of
from airgap.jobs.site import ROLE, Site, check_same_sovereign, open_site
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.table import kind_of
from airgap.resources.load import load_sovereign, load_trust
from airgap.resources.trust import Trust
from airgap.statements.predicates import Audit, Placed, Receipt
from airgap.statements.rollback import Rollback
from airgap.station import brought, receipts
from airgap.station.files import STATEMENTS, keeps
from airgap.station.rollbacks import after

KINDS = (Receipt.kind, Rollback.kind)
"""The kinds of statements that an audit compares with the Sovereign."""


@dataclass(frozen=True, slots=True)
class Audited:
    """The result: the findings, each with its destination, and the subject that they were compared with."""

    subject: Digest
    findings: tuple[Finding, ...]
    deep: bool

    @property
    def drift(self) -> list[Finding]:
        """Every finding that is not as expected, including names that could not be checked."""
        return [finding for finding in self.findings if finding.state is not State.GOOD]

    def statement(self) -> Audit:
        """The body of the audit statement."""
        outcome = "fail" if self.drift else "pass"
        return Audit(outcome, self.deep, checked=len(self.findings), findings=tuple(self.drift))


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
        kept = partial(keeps, site.state / STATEMENTS)
        report = ResultFile(options.report, "--report", "an audit statement", own=site.state, kept=kept)
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


Expected = dict[tuple[str, str], list[Change]]
"""The lines to compare, by the URL and the form of their destination."""


def _compare(options: AuditOptions, site: Site) -> Audited:
    """1. Compare the lines of the subject, by bytes. 2. Look for what no receipt lists, in everything that is there."""
    if options.lock is None and options.receipt is None:
        raise InputError("usage", "neither a receipt nor a lock was given", "use --receipt RECEIPT or --lock LOCK")
    destinations = site.destinations(create=False)
    expected: Expected = {}
    progress = site.surroundings.progress()
    if options.lock is not None:
        subject, findings = _of_lock(read_lock(options.lock), destinations, expected, progress)
    else:
        now = site.surroundings.clock()
        read = receipts.read(options.receipt or Path(), site.trust, now, site.accepted, KINDS)
        # What was rolled back holds what it held before: the later statement counts.
        rolled = receipts.rollbacks(site.state, site.trust, now, site.accepted)
        told = after(read, [one for _, one in rolled])
        subject = read.statement.subject
        findings = _of_receipt(told, destinations, expected, progress)
    # 1.
    listed = brought.listed(site.state, site.trust, site.surroundings.clock(), cache(site.accepted))
    for one in destinations.all():
        changes = expected.get((one.url, one.form), [])
        brought.add(listed, one.url, one.form, changes)
        found = one.inspect(changes, deep=options.deep) if changes else []
        findings += [replace(finding, destination=one.url) for finding in found]
    # 2.
    beyond = Beyond(listed, own_records(site.sovereign))
    for one in destinations.all():
        here = [finding for finding in findings if finding.destination == one.url]
        if here and all(finding.state is State.UNKNOWN for finding in here):
            continue  # it does not answer, which was said for each of its lines
        findings += [replace(finding, destination=one.url) for finding in beyond.findings(one)]
    return Audited(subject, tuple(findings), options.deep)


def _of_receipt(
    told: Sequence[Placed], destinations: Destinations, expected: Expected, progress: Progress
) -> list[Finding]:
    """What is known without asking. A destination that is no longer configured is drift."""
    known = {(one.url, one.form) for one in destinations.all()}
    progress.start("audit", 0, sum(len(part.items) for part in told))
    findings: list[Finding] = []
    for part in told:
        for item in part.items:
            if item.outcome not in receipts.PUT:
                detail = f"the receipt says {item.outcome}: {item.reason or 'no reason'}"
                findings.append(_finding(part.url, item, State.MISSING, detail))
        changes = receipts.changes_of(part)
        if (part.url, part.form) in known:
            expected.setdefault((part.url, part.form), []).extend(changes)
            continue
        detail = "the Sovereign resource no longer has this destination"
        findings += [_finding(part.url, change, State.UNKNOWN, detail) for change in changes]
    if not findings and not any(expected.values()):
        findings.append(Finding("", "", "", State.UNKNOWN, detail="the receipt lists nothing that can be checked"))
    return findings


def _finding(url: str, change: Change, state: State, detail: str) -> Finding:
    """The finding for a line of a receipt that no destination was asked about."""
    return Finding(change.item, change.at, change.name, state, change.digest, detail=detail, destination=url)


def _of_lock(
    lock: Lock, destinations: Destinations, expected: Expected, progress: Progress
) -> tuple[Digest, list[Finding]]:
    """Every name that an import of the lock would write, and the destinations that cannot say which these are."""
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
    return lock.digest, findings
