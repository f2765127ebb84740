"""What `extract` and `serve` take items from: a delivery, which is verified first, or a store.

Hashes show that bytes are those of the index. Who vouches for the index is a question of signatures: a delivery is
verified by a Trust resource first, as `verify` does it, unless the caller says that it need not be.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from airgap.acceptance.open import Opened, evidence_files
from airgap.base.errors import DamageError, InputError, IntegrityError, NotFoundError, OmittedError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected
from airgap.bundling.selected import item_root
from airgap.content.graph import (
    ANNOTATION_IMAGE_NAME,
    ANNOTATION_PLATFORMS,
    OCI_MANIFEST,
    Descriptor,
    Source,
    read_node,
)
from airgap.content.item import Item
from airgap.content.lock import MAX_LOCK, Lock
from airgap.content.lock_finding import finding_note
from airgap.content.reference import full_name
from airgap.delivery.contents import Contents, Root
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import Index
from airgap.delivery.read import Media, Volumes, mender_for, open_index, open_media
from airgap.jobs.as_locked import check_whole
from airgap.jobs.earlier import or_from
from airgap.jobs.named_files import read_lock
from airgap.jobs.surroundings import Surroundings
from airgap.jobs.verify import open_verified
from airgap.kinds.kind import Kind
from airgap.kinds.table import kind_of, kind_of_type
from airgap.station.files import PINS
from airgap.store.layout import Layout
from airgap.store.locate import LayoutFinder


@dataclass(frozen=True, slots=True)
class OfferOptions:
    """Where items are taken from, and whose signatures are accepted."""

    thing: Path
    """A delivery or a store."""
    more: tuple[Path, ...] = ()
    """For a delivery: other folders with its volumes."""
    trust: Path | None = None
    """For a delivery: the Trust resource that says whose signatures are accepted."""
    unverified: bool = False
    """True to take items from a delivery without checking who signed it."""
    at: datetime | None = None
    """Judge the delivery as of this past time; `None` for now."""
    lock: Path | None = None
    """For a store: the lock that says which items, of which kind and phase; `None` for all names of the store."""
    baselines: tuple[Path, ...] = ()
    """For a delta: earlier deliveries and stores that have what it omits."""


@dataclass(frozen=True, slots=True)
class Offered:
    """An item: its kind and root, the chosen platforms, and its full name; `item` where a lock says it."""

    name: str
    kind: Kind[Any]
    root: Descriptor
    platforms: tuple[str, ...] = ()
    full_name: str = ""
    item: Item | None = None


class Watched:
    """A source that remembers which blob was opened last: blobs are read in order, so a fault is about that one."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.last: Descriptor | None = None

    def has(self, descriptor: Descriptor) -> bool:
        """Of the source."""
        return self.source.has(descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """From the source."""
        self.last = descriptor
        return self.source.open(descriptor, offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Of the source."""
        return self.source.roots()


@dataclass(slots=True)
class Offering:
    """The items of a delivery or a store."""

    source: Watched
    names: Sequence[str]
    rows: Callable[[str], tuple[Descriptor, Item | None] | None]
    """The root of a name, and what the lock says of it."""
    contents: Contents | None = None
    """For a delivery: which blob is in which volume."""
    opened: Opened | None = None
    """For a delivery whose signatures were verified."""
    where: str = ""
    source_folder: Path = Path()
    finder: LayoutFinder | None = None
    """For a store: finds what is attached, where no lock says it."""

    @property
    def plain_name(self) -> str:
        """The name of the store's folder, as a repository may be called."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.source_folder.name.lower()).strip("-")
        return plain or "layout"

    def find(self, name: str) -> Offered:
        """An item. One of a verified delivery is compared with its lock first, as `verify` and `import` do.

        Raises `InputError` (`no-such-item`), `NotAsLockedError`, `IntegrityError`, `NotFoundError`.
        """
        row = self.rows(name)
        if row is None:
            near = difflib.get_close_matches(name, self.names, 1)
            hint = f"did you mean {near[0]!r}?" if near else "`airgap ls` lists the names"
            raise InputError("no-such-item", f"{self.where}: no item {name!r}", hint)
        try:
            if self.opened is not None and row[1] is not None:
                check_whole([(row[1], row[0])], self.source, jobs=1)
            return self._offered(name, *row)
        except (DamageError, NotFoundError) as error:
            raise self.placed(error) from error

    def look(self, name: str) -> Offered:
        """As `find`, without comparing content. Raises `KeyError` for a name that `names` does not have."""
        row = self.rows(name)
        if row is None:
            raise KeyError(name)
        return self._offered(name, *row)

    def in_phase(self, phase: str) -> list[str]:
        """The names of the items of a phase, as locks say it, in their order."""
        found = []
        for name in self.names:
            row = self.rows(name)
            if row is not None and row[1] is not None and row[1].phase == phase:
                found.append(name)
        return found

    def _offered(self, name: str, root: Descriptor, item: Item | None) -> Offered:
        kind = kind_of(item) if item else kind_of_type(read_node(self.source, root).artifact_type)
        said: Mapping[str, str] = kind.annotations(item) if item else root.annotations
        platforms = tuple(filter(None, said.get(ANNOTATION_PLATFORMS, "").split(",")))
        bare = Descriptor(root.media_type, root.digest, root.size)
        # Older versions of airgap wrote the source into an annotation of the store, whatever the item's name.
        full = full_name(name, said[ANNOTATION_IMAGE_NAME]) if ANNOTATION_IMAGE_NAME in said else ""
        return Offered(name, kind, bare, platforms, full, item)

    def placed(self, error: IntegrityError | NotFoundError) -> IntegrityError | NotFoundError:
        """The error with the place of the bad blob, and the next step."""
        if self.contents is None:
            return error.with_hint(error.hint or "run `airgap pull` again with its lock and this store")
        last = self.source.last
        if last is not None and isinstance(error, IntegrityError):
            numbers = sorted({extent.volume for extent in self.contents.blobs.get(last.digest, ())})
            names = ", ".join(self.contents.volumes[number - 1].name for number in numbers)
            omitted = last.digest in self.contents.omitted
            placed = error.with_where(names or ("a baseline" if omitted else "the delivery"))
            return placed.with_hint(error.hint or "copy it again from the original medium")
        if isinstance(error, NotFoundError) and not isinstance(error, OmittedError):
            return error.with_hint("attach the disc that contains it, and name its folder, too: --volumes FOLDER")
        return error


def open_offer(options: OfferOptions, surroundings: Surroundings) -> Offering:
    """Opens a delivery, which is verified first if a Trust resource was named, or a store.

    Raises `InputError` (`no-trust`, `no-store`, …), and for a delivery what `open_verified` or reading its evidence
    raises.
    """
    folders = (options.thing, *options.more)
    for path in folders:
        if not path.is_dir():
            data = read_input(path, MAX_LOCK, "no-store")
            what = not_expected(str(path), data, "the folder of a delivery or a store")
            raise InputError("no-store", what, "name the folder of a delivery, a store or an OCI layout")
    # An index on any of the folders makes it a delivery.
    is_delivery = any((folder / INDEX_NAME).exists() for folder in folders)
    _check_options(options, is_delivery=is_delivery)
    if not is_delivery:
        return _store(options, surroundings)
    earlier = or_from(options.baselines, None, surroundings.identities)
    if options.trust is None:
        media, index = open_index(open_media(folders), surroundings.identities)
        return _unverified(media, index, str(options.thing), earlier, surroundings)
    opened = open_verified(folders, options.trust, options.at, surroundings)
    opened.volumes.inside = earlier
    return _verified(opened, str(options.thing), surroundings)


def _tell(locks: Iterable[Lock], surroundings: Surroundings) -> None:
    """What locks lack of their requests: somebody accepted that, and it is not there."""
    for lock in locks:
        if lock.findings:
            surroundings.note(f"note: {finding_note(lock.name, lock.findings)}")


def _check_options(options: OfferOptions, *, is_delivery: bool) -> None:
    """A delivery is verified, or expressly not. A store has no signatures that could be checked."""
    if not is_delivery:
        if options.trust is not None or options.at is not None or options.more or options.baselines:
            raise InputError(
                "usage",
                f"{options.thing} is not a delivery, and only a delivery has volumes, baselines, and signatures that "
                "--trust can check",
                "leave out --trust, --at, --baseline and further folders, or name the delivery",
            )
    elif options.lock is not None:
        raise InputError("usage", f"{options.thing} is a delivery, which has its own locks", "leave out --lock")
    elif options.trust is None and not options.unverified:
        raise InputError(
            "no-trust",
            "--trust is required: without it the delivery's signatures cannot be checked",
            "use --trust FILE; --unverified takes its content although nobody may have signed it",
        )
    elif options.trust is not None and options.unverified:
        raise InputError("usage", "--trust and --unverified exclude each other", "give one of them")


def _store(options: OfferOptions, surroundings: Surroundings) -> Offering:
    layout = Layout(options.thing)
    where = str(options.thing)
    if options.lock is None:
        named = dict(layout.roots())

        def row(name: str) -> tuple[Descriptor, Item | None] | None:
            return (named[name], None) if name in named else None

        return Offering(
            Watched(layout),
            [one for one in named if one and not one.startswith(PINS)],
            row,
            where=where,
            source_folder=layout.path.resolve(),
        )
    lock = read_lock(options.lock)
    _tell([lock], surroundings)
    items = {item.name: item for item in lock.items}

    def locked(name: str) -> tuple[Descriptor, Item | None] | None:
        return (item_root(items[name], layout), items[name]) if name in items else None

    return Offering(
        Watched(layout), list(items), locked, where=f"{where} by {options.lock}", source_folder=layout.path.resolve()
    )


def _verified(opened: Opened, where: str, surroundings: Surroundings) -> Offering:
    _tell(opened.locks, surroundings)
    roots = {item.name: (root, item) for item, root in opened.roots}
    return Offering(Watched(opened.volumes), list(roots), roots.get, opened.index.contents, opened, where)


def _unverified(media: Media, index: Index, where: str, earlier: Source | None, surroundings: Surroundings) -> Offering:
    listed = {root.item: root for root in index.contents.roots}
    locks = [
        Lock.decode(data, name) for name, data in evidence_files(media, index).items() if name.startswith("locks/")
    ]
    _tell(locks, surroundings)
    items = [item for lock in locks for item in lock.items]

    def row(name: str) -> tuple[Descriptor, Item | None] | None:
        if name not in listed:
            return None
        item = _locked(items, listed[name])
        digest = listed[name].digest
        return item.root or Descriptor(OCI_MANIFEST, digest, index.contents.size(digest)), item

    mender = mender_for(media, index)
    volumes = Volumes(index.contents, media.folders, inside=earlier, mender=mender, seal=media.seal)
    return Offering(Watched(volumes), list(listed), row, index.contents, None, where)


def _locked(items: Sequence[Item], root: Root) -> Item:
    """What the lock records about a root: its media type, the chosen platforms, its source."""
    for item in items:
        if item.name == root.item and (item.root is None or item.root.digest == root.digest):
            return item
    raise IntegrityError("root-mismatch", f"AIRGAP.json lists {root.item!r} as {root.digest}, but no lock does")
