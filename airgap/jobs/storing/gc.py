"""`collect`: deletes from a store what no kept lock, name or running command needs. Safe against `kill -9` anywhere.

While it works, no other command uses the store (`store.in_use`). Names leave index.json first, in one step; then blobs
are deleted, leaves before the manifests that name them. What a killed run leaves is whole, and belongs to nobody: the
next run deletes it, and a pull takes what it still finds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import InputError, StoreError
from airgap.base.inputs import open_plain
from airgap.content.graph import Descriptor
from airgap.content.lock import Lock
from airgap.jobs.named_files import read_lock
from airgap.jobs.storing.choose import Rules, Stay, choose
from airgap.jobs.storing.holdings import HeldLock, Holdings, files_below, open_store, read_holdings
from airgap.jobs.storing.retention import old_records
from airgap.jobs.surroundings import Surroundings
from airgap.kinds.table import store_names
from airgap.station.files import Records, pin_name
from airgap.station.signatory import Diary
from airgap.station.uses import Use, Uses
from airgap.store.in_use import alone_in, is_free, needed, using

ACTION = "gc"
"""What the log calls it; the subjects are the locks whose content was removed."""


@dataclass(frozen=True, slots=True)
class GcOptions:
    """Which store, which locks stay, and which records."""

    store: Path
    rules: Rules = field(default_factory=Rules)
    records_older: timedelta | None = None
    """Delete scan results, SBOMs, reports and VEX documents of removed locks that are older than this."""
    work: bool = False
    """Delete the working folders of kinds: what they have is in the store, and the next pull makes them again."""
    wait: bool = False
    """Wait for running commands, instead of refusing."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Freed:
    """Blobs or files, and their bytes."""

    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Collected:
    """What was deleted, or in a dry run would be."""

    decisions: list[Stay]
    by_lock: dict[Digest, Freed]
    """What only removed locks held, each blob counted for the lock that was used last."""
    unfinished: dict[Digest, int]
    """The kept locks that are not whole, with how many items each lacks."""
    unreferenced: Freed
    """Blobs that no lock, name or command knows."""
    held_back: Freed
    """Those that stay: a lock or a name that is not whole may need them, or they are attached to a name that no lock
    explains."""
    names: list[str]
    """Names that were removed."""
    moved: list[str]
    """Names that hold again what the newest kept lock says."""
    unexplained: list[str]
    """Names that no lock explains: what they hold stays."""
    leftovers: Freed
    records: Freed
    work: Freed

    @property
    def freed(self) -> Freed:
        """All of it."""
        parts = [*self.by_lock.values(), self.unreferenced, self.leftovers, self.records, self.work]
        return Freed(sum(one.files for one in parts), sum(one.bytes for one in parts))


@dataclass(slots=True)
class _Plan:
    """What is to be deleted."""

    told: Collected
    removed: list[HeldLock]
    blobs: list[Digest]
    moves: dict[str, Descriptor]
    files: list[Path]
    work: list[Path]
    given_up: list[Digest]
    """Locks whose file is not known, and that were dropped."""


