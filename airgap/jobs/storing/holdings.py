"""`read_holdings`: the locks, names, deliveries and servers of a store, with the blobs that each of them holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airgap.base.digest import Digest, is_digest
from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError, InputError, StoreError
from airgap.base.inputs import read_input, read_plain
from airgap.content.graph import ANNOTATION_PLATFORMS, Descriptor, by_platform
from airgap.content.item import Item
from airgap.content.lock import MAX_LOCK, Lock
from airgap.delivery.bundle_journal import JOURNAL_NAME
from airgap.delivery.index import MAX_INDEX, Index
from airgap.delivery.sealed import is_sealed
from airgap.delivery.spool import Spool
from airgap.jobs.cut_records import cut_index
from airgap.jobs.storing.graphs import NOTHING, Below, Graphs
from airgap.station.files import CUT, RECEIVED, STATEMENTS, SUFFIX, Records, is_lock_file, pin_name, store_records
from airgap.station.uses import Cutting, Use, Uses
from airgap.store.in_use import RECORDS
from airgap.store.layout import Layout

SPEAKS = ("pull", "verdict")
"""The kinds of statements that are about a lock whose content is, or was, in the store."""


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An item of a lock, with what its graphs name."""

    item: Item
    below: Below
    packed: bool = False
    """False for an item without a root in its lock that was not packed yet: what it needs is not known."""


@dataclass(slots=True)
class HeldLock:
    """A lock that was used in this store."""

    lock: Lock
    path: Path
    use: Use
    items: tuple[HeldItem, ...]
    below: Below
    """Of all items."""

    @property
    def digest(self) -> Digest:
        """Of the lock."""
        return self.use.lock

    @property
    def group(self) -> Digest:
        """A promoted lock belongs to its full lock."""
        return self.lock.promoted_from or self.use.lock

    @property
    def order(self) -> tuple[datetime, str, str]:
        """Sorts locks by their last use."""
        return self.use.at, self.lock.name, self.use.lock


@dataclass(frozen=True, slots=True)
class CutDelivery:
    """A delivery that was cut here."""

    digest: Digest
    index: Index


@dataclass(slots=True)
class Holdings:
    """What is in a store. Made while the store is held."""

    layout: Layout
    records: Records
    graphs: Graphs
    names: Sequence[tuple[str, Descriptor]]
    locks: list[HeldLock]
    """Those whose content was not removed, oldest use first."""
    removed: list[HeldLock]
    """Those whose content was removed."""
    unknown: list[Digest]
    """Locks that statements, uses or unfinished deliveries are about, and whose file is not in the records."""
    cutting: list[Cutting]
    """Deliveries that are being cut, or were left unfinished."""
    arriving: dict[Digest, Index]
    """Deliveries that are being imported, and wait for a disc."""
    deliveries: list[CutDelivery]
    """Those that were cut here, as far as the records have them, oldest first."""
    closed: Sequence[Digest] = ()
    """Encrypted deliveries that are being imported, and wait for a disc: what they need is not known."""

    @property
    def sizes(self) -> Mapping[Digest, int]:
        """The blobs that are there, with their bytes."""
        return self.graphs.sizes

    def of(self, lock: Lock, now: datetime) -> HeldLock:
        """A lock that is not in the records."""
        use = Use(lock.digest, lock.name, now, "")
        return held_lock(lock, self.records.folder, use, self.graphs, dict(self.names), {})

    def named(self, name: str, root: Descriptor) -> Below:
        """What a name of index.json holds."""
        platforms = root.annotations.get(ANNOTATION_PLATFORMS, "")
        return self.graphs.below(root, by_platform(tuple(platforms.split(","))) if platforms and name else None)

    def size(self, digests: frozenset[Digest] | set[Digest]) -> int:
        """Bytes of those that are there."""
        return sum(self.sizes.get(digest, 0) for digest in digests)

    def lacks(self, held: HeldLock) -> list[tuple[Item, Digest | None]]:
        """Each item that is not wholly there, with the first blob that it lacks; `None` where that is not known.

        What stayed in quarantine elsewhere was never brought: of a full lock, what its promoted lock left out may lack.
        """
        left = {one.item for other in self.locks for one in other.lock.quarantined if other.group == held.digest}
        found = list[tuple[Item, Digest | None]]()
        for one in held.items:
            if one.item.name in left:
                continue
            if not one.packed:
                found.append((one.item, None))
                continue
            missing = next((digest for digest in sorted(one.below.digests) if digest not in self.sizes), None)
            missing = missing or min(one.below.unread, default=None)
            if missing is not None:
                found.append((one.item, missing))
        return found


def open_store(store: Path) -> tuple[Layout, Records]:
    """A store that airgap made. Raises `InputError` (`no-store`) for another layout: airgap keeps no records there."""
    layout = Layout(store)
    if not (store / RECORDS).is_dir():
        raise InputError(
            "no-store",
            f"{store}: an OCI layout, and not a store: it has no {RECORDS}/ with records",
            "name a folder that `airgap pull` or `airgap import --store` made",
        )
    return layout, store_records(store)


