"""`import`: delivery → Sovereign. Trust first, every blob hashed as it is pushed, names last, a signed receipt."""

from __future__ import annotations

from collections.abc import Sequence

from airgap.acceptance.open import Opened
from airgap.base.digest import Digest
from airgap.base.errors import (
    AbsentError,
    IntegrityError,
)
from airgap.base.progress import Progress
from airgap.content.forms import Change
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.destinations.line import AnyLine
from airgap.destinations.make import Destinations
from airgap.jobs.as_locked import carried, check_leaves, forms_of
from airgap.jobs.importing.countersign import Countersigner
from airgap.jobs.importing.lines import Imported, plan_lines
from airgap.jobs.importing.needs import needs_of
from airgap.jobs.importing.omitted import Omissions, lost
from airgap.kinds.table import kind_of
from airgap.statements.accepted_state import Standing
from airgap.statements.predicates import ALL_OR_NOTHING, KEEP_GOING, CarriedLock, Receipt
from airgap.station import receipts
from airgap.station.ledger import Ledger
from airgap.station.names import NamesFile
from airgap.station.signatory import Signatory


def plan_import(
    opened: Opened,
    destinations: Destinations,
    jobs: int,
    publish: str = ALL_OR_NOTHING,
    rolled_back: frozenset[str] = frozenset(),
    omissions: Omissions | None = None,
) -> Imported:
    """Plans an import. Writes nothing.

    Raises `InputError` for a form without a place or with a collision, and
    `NotAsLockedError` for content that its lock does not say, before any request. An unreachable destination is an
    error of its lines. More lines than a receipt can have are an `InputError`, before anything is sent. `publish` is
    one of `airgap.statements.predicates.PUBLISH`; names that it withholds are in the plan, also those at the URLs
    where the delivery was `rolled_back`. What a delta omits (`omissions`) must be inside: raises `OmittedError`,
    unless it keeps going.
    """
    forms = forms_of(opened, jobs)
    # A delivery that was let in before is compared where something of it is not in place (`run_import`).
    new = opened.admitted.standing is Standing.NEW
    unread = check_leaves(opened, carried(opened), jobs) if new else {}
    work = destinations.work(forms)
    for share in work.shares:
        share.check()
    lines = work.lines
    plan_lines(lines, jobs)
    if omissions is not None:
        omissions.check(lines, jobs, keep_going=publish == KEEP_GOING)
        unread |= check_leaves(opened, _rest(opened, lines), jobs) if new else {}
    receipts.check_room(change for line in lines for change in line.told)
    needs = needs_of(opened.roots, opened.volumes, forms)
    planned = Imported(opened, work, opened.volumes.missing(), unread, publish=publish, needs=needs)
    planned.rolled_back = rolled_back
    planned.publication.withhold()
    return planned


def _rest(opened: Opened, lines: Sequence[AnyLine]) -> Sequence[tuple[Item, Descriptor]]:
    """The items whose leaves a delta omits, if something of them is not in place: they are read inside."""
    due = {line.form.item for line in lines if line.error is None and not line.in_place}
    known = {item.name for item, _ in carried(opened)}
    return [(item, root) for item, root in opened.roots if item.name in due - known]