def collect(options: GcOptions, surroundings: Surroundings) -> Collected:
    """Deletes what nothing needs.

    1. Hold the store alone; a dry run holds it together with others. 2. Read the locks, names and graphs, and decide.
    3. Write it down: the log, and which locks are removed. 4. Names, then blobs, then records.

    Raises `InputError` (`no-store`, `no-such-lock`, `which-lock`, `unknown-lock`), `StoreError` (`locked`, `no-locks`),
    `IntegrityError` for records that cannot be read: nothing is deleted then.
    """
    layout, records = open_store(options.store)
    # 1.
    hold: AbstractContextManager[None] = alone_in(options.store, wait=options.wait, note=surroundings.note)
    if options.dry_run:
        hold = using(options.store, surroundings.note)
    with hold:
        # 2.
        now, progress = surroundings.clock(), surroundings.progress()
        progress.start("read the store", 0)
        holdings = read_holdings(layout, records)
        added, rules = _add_named(options.rules, holdings, records, now)
        servers = needed(options.store, forget=not options.dry_run)
        plan = _plan(replace(options, rules=rules), holdings, servers, now)
        if options.dry_run:
            return plan.told
        _check_quiet(plan.files)
        # 3.
        uses = Uses(records.folder)
        uses.note(added, ACTION, now, whole=False)
        gone = [*(held.use for held in plan.removed), *(Use(one, one.short, now, ACTION) for one in plan.given_up)]
        if gone or plan.told.records.files:
            Diary(records.log(), "store", surroundings.clock).note(ACTION, *(use.lock for use in gone))
        for use in gone:
            uses.remove(use, now)
        # 4.
        if plan.moves:
            layout.publish(plan.moves)
        if plan.told.names:
            layout.unname(set(plan.told.names))
        progress.start("delete", sum(holdings.sizes[digest] for digest in plan.blobs))
        for digest in layout.remove(plan.blobs):
            progress.advance(holdings.sizes[digest])
        for path in plan.files:
            with disk_errors(path):
                path.unlink(missing_ok=True)
        for path in plan.work:
            with disk_errors(path):
                path.unlink() if path.is_symlink() or not path.is_dir() else shutil.rmtree(path)
    return plan.told


def _add_named(rules: Rules, holdings: Holdings, records: Records, now: datetime) -> tuple[list[Lock], Rules]:
    """Adds the locks whose files were named, and that the records do not have or call removed.

    Where every `--keep` names a lock that was not known, as `unknown-lock` asks for, no other lock goes for it.
    Raises `InputError` (`no-such-lock`) for one of which nothing is here.
    """
    added, unknown = list[Lock](), set(holdings.unknown)
    for lock in (read_lock(Path(text)) for text in rules.keep if Path(text).is_file()):
        if lock.digest in {held.digest for held in holdings.locks}:
            continue
        held = holdings.of(lock, now)
        if lock.digest not in holdings.unknown and not any(one in holdings.sizes for one in held.below.digests):
            raise InputError(
                "no-such-lock",
                f"lock {lock.name!r}, {lock.digest}: nothing of it is in the store {records.folder.parent}",
                "pull it first, or leave it out",
            )
        holdings.locks.append(held)
        holdings.removed = [one for one in holdings.removed if one.digest != lock.digest]
        holdings.unknown = [digest for digest in holdings.unknown if digest != lock.digest]
        added.append(lock)
    told = {lock.digest for lock in added} & unknown
    return added, replace(rules, only_tells=0 < len(rules.keep) == len(told))


def _plan(options: GcOptions, holdings: Holdings, servers: set[Digest], now: datetime) -> _Plan:
    if holdings.closed:
        raise InputError(
            "delivery-waits",
            f"the encrypted delivery {holdings.closed[0]} waits for a disc, and needs what is not known here",
            "finish its import first (airgap import --store)",
        )
    decisions = choose(options.rules, holdings)
    kept = [one.held for one in decisions if one.keeps]
    removed = [one.held for one in decisions if not one.keeps]
    names, moves, unexplained = _names(kept, [*removed, *holdings.removed], holdings)
    # What is needed.
    needs = set(servers)
    for held in kept:
        needs |= held.below.digests
    unread = set[Digest]()
    for name, root in holdings.names:
        if name not in names and name not in moves:
            below = holdings.named(name, root)
            needs |= below.digests
            unread |= below.unread | below.left_out if name in unexplained else frozenset()
    for index in holdings.arriving.values():
        needs |= index.contents.blobs.keys() | index.contents.omitted.keys()
    # What is not.
    lacking = {held.digest: len(lacks) for held in kept if (lacks := holdings.lacks(held))}
    free = {digest for digest in holdings.sizes if digest not in needs}
    by_lock, blobs = dict[Digest, Freed](), list[Digest]()
    for held in sorted([*removed, *holdings.removed], key=lambda one: one.order, reverse=True):
        mine = held.below.digests & free
        free -= mine
        blobs += mine
        if mine or held in removed:
            by_lock[held.digest] = _freed(mine, holdings)
    waits = bool(lacking or unread)
    strays = holdings.graphs.strays(free) if unexplained and not waits else set[Digest]()
    back = free if waits else strays
    blobs += free - back
    left = [path for path in holdings.layout.leftovers() if not (waits and path.name.endswith(".partial"))]
    old = list[Path]()
    if options.records_older is not None:
        before = now.astimezone(UTC) - options.records_older
        old = old_records(holdings.records, {held.digest for held in kept}, before)
    work = sorted(holdings.records.work().iterdir()) if options.work else []
    told = Collected(
        decisions=decisions,
        by_lock=by_lock,
        unfinished=lacking,
        unreferenced=_freed(free - back, holdings),
        held_back=_freed(back, holdings),
        names=sorted(names),
        moved=sorted(moves),
        unexplained=sorted(unexplained - {""}),
        leftovers=_sizes(left),
        records=_sizes(old),
        work=_sizes(path for folder in work for path in files_below(folder)),
    )
    # `choose` passes unknown locks only if each of them was dropped.
    return _Plan(told, removed, _leaves_first(blobs, holdings), moves, [*left, *old], work, holdings.unknown)


