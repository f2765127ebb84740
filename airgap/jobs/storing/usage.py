"""`store ls` and `store du`: what is in a store, and what each lock and delivery holds alone and shared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import StoreError
from airgap.jobs.storing.choose import named_locks
from airgap.jobs.storing.holdings import HeldLock, Holdings, files_below, open_store, read_holdings
from airgap.jobs.surroundings import Surroundings
from airgap.station.uses import Cutting
from airgap.store.in_use import needed, using


@dataclass(frozen=True, slots=True)
class Holding:
    """Bytes of what one thing holds: all of it, and what nothing else of the same sort holds."""

    bytes: int
    alone: int

    @property
    def shared(self) -> int:
        """What others hold, too."""
        return self.bytes - self.alone


@dataclass(frozen=True, slots=True)
class UsedLock:
    """A lock whose content is in the store."""

    held: HeldLock
    share: Holding
    lacks: int
    """Items that are not wholly there."""


@dataclass(frozen=True, slots=True)
class UsedDelivery:
    """A delivery that was cut here."""

    digest: Digest
    id: str
    stream: str
    sequence: int
    sovereign: str
    created: datetime
    locks: tuple[Digest, ...]
    volumes: int
    """Bytes of its volumes."""
    share: Holding
    """Of its content, what is still in this store."""
    gone: int
    """Bytes of its content that are no longer in this store."""


@dataclass(frozen=True, slots=True)
class UsedItem:
    """An item of one lock."""

    kind: str
    name: str
    share: Holding


@dataclass(frozen=True, slots=True)
class Usage:
    """What is in a store."""

    locks: list[UsedLock]
    removed: list[HeldLock]
    unknown: list[Digest]
    """Locks that statements are about, and that nobody kept."""
    deliveries: list[UsedDelivery]
    cutting: list[Cutting]
    waiting: int
    """Deliveries whose import waits for a disc."""
    names: Holding
    """What names hold that no lock explains; alone: what no lock holds."""
    unexplained: int
    """How many of those names there are."""
    served: int
    """Bytes that running servers need."""
    blobs: int
    bytes: int
    unreferenced: int
    """Bytes of blobs that no lock and no name holds: `gc` deletes them, unless something unfinished may need them."""
    leftovers: int
    """Bytes of unfinished and damaged blobs."""
    records: dict[str, int]
    """Bytes of each folder and file of the records."""
    items: list[UsedItem]
    """Of the lock that was asked for."""


@dataclass(frozen=True, slots=True)
class UsageOptions:
    """Which store, and of which lock the items are wanted."""

    store: Path
    lock: str = ""


def usage(options: UsageOptions, surroundings: Surroundings) -> Usage:
    """Looks, and changes nothing. Raises `InputError` (`no-store`, `no-such-lock`), `StoreError`, `IntegrityError`."""
    layout, records = open_store(options.store)
    with using(options.store, surroundings.note):
        surroundings.progress().start("read the store", 0)
        holdings = read_holdings(layout, records)
        items = _items(options.lock, holdings) if options.lock else []
        try:
            served = needed(options.store, forget=False)
        except StoreError as error:  # the server runs as another account
            surroundings.note(f"note: what servers need could not be read: {error}")
            served = set()
        known = {digest for held in holdings.locks for digest in held.below.digests}
        roots = {item.item.root.digest for held in holdings.locks for item in held.items if item.item.root}
        strange = [(name, root) for name, root in holdings.names if root.digest not in known | roots]
        named = {digest for name, root in strange for digest in holdings.named(name, root).digests}
        rest = holdings.sizes.keys() - known - named
        return Usage(
            locks=_locks(holdings),
            removed=holdings.removed,
            unknown=holdings.unknown,
            deliveries=_deliveries(holdings),
            cutting=holdings.cutting,
            waiting=len(holdings.arriving) + len(holdings.closed),
            names=Holding(holdings.size(named), holdings.size(named - known)),
            unexplained=len(strange),
            served=holdings.size(served),
            blobs=len(holdings.sizes),
            bytes=sum(holdings.sizes.values()),
            unreferenced=holdings.size(set(rest)),
            leftovers=sum(_size(path) for path in layout.leftovers()),
            records=_folders(records.folder),
            items=items,
        )


def _locks(holdings: Holdings) -> list[UsedLock]:
    shares = _shares([held.below.digests for held in holdings.locks], holdings)
    return [
        UsedLock(held, share, len(holdings.lacks(held))) for held, share in zip(holdings.locks, shares, strict=True)
    ]


def _deliveries(holdings: Holdings) -> list[UsedDelivery]:
    every = holdings.deliveries
    contents = [frozenset(one.index.contents.blobs) for one in every]
    rows = []
    for one, digests, share in zip(every, contents, _shares(contents, holdings), strict=True):
        journey, index = one.index.journey, one.index
        gone = sum(index.contents.size(digest) for digest in digests if digest not in holdings.sizes)
        volumes = sum(volume.size for volume in index.contents.volumes)
        rows.append(
            UsedDelivery(
                one.digest,
                journey.id,
                journey.stream,
                journey.sequence,
                journey.sovereign,
                journey.created,
                index.contents.locks,
                volumes,
                share,
                gone,
            )
        )
    return rows


def _items(lock: str, holdings: Holdings) -> list[UsedItem]:
    held = named_locks([lock], holdings)[0]
    shares = _shares([one.below.digests for one in held.items], holdings)
    rows = [UsedItem(one.item.kind, one.item.name, share) for one, share in zip(held.items, shares, strict=True)]
    return sorted(rows, key=lambda row: row.share.bytes, reverse=True)


def _shares(holders: Iterable[frozenset[Digest]], holdings: Holdings) -> list[Holding]:
    every = list(holders)
    counts = Counter(digest for digests in every for digest in digests)
    return [
        Holding(holdings.size(digests), holdings.size({digest for digest in digests if counts[digest] == 1}))
        for digests in every
    ]


def _folders(folder: Path) -> dict[str, int]:
    """Bytes below each entry of the records."""
    found = {}
    with disk_errors(folder):
        for entry in sorted(folder.iterdir()):
            if size := sum(map(_size, files_below(entry))):
                found[entry.name] = size
    return found


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size if not path.is_dir() else 0
    except FileNotFoundError:
        return 0
