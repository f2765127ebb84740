"""`audit`: what should be there against what is there, by bytes and not by presence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airgap.base.digest import Digest
from airgap.base.errors import UpstreamError
from airgap.base.progress import Progress
from airgap.content.finding import Finding, State
from airgap.content.forms import Change, Form, Graph
from airgap.content.lock import Lock
from airgap.destinations.base import Destination
from airgap.destinations.graph import GraphDestination
from airgap.destinations.make import Destinations
from airgap.kinds.table import kind_of
from airgap.statements.predicates import Audit, Receipt
from airgap.station import receipts


@dataclass(frozen=True, slots=True)
class Audited:
    """The result: what was looked at, with its destination, and the subject that it was compared with."""

    subject: Digest
    findings: tuple[Finding, ...]
    deep: bool

    @property
    def drift(self) -> list[Finding]:
        """Everything that is not as it should be; what could not be checked is among it."""
        return [finding for finding in self.findings if finding.state is not State.GOOD]

    def statement(self) -> Audit:
        """The body of the audit statement."""
        outcome = "fail" if self.drift else "pass"
        return Audit(outcome, self.deep, checked=len(self.findings), findings=tuple(self.drift))


def audit_receipt(
    subject: Digest, receipt: Receipt, destinations: Destinations, *, deep: bool, progress: Progress
) -> Audited:
    """Compares a receipt with the Sovereign. A destination of the receipt that is no longer configured is drift."""
    known = {(one.url, one.form): one for one in destinations.all()}
    progress.start("audit", 0, sum(len(part.items) for part in receipt.destinations))
    findings: list[Finding] = []
    for part in receipt.destinations:
        destination = known.get((part.url, part.form))
        for item in part.items:
            if item.outcome not in receipts.DONE:
                detail = f"the receipt says {item.outcome}: {item.reason or 'no reason'}"
                findings.append(_finding(part.url, item, State.MISSING, detail))
        changes = receipts.changes_of(part)
        if destination is None:
            detail = "the Sovereign resource has no such destination any more"
            findings += [_finding(part.url, change, State.UNKNOWN, detail) for change in changes]
            continue
        findings += [replace(found, destination=part.url) for found in destination.inspect(changes, deep=deep)]
    if not findings:
        nothing = Finding("", "", "", State.UNKNOWN, detail="the receipt lists nothing that could be looked at")
        findings.append(nothing)
    return Audited(subject, tuple(findings), deep)


def _finding(url: str, change: Change, state: State, detail: str) -> Finding:
    """Of a line of a receipt that nobody was asked about."""
    return Finding(change.item, change.at, change.name, state, change.digest, detail=detail, destination=url)


def audit_lock(lock: Lock, destinations: Destinations, *, deep: bool, progress: Progress) -> Audited:
    """Compares a lock with the Sovereign, where no receipt is at hand: every name that an import would write."""
    progress.start("audit", 0, len(lock.items))
    findings: list[Finding] = []
    by_destination: dict[int, tuple[GraphDestination | Destination, list[Change]]] = {}
    for item in lock.items:
        form = kind_of(item).expect(item)
        for destination in destinations.of(form):
            changes = by_destination.setdefault(id(destination), (destination, []))[1]
            try:
                changes += _expected(destination, form)
            except UpstreamError as error:
                # One that cannot be asked is a finding, and no reason to lose those of the others.
                url = destination.url
                lost = Finding(item.name, item.name, "", State.UNKNOWN, detail=str(error), destination=url)
                findings.append(lost)
    for destination, changes in by_destination.values():
        findings += [replace(found, destination=destination.url) for found in destination.inspect(changes, deep=deep)]
    return Audited(lock.digest, tuple(findings), deep)


def _expected(destination: GraphDestination | Destination, form: Form) -> Sequence[Change]:
    """The lines that an import of a form would have here."""
    if isinstance(destination, GraphDestination) and isinstance(form, Graph):
        return destination.expected(form)
    return destination.plan(form)  # type: ignore[arg-type]