def read_holdings(layout: Layout, records: Records) -> Holdings:
    """Reads everything. Raises `StoreError`, `IntegrityError`, `InputError` (`bad-lock`) for damaged records."""
    # Uses before content: what a pull beside this brings meanwhile must not look as if it were lost.
    kept = [(path, _read_lock(path)) for path in _files(records.folder / "locks", "*.json")]
    uses = Uses(records.folder).all()
    graphs = Graphs(layout, {blob.digest: blob.size for blob in layout.digests()})
    names = _names(layout)
    packed = dict(names)
    memory = dict[Digest, Below]()
    locks = [_held(path, lock, uses, graphs, packed, memory) for path, lock in kept]
    locks.sort(key=lambda one: one.order)
    known = {one.digest for one in locks}
    dropped = {digest for digest, use in uses.items() if use.removed is not None}
    cutting = [one for one in Uses(records.folder).cutting() if _is_open(one)]
    spoken = _spoken_of(records) | uses.keys() | {lock for one in cutting for lock in one.locks}
    return Holdings(
        layout,
        records,
        graphs,
        names,
        [one for one in locks if one.use.removed is None],
        [one for one in locks if one.use.removed is not None],
        sorted(spoken - known - dropped),
        cutting,
        _arriving(records.folder),
        _cut(records),
        _closed(records.folder),
    )


def _names(layout: Layout) -> Sequence[tuple[str, Descriptor]]:
    """The names of a store. Raises `IntegrityError`, `StoreError`."""
    try:
        return layout.roots()
    except AirgapError as error:
        raise error.with_hint(
            "restore index.json from a backup; or remove it, and pull every lock again with this store, which names "
            "what is there, and fetches only what is missing"
        ) from error


def _read_lock(path: Path) -> Lock:
    """A lock of the records. Raises `StoreError` (`bad-record`) if it is damaged, `InputError` if it is too new."""
    data = read_input(path, MAX_LOCK, "bad-lock")
    try:
        return Lock.decode(data, str(path))
    except InputError as error:
        if is_lock_file(path, data):
            raise  # as it was written: by a newer version
        what = f"{path}: damaged: {error.what}"
        raise StoreError(
            "bad-record", what, "restore it from a backup, or pull the same lock again, which writes it anew"
        ) from error


def _held(
    path: Path,
    lock: Lock,
    uses: Mapping[Digest, Use],
    graphs: Graphs,
    packed: Mapping[str, Descriptor],
    memory: dict[Digest, Below],
) -> HeldLock:
    use = uses.get(lock.digest)
    if use is None:  # a store of an earlier version: the file was written when the lock was judged, or came in
        with disk_errors(path):
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        use = Use(lock.digest, lock.name, at, "", whole=True)
    return held_lock(lock, path, use, graphs, packed, memory)


def held_lock(
    lock: Lock,
    path: Path,
    use: Use,
    graphs: Graphs,
    packed: Mapping[str, Descriptor],
    memory: dict[Digest, Below],
) -> HeldLock:
    """A lock with what its items hold. `packed` are the names of the store; `memory` has items of other locks."""
    items = tuple(_item(item, graphs, packed, memory) for item in lock.items)
    below = Below(
        frozenset().union(*(one.below.digests for one in items)),
        frozenset().union(*(one.below.unread for one in items)),
    )
    return HeldLock(lock, path, use, items, below)


def _item(item: Item, graphs: Graphs, packed: Mapping[str, Descriptor], memory: dict[Digest, Below]) -> HeldItem:
    pin = item.pin
    if pin in memory:
        return HeldItem(item, memory[pin], packed=item.root is not None or pin_name(item) in packed)
    root = item.root or packed.get(pin_name(item))
    below = NOTHING
    for top, keep in item.graphs(root):
        below |= graphs.below(top, keep or (lambda _parent, _child: True))
    memory[pin] = below
    return HeldItem(item, below, packed=root is not None)


def _spoken_of(records: Records) -> set[Digest]:
    """The locks that pull statements and verdicts are about."""
    found = set[Digest]()
    for folder in (STATEMENTS, RECEIVED):
        for path in _files(records.folder / folder, f"*{SUFFIX}"):
            kind, _, rest = path.name.partition("-")
            subject = f"sha256:{rest.partition('.')[0]}"
            if kind in SPEAKS and is_digest(subject):
                found.add(Digest(subject))
    return found


def _arriving(folder: Path) -> dict[Digest, Index]:
    found = {}
    for spool in Spool.all(folder):
        data = read_plain(spool.folder / "AIRGAP.json", MAX_INDEX) or b""
        if Digest.of(data) == spool.digest and not is_sealed(data):
            found[spool.digest] = Index.decode(data)
    return found


def _closed(folder: Path) -> list[Digest]:
    return [
        spool.digest
        for spool in Spool.all(folder)
        if is_sealed(read_plain(spool.folder / "AIRGAP.json", MAX_INDEX) or b"")
    ]


def _cut(records: Records) -> list[CutDelivery]:
    found = []
    for path in _files(records.folder / CUT, "*.json"):
        data = read_plain(path, MAX_INDEX)
        if data is None:
            raise StoreError("bad-record", f"{path}: more than {MAX_INDEX} bytes", "restore it from a backup")
        digest = Digest.of(data)
        try:
            index = cut_index(digest, records) if is_sealed(data) else Index.decode(data)
        except AirgapError as error:
            again = f"restore {records.folder} from a backup; or remove {path}: then no delta from here rests on it"
            raise error.with_hint(again) from error
        if index is not None:
            found.append(CutDelivery(digest, index))
    return sorted(found, key=lambda one: (one.index.journey.created, one.index.journey.sequence))


def _is_open(one: Cutting) -> bool:
    """False if the folder is there, and no unfinished delivery in it. One that cannot be looked at is open."""
    try:
        return not one.folder.is_dir() or (one.folder / JOURNAL_NAME).exists()
    except OSError:
        return True


def _files(folder: Path, pattern: str) -> list[Path]:
    with disk_errors(folder):
        return sorted(folder.glob(pattern))


def files_below(path: Path) -> Iterator[Path]:
    """The files at or below a path. No link is followed."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for place, _, names in os.walk(path):
        yield from (Path(place) / name for name in names)
