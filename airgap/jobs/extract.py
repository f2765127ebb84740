"""`extract`: copies one item from a delivery or a store into a layout folder or an archive. Hashes every byte.

Hashes show that bytes are those of the index. Who vouches for the index is a question of signatures: a delivery is
verified by a Trust resource first, as `verify` does it, unless the caller says that it need not be.
"""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from airgap.acceptance.open import Opened, evidence_files
from airgap.base.digest import Digest
from airgap.base.disk import check_free
from airgap.base.errors import DamageError, InputError, IntegrityError, NotFoundError
from airgap.base.places import check_file, check_folder
from airgap.base.progress import Progress
from airgap.content.copy import Copy, copy_graph
from airgap.content.graph import (
    ANNOTATION_IMAGE_NAME,
    ANNOTATION_PLATFORMS,
    OCI_MANIFEST,
    Descriptor,
    Node,
    Source,
    walk,
)
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.platforms import narrow
from airgap.content.reference import full_name, parse_reference
from airgap.delivery.index import INDEX_NAME, Contents, Index, Root
from airgap.delivery.plan import plan_volumes
from airgap.delivery.read import Media, Volumes, open_media
from airgap.delivery.write import copy_out
from airgap.jobs.as_locked import check_whole
from airgap.jobs.listing import items
from airgap.jobs.surroundings import Surroundings
from airgap.jobs.verify import open_verified
from airgap.kinds.table import kind_of
from airgap.store.index_file import LOCK_FILE
from airgap.store.layout import Layout
from airgap.store.memory import Memory
from airgap.store.overlay import Overlay


@dataclass(frozen=True, slots=True)
class Found:
    """An item's graph: where it is read from, its root, the chosen platforms, and its full name."""

    source: Source
    root: Descriptor
    platforms: tuple[str, ...] = ()
    full_name: str = ""
    contents: Contents | None = None
    """For a delivery: which blob is in which volume."""


def find(options: ExtractOptions, surroundings: Surroundings) -> Found:
    """An item in a delivery, which is verified first if a Trust resource was named, or in a store.

    Raises `InputError` (`no-such-item`), and for a delivery what `open_verified` or reading its evidence raises.
    """
    thing, name = options.thing, options.name
    if not (thing / INDEX_NAME).exists():
        found = _in_store(Layout(thing), name)
    elif options.trust is not None:
        found = _in_verified(open_verified((thing,), options.trust, options.at, surroundings), name)
    else:
        found = _in_unverified(open_media([thing]), name)
    if found is not None:
        return found
    near = difflib.get_close_matches(name, [row.name for row in items(thing)], 1)
    hint = f"did you mean {near[0]!r}?" if near else "`airgap ls` lists the names"
    raise InputError("no-such-item", f"{thing}: no item {name!r}", hint)


def _in_store(layout: Layout, name: str) -> Found | None:
    named = layout.find(name)
    return None if named is None else _found(layout, name, named, named.annotations)


def _in_verified(opened: Opened, name: str) -> Found | None:
    for item, root in opened.roots:
        if item.name == name:
            found = _found(opened.volumes, name, root, kind_of(item).annotations(item), opened.index.contents)
            _compare(item, found)
            return found
    return None


def _compare(item: Item, found: Found) -> None:
    """Compares all content of the item with its lock, as `verify` and `import` do. Raises `NotAsLockedError`."""
    watched = _Watched(found.source)
    try:
        check_whole([(item, found.root)], watched, jobs=1)
    except (DamageError, NotFoundError) as error:
        raise _placed(error, found, watched.last) from error


def _in_unverified(media: Media, name: str) -> Found | None:
    index = Index.decode(media.index_bytes)
    listed = {root.item: root for root in index.contents.roots}
    if name not in listed:
        return None
    item = _locked(media, index, listed[name])
    root = item.root or Descriptor(OCI_MANIFEST, listed[name].digest, index.contents.size(listed[name].digest))
    volumes = Volumes(index.contents, media.folders)
    return _found(volumes, name, root, kind_of(item).annotations(item), index.contents)


def _locked(media: Media, index: Index, root: Root) -> Item:
    """What the lock records about a root: its media type, the chosen platforms, its source."""
    for file, data in evidence_files(media, index).items():
        if file.startswith("locks/"):
            for item in Lock.decode(data, file).items:
                if item.name == root.item and (item.root is None or item.root.digest == root.digest):
                    return item
    raise IntegrityError("root-mismatch", f"AIRGAP.json lists {root.item!r} as {root.digest}, but no lock does")


def _found(
    source: Source,
    name: str,
    root: Descriptor,
    said: Mapping[str, str],
    contents: Contents | None = None,
) -> Found:
    platforms = tuple(filter(None, said.get(ANNOTATION_PLATFORMS, "").split(",")))
    bare = Descriptor(root.media_type, root.digest, root.size)
    # Older versions of airgap wrote the source into an annotation of the store, whatever the item's name.
    full = full_name(name, said[ANNOTATION_IMAGE_NAME]) if ANNOTATION_IMAGE_NAME in said else ""
    return Found(source, bare, platforms, full, contents)


