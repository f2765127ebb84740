"""`import --store`: a first-leg delivery → the store of the station that it is addressed to. Trust first, names last.

The station accepts like a Sovereign: the same acceptance, with a state of its own in the store's records. What the
delivery brings with its locks, pull statements and approvals, is kept there, so that `scan` and `bundle` go by it as if
the locks had been pulled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from airgap.acceptance.discs import forget_superseded
from airgap.acceptance.open import Opened, accept
from airgap.base.amounts import count, human
from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import AbsentError, AirgapError, InputError, OmittedError, StoreError
from airgap.base.places import check_folder
from airgap.base.progress import Progress
from airgap.base.text import Lines
from airgap.content.copy import Copied, Copy, copy_graph
from airgap.content.forms import Change, ChangeOutcome
from airgap.content.graph import Descriptor, Target
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.delivery.seal import Identities
from airgap.delivery.spool import Spool
from airgap.destinations.graph.layout import LayoutPlace
from airgap.destinations.graph.place import Deep
from airgap.jobs.as_locked import check_whole, forms_of
from airgap.jobs.earlier import or_from
from airgap.jobs.importing.omitted import SHOWN, lost
from airgap.jobs.lock import raise_all
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.table import store_names
from airgap.resources.load import load_trust
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import Standing, StateFile
from airgap.station.files import Records, alone, store_records
from airgap.station.ledger import Ledger
from airgap.station.names import NamesFile, Written
from airgap.station.signatory import Diary
from airgap.station.uses import Uses
from airgap.store.in_use import using
from airgap.store.layout import Layout

STORE = "store"
"""What `names.json` calls the store itself."""
CARRIED = ("pull", "approval")
"""The kinds of statements about locks that are kept and go on from here.

A verdict does not. It was checked on the way in, so one that says fail refuses the delivery; but what leaves here
passed the policy of here, and the gate of `bundle` takes the newest verdict for just that.
"""


@dataclass(frozen=True, slots=True)
class StoreImportOptions:
    """Which delivery goes into which store, whose signatures are accepted, and how."""

    delivery: tuple[Path, ...]
    """The folders with its files."""
    store: Path
    trust: Path
    """The Trust resource: whose signatures are accepted. Its `sovereign` is this station's name."""
    dry_run: bool = False
    """Plan only, write nothing."""
    restore: bool = False
    """Import an earlier delivery again, or after a loss any delivery in any order; moves no name back."""
    deep: bool = False
    """Hash the existing content, and send damaged content again."""
    baselines: tuple[Path, ...] = ()
    """For a delta: earlier deliveries and other stores that have what it omits, for what is not in the store."""
    jobs: int = DEFAULT_JOBS


@dataclass(slots=True)
class Taken:
    """What an import into a store did, or in a dry run would do."""

    opened: Opened
    items: list[Item]
    written: int = 0
    """Bytes that are new in the store."""
    locks: list[Path] = field(default_factory=list)
    missing_volumes: list[str] = field(default_factory=list)
    waits: bool = False
    """True while content is on a disc that was not attached yet: then no name was published."""
    kept: list[Change] = field(default_factory=list)
    """The names of the store that hold something else and stay, with the reason."""


def import_into_store(options: StoreImportOptions, surroundings: Surroundings) -> Taken:
    """Takes a delivery that is addressed to this station, by the name in its Trust resource, into its store.

    1. Read the Trust resource, and look whether the store has a place. 2. Accept: trust before bytes; nothing was
    written so far, and a dry run only looks from here. 3. Take the lock of the records. 4. Bring content, keep
    statements and locks, publish names (`take`). 5. Forget what was kept of discs that are no longer needed.

    It signs nothing: only a Sovereign gives receipts. Raises `InputError`, `TrustError`, `IntegrityError`,
    `StoreError`. The same command goes on.
    """
    # 1.
    trust = load_trust(options.trust)
    check_folder(options.store, "--store")
    ledger = _ledger(options, trust, surroundings)
    # 2.
    opened = accept(
        options.delivery,
        trust,
        ledger.known(),
        sovereign=trust.sovereign,
        now=surroundings.clock(),
        restore=options.restore,
        streams=(),  # a station declares none: its first stream, and those that a security-officer approved
        state_folder=ledger.records.folder,
        judges=True,
        identities=surroundings.identities,
    )
    opened.volumes.throttle = surroundings.throttle
    for note in (*opened.admitted.notes, *_left_here(opened)):
        surroundings.note(f"note: {note}")
    names = NamesFile(ledger.records.folder, trust.sovereign)
    if options.dry_run:
        return look(opened, options, names.load(), ledger, surroundings.identities)
    state, delivery = ledger.records.folder, opened.media.digest
    layout = Layout(options.store, create=True, batch=True)
    # 3.
    with disk_errors(state):
        state.mkdir(parents=True, exist_ok=True)
    with alone(state), using(options.store, surroundings.note):
        # 4.
        progress = surroundings.progress()
        read_in_store(opened, layout, options.baselines, surroundings.identities)
        taken = take(opened, layout, ledger, names, jobs=options.jobs, deep=options.deep, progress=progress)
        # 5.
        if not taken.waits:
            Spool.of(state, delivery).remove()
        forget_superseded(state, ledger.file.load(), delivery)
    return taken