def run_import(
    planned: Imported,
    ledger: Ledger,
    names: NamesFile,
    station: Signatory | None,
    *,
    jobs: int,
    progress: Progress,
    countersigner: Countersigner | None = None,
) -> Imported:
    """Carries out the plan, as far as the attached volumes allow.

    1. Record the acceptance before anything becomes visible. 2. Transfer all content; each blob is read once and hashed
    on the way. 3. Stop here while content is on a volume that is not attached, and keep the parts of this disc that the
    next one will need. 4. Publish the names: at each destination all of them, or none where something failed
    (`airgap.jobs.importing.publish`). 5. Sign admitted content, if that is configured. 6. Sign the receipt.
    A destination that fails is left out, and the others continue. The same command completes it later.
    """
    opened = planned.opened
    # 1. Record the acceptance durably.
    delivery = opened.media.digest
    if ledger.rebuilds:
        names.forget(ledger.known())
    if opened.admitted.standing is Standing.NEW:
        names.begin(delivery)
    ledger.record(opened.admitted.record)
    planned.unkept = ledger.unkept
    opened.keep_plan()
    # 2. Transfer the content.
    live = [line for line in planned.lines if line.error is None]
    shares = planned.work.shares
    progress.start("import", sum(share.announce() for share in shares), len(live))
    for share in shares:
        share.transfer()
    _compare(planned, [line for line in live if line.error is None and not line.in_place], jobs)
    for line in live:
        _explain(line, opened)
    # 3. Publish nothing while content is missing, or was not compared with its lock.
    waiting = [line.error for line in live if isinstance(line.error, AbsentError)]
    absent = [digest for error in waiting for digest in error.digests]
    planned.missing_volumes = opened.volumes.lacking(absent)
    planned.waits = bool(waiting)
    if waiting:
        _keep(planned, absent)
        return planned

    # 4. Note which names will be written, and publish them. If all are in place and nothing was transferred, the plan
    # has just read them: that is enough.
    settled = all(line.in_place for line in planned.lines)
    publication = planned.publication
    publication.withhold()
    undone = planned.errors or any(line.withheld for line in planned.lines)
    names.plan(delivery, ledger.file.load(), planned.changes, complete=not undone)

    def publish(line: AnyLine) -> None:
        if not (settled and line.destination.plan_suffices):
            line.publish()
        progress.done(line.form.item, ", ".join(sorted({str(change.outcome) for change in line.changes})))

    publication.publish(publish, jobs)
    names.settle(delivery, planned.changes)
    # 5. Add the Sovereign's signatures to those of upstream.
    if countersigner is not None:
        countersigner.run(planned.work.at_registries, opened.admitted.claims, jobs, progress)
    # 6. Sign the receipt, unless those that are kept say the same.
    if station is not None:
        body, kept = _receipt(planned), _kept(planned, ledger, station)
        planned.standing = receipts.standing(body.destinations, kept)
        planned.receipt = station.sign(opened.media.digest, body) if planned.standing is None else None
    return planned


def _kept(done: Imported, ledger: Ledger, station: Signatory) -> receipts.Kept:
    """The receipts of earlier runs that are trusted, from the oldest to the newest."""
    state, journey = ledger.records.folder, done.opened.index.journey
    every = receipts.of_delivery(
        state, journey.stream, journey.sequence, ledger.trust, station.clock(), ledger.file.load
    )
    return [one for one in every if one[1].statement.subject == done.opened.media.digest]


def _compare(planned: Imported, lines: Sequence[AnyLine], jobs: int) -> None:
    """Gives lines the error with which their leaves could not be compared with the lock; compares what was not yet.

    `lines` leaves out what is in place and in a receipt of this Sovereign: the import that wrote it compared it. Raises
    `NotAsLockedError`.
    """
    opened, unread = planned.opened, planned.unread
    if opened.admitted.standing is not Standing.NEW:
        items = {line.form.item for line in lines}
        unread = check_leaves(opened, [named for named in opened.roots if named[0].name in items], jobs)
    for line in lines:
        line.error = unread.get(line.form.item)


def _keep(planned: Imported, absent: Sequence[str]) -> None:
    """Spools content that is needed after this disc is removed: parts of split blobs, and what is read or written last.

    The next run compares everything with the locks again, so it reads the leaves for that again.
    """
    opened = planned.opened
    if opened.spool is not None:
        late = [blob for line in planned.lines for blob in line.form.late(line.changes)]
        leaves = (kind_of(item).opened(item, root, opened.volumes) for item, root in opened.roots)
        read = [leaf.digest for some in leaves for leaf in some or ()]
        opened.spool.keep(opened.volumes, [*map(Digest, absent), *late, *read])


def _explain(line: AnyLine, opened: Opened) -> None:
    if isinstance(line.error, AbsentError):
        line.error = lost(line.error, opened) or line.error
    if isinstance(line.error, IntegrityError) and not line.error.hint:
        line.error = line.error.with_hint(
            "the medium, or the way from it to this machine, is damaged: `airgap verify` names the volume; copy it "
            "again from the original, and run the same command. If it finds no damage, have the delivery cut again"
        )


def _receipt(done: Imported) -> Receipt:
    journey = done.opened.index.journey
    grouped: dict[tuple[str, str], list[Change]] = {}
    for line in done.lines:
        grouped.setdefault((line.destination.url, line.destination.form), []).extend(line.told)
    parts = tuple(receipts.placed(url, form, changes) for (url, form), changes in grouped.items())
    lacking = {one: None for lock in done.opened.locks for one in lock.findings}
    brought = {item.name for item, _ in done.opened.roots}
    locks = tuple(
        CarriedLock(lock.name, lock.digest, tuple(item.name for item in lock.items if item.name in brought))
        for lock in done.opened.locks
    )
    only = done.opened.index.contents.only
    return Receipt(journey.id, journey.stream, journey.sequence, parts, tuple(lacking), done.publish, locks, only)