class _Watched:
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


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """Which item is extracted, from what and to where."""

    thing: Path
    """A delivery or a store."""
    name: str
    """The item's name: `airgap ls` lists them."""
    to: Path
    """A new or empty folder, or a new file ending in `.tar`."""
    trust: Path | None = None
    """For a delivery: the Trust resource that says whose signatures are accepted."""
    unverified: bool = False
    """True to take the item from a delivery without checking who signed it."""
    at: datetime | None = None
    """Judge the delivery as of this past time; `None` for now."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """An item that was extracted: its root, and the size of its content in bytes."""

    digest: Digest
    bytes: int


def extract(options: ExtractOptions, surroundings: Surroundings) -> Extracted:
    """Copies one item into an OCI layout folder, or a tar that skopeo, containerd and k3s read; all or nothing.

    1. Check that it can be written, and that a delivery is verified or expressly not. 2. Find the item; a delivery is
    verified, and the item compared with its lock, before anything of it is used. 3. Check the free space, and copy:
    every blob is hashed on the way. Of an index with `platforms:`, only the content that a registry would get is
    copied.

    Raises `InputError` (`not-empty`, `no-such-item`, `no-trust`), `TrustError`, `IntegrityError`, `NotFoundError`,
    `StoreError`.
    """
    # 1.
    _check_trust(options)
    to, as_file = options.to, options.to.suffix == ".tar"
    (check_file if as_file else check_folder)(to, "--to")
    if to.exists() and (as_file or any(to.iterdir())):
        raise InputError("not-empty", f"{to} exists", "name a new folder, or a new file ending in .tar")
    # 2.
    found = find(options, surroundings)
    watched = _Watched(found.source)
    # 3.
    try:
        return _extract(found, watched, options.name, to, surroundings.progress())
    except (IntegrityError, NotFoundError) as error:
        raise _placed(error, found, watched.last) from error


def _check_trust(options: ExtractOptions) -> None:
    """A delivery is verified, or expressly not. A store has no signatures that could be checked."""
    if not (options.thing / INDEX_NAME).exists():
        if options.trust is not None or options.at is not None:
            raise InputError(
                "usage",
                f"{options.thing} is not a delivery, and only a delivery has signatures that --trust can check",
                "leave out --trust and --at, or extract the item from the delivery",
            )
    elif options.trust is None and not options.unverified:
        raise InputError(
            "no-trust",
            "--trust is required: without it the delivery's signatures cannot be checked",
            "use --trust FILE; --unverified extracts the item although nobody may have signed it",
        )
    elif options.trust is not None and options.unverified:
        raise InputError("usage", "--trust and --unverified exclude each other", "give one of them")


def _extract(found: Found, watched: _Watched, name: str, to: Path, progress: Progress) -> Extracted:
    root, derived = narrow(watched, found.root, found.platforms)
    made = Memory()
    if derived is not None:
        made.add(root.media_type, derived.data)
    source = Overlay(made, watched)
    blobs = [f.descriptor if isinstance(f, Node) else f for f in walk(source, root)]
    size = sum(blob.size for blob in blobs)
    room = size + (len(blobs) + 16) * 4096 + (1 << 20)
    check_free(to, room, repr(name))
    full = _with_digest(found.full_name, root.digest)
    named = replace(root, annotations={ANNOTATION_IMAGE_NAME: full} if full else {})
    with _all_or_nothing(to):
        if to.suffix == ".tar":
            plan = plan_volumes(blobs, [(name, named)], room)
            progress.start("extract", plan.volumes[0].size, 1)
            copy_out(plan, source, to, progress)
        else:
            layout = Layout(to, create=True, batch=True)
            progress.start("extract", 0, 1)
            # One after the other, so that `watched` can say what a fault is about.
            [copied] = copy_graph([Copy(name, source, layout, root)], jobs=1, progress=progress)
            if copied.error is not None:
                raise copied.error
            layout.publish({name: named})
            with suppress(OSError):
                (to / LOCK_FILE).unlink()
    return Extracted(root.digest, size)


def _with_digest(name: str, root: Digest) -> str:
    """The name for containerd, which trusts it: a digest in it is that of the extracted content, or is left out."""
    if not name:
        return ""
    reference = parse_reference(name)
    if reference.digest in (None, root):
        return name
    return str(replace(reference, digest=None if reference.tag else root))


@contextmanager
def _all_or_nothing(to: Path) -> Iterator[None]:
    """Removes what was written if the work fails, so that the same command can be run again.

    Raises `InputError` (`not-empty`), because existing files must not be taken for extracted ones.
    """
    new = not to.exists()
    if not new and (not to.is_dir() or any(to.iterdir())):
        raise InputError("not-empty", f"{to} exists", "name a new folder, or a new file ending in .tar")
    try:
        yield
    except BaseException:
        if to.suffix == ".tar":
            with suppress(OSError):
                to.with_name(f".{to.name}.partial").unlink()
        elif to.is_dir():
            shutil.rmtree(to / "blobs", ignore_errors=True)
            for file in ("oci-layout", "index.json", LOCK_FILE):
                with suppress(OSError):
                    (to / file).unlink()
            if new:
                with suppress(OSError):
                    to.rmdir()
        raise


def _placed(
    error: IntegrityError | NotFoundError, found: Found, last: Descriptor | None
) -> IntegrityError | NotFoundError:
    """The error with the place of the bad blob, and the next step."""
    if found.contents is None:
        return error.with_hint(error.hint or "run `airgap pull` again with its lock and this store")
    if last is not None and isinstance(error, IntegrityError):
        numbers = sorted({extent.volume for extent in found.contents.blobs.get(last.digest, ())})
        names = ", ".join(found.contents.volumes[number - 1].name for number in numbers)
        placed = error.with_where(names or "the delivery")
        return placed.with_hint(error.hint or "copy it again from the original medium")
    return error