def _ledger(options: StoreImportOptions, trust: Trust, surroundings: Surroundings) -> Ledger:
    records = store_records(options.store)
    return Ledger(
        file=StateFile(records.folder, trust.sovereign),
        shelves=(),
        trust=trust,
        records=records,
        diary=Diary(records.log(), "station", surroundings.clock),
        note=surroundings.note,
        restore=options.restore,
    )


def _left_here(opened: Opened) -> list[str]:
    """Notes about statements that were accepted, but are not kept here."""
    names = {lock.digest: lock.name for lock in opened.locks}
    return [
        f"lock {names[one.statement.subject]!r}: the {one.statement.kind} of {one.key.name!r} was verified, but is not "
        "kept: this station judges by its own policy (`airgap scan`)"
        for one in opened.admitted.statements
        if one.statement.kind == "verdict" and one.statement.subject in names
    ]


def read_in_store(opened: Opened, layout: Layout | None, earlier: Sequence[Path], identities: Identities) -> None:
    """Lets a delta read what it omits in the store, or in `earlier` deliveries and stores; it must be there.

    Raises `OmittedError`, `InputError` (`usage`, `no-delivery`).
    """
    contents = opened.index.contents
    if earlier and not contents.omitted:
        raise InputError("usage", "--baseline is for a delta: this delivery omits nothing", "leave --baseline out")
    opened.volumes.inside = or_from(earlier, layout, identities)
    omitted = {digest: Descriptor("", digest, one.size) for digest, one in contents.omitted.items()}
    missing = [digest for digest, blob in omitted.items() if not opened.volumes.has(blob)]
    if missing:
        first = [f"{contents.omitted[one].item}: {one} ({human(omitted[one].size)})" for one in missing[:SHOWN]]
        more = [f"and {len(missing) - SHOWN} more"] if len(missing) > SHOWN else []
        many, size = count(len(missing), "blob"), human(sum(omitted[one].size for one in missing))
        what = f"this delta omits {many} ({size}) that the store does not have"
        raise OmittedError(
            "omitted-missing",
            Lines.of([what, *first, *more], "\n  "),
            "pass what has them with --baseline DIR: an earlier delivery, or a store; or have a full delivery cut",
            side="destination",
        )


def look(
    opened: Opened, options: StoreImportOptions, written: Written, ledger: Ledger, identities: Identities
) -> Taken:
    """What `take` would do. Writes nothing. Raises `IntegrityError`, `InputError`, `NotFoundError`."""
    layout = Layout(options.store) if (options.store / "oci-layout").exists() else None
    read_in_store(opened, layout, options.baselines, identities)
    forms_of(opened, DEFAULT_JOBS)
    contents = opened.index.contents
    blobs = [Descriptor("", digest, contents.size(digest)) for digest in contents.blobs]
    new = [blob.size for blob in blobs if layout is None or not layout.has(blob)]
    items = [item for item, _ in opened.roots]
    plan = [] if layout is None else _planned(opened, layout, written, ledger)
    kept = [change for change in plan if change.outcome is ChangeOutcome.REFUSED]
    return Taken(opened, items, sum(new), missing_volumes=opened.volumes.missing(), kept=kept)