def _names(
    kept: list[HeldLock], removed: list[HeldLock], holdings: Holdings
) -> tuple[set[str], dict[str, Descriptor], set[str]]:
    """The names that go, those that move back to what the newest kept lock says, and those that no lock explains."""
    stays, goes = dict[str, dict[Digest, Descriptor]](), dict[str, set[Digest]]()
    for name, place in _claims(kept, holdings):
        claims = stays.setdefault(name, {})
        claims.pop(place.digest, None)
        claims[place.digest] = place  # the newest lock's comes last
    for name, place in _claims(removed, holdings):
        goes.setdefault(name, set()).add(place.digest)
    names, moves, unexplained = set[str](), dict[str, Descriptor](), set[str]()
    for name, root in holdings.names:
        if root.digest in stays.get(name, ()):
            continue
        if root.digest not in goes.get(name, ()):
            unexplained.add(name)
        elif name not in stays:
            names.add(name)
        else:
            place = next(reversed(stays[name].values()))
            if not holdings.graphs.below(place).unread:
                moves[name] = place
    # Other tools may leave several entries of one name: none of them goes with another.
    return names - unexplained, {name: place for name, place in moves.items() if name not in unexplained}, unexplained


def _claims(locks: Iterable[HeldLock], holdings: Holdings) -> Iterator[tuple[str, Descriptor]]:
    """The names that locks give, each with its content; none of what was not packed here."""
    packed = dict(holdings.names)
    for item in (item for held in locks for item in held.lock.items):
        root = item.root or packed.get(pin_name(item))
        if root is not None:
            yield from store_names(item, root).items()


def _leaves_first(blobs: Iterable[Digest], holdings: Holdings) -> list[Digest]:
    return sorted(blobs, key=lambda digest: (holdings.graphs.rank(digest), digest))


def _freed(digests: Iterable[Digest], holdings: Holdings) -> Freed:
    sizes = [holdings.sizes[digest] for digest in digests]
    return Freed(len(sizes), sum(sizes))


def _sizes(paths: Iterable[Path]) -> Freed:
    made = Freed()
    for path in paths:
        with disk_errors(path):
            made = replace(made, files=made.files + 1, bytes=made.bytes + path.lstat().st_size)
    return made


def _check_quiet(paths: Iterable[Path]) -> None:
    """Refuses while a version of airgap that does not hold the store fills it. Raises `StoreError` (`locked`)."""
    for path in paths:
        if not path.name.endswith(".partial"):
            continue
        try:
            fd, _ = open_plain(path)
        except OSError:
            continue
        with open(fd, "rb") as file, disk_errors(path):
            if not is_free(file.fileno()):
                raise StoreError(
                    "locked",
                    f"{path}: an earlier version of airgap is writing here",
                    "wait until it ends, and update it: it does not say that it uses the store",
                )
