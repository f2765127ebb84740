"""`rollback`: every name that a delivery moved goes back to what it held before, as a signed statement of its own.

Nothing is deleted: a name that was new with the delivery stays, and so does all content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.inputs import read_input
from airgap.base.results import ResultFile
from airgap.content.forms import Change, ChangeOutcome
from airgap.destinations.base import AnyDestination
from airgap.jobs.site import Site, check_same_sovereign, open_site
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.resources.load import load_sovereign, load_trust
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Placed, Receipt
from airgap.statements.rollback import Rollback
from airgap.station import receipts
from airgap.station.files import STATEMENTS, alone
from airgap.station.names import NamesFile
from airgap.station.rollbacks import Undo, undo
from airgap.station.signatory import Diary, Signatory

ACTION = "roll-back"
"""The log's action for the beginning of a rollback; the statement at its end has a line of its own."""
NEXT = (ChangeOutcome.REFUSED, ChangeOutcome.FAILED)


@dataclass(frozen=True, slots=True)
class RollbackOptions:
    """Which delivery is rolled back, and who signs what became of it."""

    receipt: Path
    """A receipt of the delivery. The others of the same delivery in the state folder count, too."""
    sovereign: Path
    trust: Path
    key: str | None = None
    """Signs the rollback: a path, or a `pkcs11:` URI."""
    earlier: tuple[Path, ...] = ()
    """Receipts of other deliveries that are not in the state folder: what a name held must have come by a delivery."""
    report: Path | None = None
    """A file for a copy of the signed rollback."""
    dry_run: bool = False
    keep_going: bool = False
    """Move the names that can go back, even if others cannot."""
    jobs: int = DEFAULT_JOBS


@dataclass(slots=True)
class RolledBack:
    """The plan, or what was done: each line has its destination."""

    subject: Digest
    receipt: Receipt
    changes: list[tuple[str, Change]] = field(default_factory=list)
    stopped: bool = False
    """True if nothing was moved, because some name cannot go back."""
    statement: bytes | None = None
    standing: Path | None = None
    """The statement of an earlier run, if this one changed nothing."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One destination: what has to be done there, and the plan of it."""

    undo: Undo
    destination: AnyDestination | None
    plan: Sequence[Change]

    @property
    def told(self) -> list[Change]:
        """The lines for reports and the statement."""
        return [*self.plan, *self.undo.stays]


def rollback(options: RollbackOptions, surroundings: Surroundings) -> RolledBack:
    """Moves back what a delivery moved.

    1. Read the resources and the receipts, whose signatures must verify; open the key. 2. Take the lock of the state
    folder. 3. Plan: by the receipts and the record of names, then by what the destinations hold. A dry run ends here,
    and so does a run in which a name cannot go back, unless `keep_going`. 4. Record in the log and in the record of
    names what is about to happen, so that no import undoes it. 5. Move the names, and read each back. 6. Sign.

    Raises `InputError`, `TrustError`, `StoreError`. What failed at a destination is in the result.
    """
    # 1.
    site = open_site(load_sovereign(options.sovereign), load_trust(options.trust), surroundings, jobs=options.jobs)
    check_same_sovereign(site.sovereign, options.sovereign, site.trust, options.trust)
    report = _report(options, site)
    # What a state folder from an older backup does not know would be moved back as if no delivery had it.
    site.ledger().compare({})
    ours, others = _receipts(options, site)
    body = receipts.receipt_of(ours[-1][1])
    result = RolledBack(ours[-1][1].statement.subject, body)
    if options.dry_run:
        result.changes = _told(_plan(result.subject, ours, others, site))
        return result
    if options.key is None:
        raise InputError("no-key", "a rollback is signed, but no key was given", "use --key KEY, or set AIRGAP_KEY")
    signatory = site.signatory(options.key)
    # 2.
    site.close_state()
    with alone(site.state):
        # 3.
        parts = _plan(result.subject, ours, others, site)
        result.changes = _told(parts)
        result.stopped = not options.keep_going and any(change.outcome in NEXT for _, change in result.changes)
        if result.stopped:
            return result
        moved = _move(result.subject, parts, site, signatory)
        result.changes = _told(moved)
        # 6.
        _sign(result, ours, moved, site, signatory)
    if report is not None:
        kept = result.standing
        report.write(
            result.statement or (b"" if kept is None else read_input(kept, MAX_EVIDENCE_BUNDLE, "no-statement"))
        )
    return result


