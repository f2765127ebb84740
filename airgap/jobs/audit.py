"""`audit`: what should be there against what is there, by bytes and not by presence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.base.errors import UpstreamError
from airgap.base.progress import Progress
from airgap.content.forms import Change, Form, Graph
from airgap.content.lock import Lock
from airgap.destinations.base import Destination, Finding, State
from airgap.destinations.graph import GraphDestination
from airgap.destinations.make import Destinations
from airgap.kinds.table import kind_of
from airgap.statements import predicates
from airgap.statements.predicates import Receipt
from airgap.station import receipts


@dataclass(frozen=True, slots=True)
class Audited:
    """The result: what was looked at, by destination, and the subject that it was compared with."""

    subject: Digest
    findings: tuple[tuple[str, Finding], ...]
    deep: bool

    @property
    def drift(self) -> list[tuple[str, Finding]]:
        """Everything that is not as it should be; what could not be checked is among it."""
        return [(url, finding) for url, finding in self.findings if finding.state is not State.GOOD]

    def statement(self) -> predicates.Audit:
        """The body of the audit statement."""
        problems = {State.UNKNOWN: "unreadable"}
        return predicates.Audit(
            outcome="fail" if self.drift else "pass",
            deep=self.deep,
            checked=len(self.findings),
            findings=tuple(
                predicates.AuditFinding(
                    destination=url,
                    item=finding.item,
                    at=finding.at,
                    name=finding.name,
                    problem=problems.get(finding.state, str(finding.state)),
                    expected=finding.expected or None,
                    found=finding.got or None,
                )
                for url, finding in self.drift
            ),
        )


def audit_receipt(
    subject: Digest, receipt: Receipt, destinations: Destinations, *, deep: bool, progress: Progress
) -> Audited:
    """Compares a receipt with the Sovereign. A destination of the receipt that is no longer configured is drift."""
    known = {(one.url, one.form): one for one in destinations.all()}
    progress.start("audit", 0, sum(len(part.items) for part in receipt.destinations))
    findings: list[tuple[str, Finding]] = []
    for part in receipt.destinations:
        destination = known.get((part.url, part.form))
        for item in part.items:
            if item.outcome not in receipts.DONE:
                detail = f"the receipt says {item.outcome}: {item.reason or 'no reason'}"
                missing = Finding(item.item, item.at, item.name, State.MISSING, item.digest, detail=detail)
                findings.append((part.url, missing))
        changes = receipts.changes_of(part)
        if destination is None:
            detail = "the Sovereign resource has no such destination any more"
            findings += [
                (part.url, Finding(c.item, c.at, c.name, State.UNKNOWN, c.digest, detail=detail)) for c in changes
            ]
            continue
        findings += [(part.url, found) for found in destination.inspect(changes, deep=deep)]
    if not findings:
        nothing = Finding("", "", "", State.UNKNOWN, detail="the receipt lists nothing that could be looked at")
        findings.append(("", nothing))
    return Audited(subject, tuple(findings), deep)


def audit_lock(lock: Lock, destinations: Destinations, *, deep: bool, progress: Progress) -> Audited:
    """Compares a lock with the Sovereign, where no receipt is at hand: every name that an import would write."""
    progress.start("audit", 0, len(lock.items))
    findings: list[tuple[str, Finding]] = []
    by_destination: dict[int, tuple[GraphDestination | Destination, list[Change]]] = {}
    for item in lock.items:
        form = kind_of(item).expect(item)
        for destination in destinations.of(form):
            changes = by_destination.setdefault(id(destination), (destination, []))[1]
            try:
                changes += _expected(destination, form)
            except UpstreamError as error:
                # One that cannot be asked is a finding, and no reason to lose those of the others.
                lost = Finding(item.name, item.name, "", State.UNKNOWN, detail=str(error))
                findings.append((destination.url, lost))
    for destination, changes in by_destination.values():
        findings += [(destination.url, found) for found in destination.inspect(changes, deep=deep)]
    return Audited(lock.digest, tuple(findings), deep)


def _expected(destination: GraphDestination | Destination, form: Form) -> Sequence[Change]:
    """The lines that an import of a form would have here."""
    if isinstance(destination, GraphDestination) and isinstance(form, Graph):
        return destination.expected(form)
    return destination.plan(form)  # type: ignore[arg-type]