def take(
    opened: Opened, layout: Layout, ledger: Ledger, names: NamesFile, *, jobs: int, deep: bool, progress: Progress
) -> Taken:
    """Imports everything into the store, as far as its volumes are attached.

    1. Write the acceptance down; 2. copy all graphs, each blob once, hashed as it goes; 3. stop here while something is
    on a volume that is not there, and keep what the next disc will need of this one; 4. check what digests do not fix;
    5. keep statements and locks; 6. publish the names in one sweep.
    Raises `IntegrityError` (`NotAsLockedError` for content that does not pass 4; then nothing has a name),
    `StoreError`. The same command goes on.
    """
    roots = opened.roots
    taken = Taken(opened, [item for item, _ in roots], missing_volumes=opened.volumes.missing())
    forms_of(opened, jobs)
    # 1. Accepted, durably.
    delivery = opened.media.digest
    if ledger.rebuilds:
        names.forget(ledger.known())
    if opened.admitted.standing is Standing.NEW:
        names.begin(delivery)
    ledger.record(opened.admitted.record)
    opened.keep_plan()
    Uses(ledger.records.folder).note(opened.locks, "import", ledger.diary.clock(), whole=False)
    # 2. Content.
    target: Target = Deep(LayoutPlace(layout, "")) if deep else layout
    progress.start("import", 0, len(roots))
    results = copy_graph(_copies(roots, opened, target), jobs=jobs, progress=progress)
    layout.settle()
    taken.written = sum(result.written for result in results)
    # 3. No name is published while content is missing.
    waiting = _waiting(results, opened)
    absent = [Digest(digest) for error in waiting for digest in error.digests]
    taken.missing_volumes = opened.volumes.lacking(absent)
    taken.waits = bool(waiting)
    if waiting:
        if opened.spool is not None:
            opened.spool.keep(opened.volumes, absent)
        return taken
    # 4. Check what digests do not fix.
    check_whole(roots, layout, jobs)
    # 5. Keep the statements and locks that go on with the content. Those of the last delivery of all come first.
    accepted = ledger.file.load()
    # A promoted lock is judged here with its full lock, of which the pull statements speak.
    for lock in (*opened.locks, *opened.admitted.full):
        _receive(lock, opened, ledger.records, newest=accepted.deliveries[-1].digest == delivery)
        taken.locks.append(ledger.records.save_lock(lock))
    del taken.locks[len(opened.locks) :]
    # 6. Publish the names that may be written.
    plan = _planned(opened, layout, names.load(), ledger)
    taken.kept = [change for change in plan if change.outcome is ChangeOutcome.REFUSED]
    names.plan(delivery, accepted, ((STORE, change) for change in plan), complete=True)
    refused = {change.name for change in taken.kept}
    layout.publish({name: place for name, (_, place) in _names(roots).items() if name not in refused})
    done = [replace(change, outcome=ChangeOutcome.WRITTEN) for change in plan if change.name not in refused]
    _check_names(done, layout)
    names.settle(delivery, ((STORE, change) for change in done))
    Uses(ledger.records.folder).note(opened.locks, "import", ledger.diary.clock(), whole=True)
    for item in taken.items:
        progress.done(item.name, "pass")
    return taken


def _waiting(results: Sequence[Copied], opened: Opened) -> list[AbsentError]:
    """The graphs that wait for another disc. Raises the errors of those that failed."""
    raise_all([_explain(one) for one in results if one.error and not isinstance(one.error, AbsentError)])
    waiting = [one.error for one in results if isinstance(one.error, AbsentError)]
    raise_all([gone for error in waiting if (gone := lost(error, opened)) is not None])
    return waiting


def _names(roots: Sequence[tuple[Item, Descriptor]]) -> dict[str, tuple[Item, Descriptor]]:
    return {name: (item, place) for item, root in roots for name, place in store_names(item, root).items()}


def _check_names(done: Sequence[Change], layout: Layout) -> None:
    """Reads names back. Raises `StoreError` (`read-back`)."""
    for change in done:
        held = layout.find(change.name)
        if held is None or str(held.digest) != change.digest:
            what = f"{change.name}: got {held.digest if held else 'nothing'} after writing it, expected {change.digest}"
            raise StoreError("read-back", what, "find out which program writes this store, then import again")


def _planned(opened: Opened, layout: Layout, written: Written, ledger: Ledger) -> list[Change]:
    """What becomes of each name of the store."""
    precedence = written.precedence(STORE, opened.media.digest, ledger.order(opened.admitted.record))
    plan = []
    for name, (item, place) in _names(opened.roots).items():
        held = layout.find(name)
        change = Change(item.name, "", name, str(place.digest), previous="" if held is None else str(held.digest))
        if held is not None and held.digest == place.digest:
            plan.append(replace(change, outcome=ChangeOutcome.PRESENT))
            continue
        there = held is not None
        why = precedence.keeps(("", name), change.digest, there=there, repair=False, restore=ledger.restore)
        outcome = ChangeOutcome.MOVED if there else ChangeOutcome.WRITE
        plan.append(replace(change, outcome=ChangeOutcome.REFUSED if why else outcome, reason=why))
    return plan


def _copies(roots: Sequence[tuple[Item, Descriptor]], opened: Opened, target: Target) -> list[Copy]:
    copies = []
    for item, root in roots:
        graphs = item.graphs(root)
        copies += [Copy(item.name, opened.volumes, target, top, keep, partial=True) for top, keep in graphs]
    return copies


def _explain(result: Copied) -> AirgapError:
    error = result.error
    assert error is not None  # noqa: S101  (asked by the caller)
    hint = error.hint or (
        "the medium, or the way from it to this machine, is damaged: `airgap verify` names the volume; copy it again "
        "from the original, and run the same command. If it finds no damage, have the delivery cut again"
    )
    return error.with_where(repr(result.copy.item)).with_hint(hint)


def _receive(lock: Lock, opened: Opened, records: Records, *, newest: bool) -> None:
    about = [one for one in opened.admitted.statements if one.statement.subject == lock.digest]
    about.sort(key=lambda one: one.statement.signed_at, reverse=True)
    for kind in CARRIED:
        bundles = [one.raw for one in about if one.statement.kind == kind]
        if bundles:
            records.receive(kind, lock.digest, bundles, replace=newest)