def _report(options: RollbackOptions, site: Site) -> ResultFile | None:
    if options.report is None:
        return None
    report = ResultFile(options.report, "--report", "a rollback", own=site.state, rescue=site.rescuer(STATEMENTS))
    report.check()
    return report


def _receipts(options: RollbackOptions, site: Site) -> tuple[receipts.Kept, receipts.Kept]:
    """The receipts of the delivery, from the oldest to the newest, and those of other deliveries."""
    read = partial(receipts.read, trust=site.trust, now=site.surroundings.clock(), state=site.accepted)
    given = [(path, read(path)) for path in (options.receipt, *options.earlier)]
    subject = given[0][1].statement.subject
    payloads = {verified.statement.payload for _, verified in given}
    kept = receipts.believed(site.state, site.trust, site.surroundings.clock(), site.accepted)
    every = [*given, *(one for one in kept if one[1].statement.payload not in payloads)]
    every.sort(key=lambda one: one[1].statement.signed_at)
    ours = [one for one in every if one[1].statement.subject == subject]
    return ours, [one for one in every if one[1].statement.subject != subject]


def _plan(subject: Digest, ours: receipts.Kept, others: receipts.Kept, site: Site) -> list[_Part]:
    written = NamesFile(site.state, site.sovereign.name).load()
    kept = receipts.rollbacks(site.state, site.trust, site.surroundings.clock(), site.accepted)
    undone = {one.statement.subject for _, one in kept}
    wanted = undo(subject, [one for _, one in ours], [one for _, one in others], written, site.accepted(), undone)
    there = {(one.url, one.form): one for one in site.destinations(create=False).all()}
    site.surroundings.progress().start("rollback", 0, sum(len(one.lines) for one in wanted))
    parts = []
    for one in wanted:
        destination = there.get((one.url, one.form))
        asked = [line for line in one.lines if line.outcome is ChangeOutcome.MOVED]
        planned = [line for line in one.lines if line.outcome is not ChangeOutcome.MOVED]
        if destination is None:
            why = "the Sovereign resource no longer has this destination"
            planned += [line.refused(why) for line in asked]
        elif asked:
            try:
                planned += destination.plan_back(asked, one.known)
            except AirgapError as error:
                planned += [line.ended(ChangeOutcome.FAILED, error) for line in asked]
        parts.append(_Part(one, destination, planned))
    return parts


def _move(subject: Digest, parts: Sequence[_Part], site: Site, signatory: Signatory) -> list[_Part]:
    # 4. The record of names first: an import that follows a crash must not undo half of the rollback.
    Diary(signatory.log, signatory.actor, signatory.clock).note(ACTION, subject)
    told = [(part.undo.url, line) for part in parts for line in (*part.told, *part.undo.unmoved)]
    NamesFile(site.state, site.sovereign.name).roll_back(
        subject, [(url, line) for url, line in told if line.outcome not in NEXT]
    )
    # 5.
    moved = []
    for part in parts:
        plan = part.plan
        if part.destination is not None and any(line.outcome is ChangeOutcome.MOVED for line in plan):
            try:
                plan = part.destination.move_back(plan, part.undo.known)
            except AirgapError as error:
                due = [line for line in plan if line.outcome is ChangeOutcome.MOVED]
                rest = [line for line in plan if line.outcome is not ChangeOutcome.MOVED]
                plan = [*rest, *(line.ended(ChangeOutcome.FAILED, error) for line in due)]
        moved.append(replace(part, plan=plan))
    return moved


def _sign(result: RolledBack, ours: receipts.Kept, parts: Sequence[_Part], site: Site, signatory: Signatory) -> None:
    """Signs the rollback and keeps it, unless nothing changed and one that is kept says the same."""
    placed = tuple(Placed(part.undo.url, part.undo.form, tuple(part.told)) for part in parts)
    kept = receipts.rollbacks(site.state, site.trust, site.surroundings.clock(), site.accepted)
    same = [one for one in kept if one[1].statement.subject == result.subject]
    result.standing = receipts.standing(placed, same)
    if result.standing is None:
        based = tuple(Digest.of(read_input(path, MAX_EVIDENCE_BUNDLE, "no-receipt")) for path, _ in ours)
        about = result.receipt
        body = Rollback(about.delivery, about.stream, about.sequence, based, placed)
        result.statement = signatory.sign(result.subject, body)
        site.records.save_statement(Rollback.kind, result.subject, result.statement)


def _told(parts: Sequence[_Part]) -> list[tuple[str, Change]]:
    return [(part.undo.url, line) for part in parts for line in part.told]
