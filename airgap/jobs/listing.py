"""`ls`: the items of a lock, a delivery or a store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airgap.acceptance.open import evidence_files
from airgap.base.errors import AirgapError, InputError, IntegrityError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected, recognized
from airgap.base.strict_json import parse_json
from airgap.content.graph import ANNOTATION_PLATFORMS, OCI_MANIFEST, Descriptor, Node, by_platform, read_node, walk
from airgap.content.item import Item
from airgap.content.lock import MAX_LOCK, Lock
from airgap.content.scanner_database import DATABASE
from airgap.content.sizes import ItemSize, Tally, item_blobs
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import Index
from airgap.delivery.read import Media, Volumes, mender_for, open_index, open_media
from airgap.delivery.seal import Identities, no_identities
from airgap.delivery.sealed import SEALED_KIND
from airgap.kinds.table import kind_of, kind_of_type
from airgap.scanning.databases.dates import database_info
from airgap.store.in_use import using
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Listed:
    """An item of a lock, a delivery or a store, with the fields that are known there."""

    kind: str
    """In a store, the kind of the graph; `""` for one that cannot be read."""
    name: str
    digest: str
    """The digest of its root; `""` where the lock does not know it yet."""
    bytes: int
    """Of all blobs of the item; in a store, without what is attached. 0 where it is not known: for Git in a lock."""
    shared: int = 0
    """Those of them that items before it have, too. A lock does not tell it of images."""
    database: Mapping[str, str] | None = None
    """Of a scanner's database: in a store what it says itself (`updated` …), in a lock what its manifest says."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of `airgap ls`."""
        made = asdict(self)
        return made if self.database else {name: value for name, value in made.items() if name != "database"}


def read_thing(thing: Path) -> tuple[bytes, Any]:
    """Reads a JSON file: its bytes, and the value in it. Raises `InputError` (`unknown-thing`)."""
    data = read_input(thing, MAX_LOCK, "unknown-thing")
    try:
        return data, parse_json(data, str(thing))
    except AirgapError as error:
        raise _unknown(thing, data) from error


def lock_of(data: bytes, document: Any, thing: Path) -> Lock:
    """Reads a lock. For another file that airgap knows, raises `InputError` (`unknown-thing`) with the next step."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind in ("Delivery", SEALED_KIND):
        what = f"{thing} is the index of a delivery, not its folder"
        raise InputError("unknown-thing", what, f"name its folder, {thing.parent}")
    if isinstance(document, dict) and "dsseEnvelope" in document:
        what = f"{thing} is a signed statement, which has no items to list"
        raise InputError("unknown-thing", what, f"show it with `airgap show {thing}`")
    if recognized(data) != "a lock" and kind != "Lock":
        raise _unknown(thing, data)
    return Lock.decode(data, str(thing))


_APPROVED = ("a Trust resource", "a Waiver resource", "a prune plan", "a trusted_root.json")
"""What `airgap sign` describes before it approves it."""


def _unknown(thing: Path, data: bytes) -> InputError:
    next_step = "name a lock file, a signed statement, or the folder of a delivery or a store"
    if recognized(data) in _APPROVED:
        next_step = f"`airgap sign {thing} --dry-run` shows what would be approved"
    return InputError(
        "unknown-thing", not_expected(str(thing), data, "a lock, a signed statement, a delivery or a store"), next_step
    )


def items(thing: Path, identities: Identities = no_identities) -> list[Listed]:
    """The items of a lock, a delivery or a store. Reads manifests, and verifies no signature.

    `identities` open an encrypted delivery.

    Raises `InputError` (`unknown-thing`) for another file, `IntegrityError`, `StoreError`.
    """
    if not thing.is_dir():
        return [_locked(item) for item in lock_of(*read_thing(thing), thing).items]
    if (thing / INDEX_NAME).exists():
        return _delivered(thing, identities)
    with using(thing):
        layout, tally = Layout(thing), Tally()
        return [_stored(name, root, layout, tally) for name, root in layout.roots()]


def _locked(item: Item) -> Listed:
    blobs = kind_of(item).blobs(item)
    size = item.bytes if blobs is None else Tally().add(blobs).bytes
    root = str(item.root.digest) if item.root else ""
    return Listed(item.kind, item.name, root, size, database=item.more.get(DATABASE))


def _delivered(folder: Path, identities: Identities) -> list[Listed]:
    """By the locks and the manifests, which are in the first volume; without it, by the locks alone."""
    media, index = open_index(open_media([folder]), identities)
    volumes = Volumes(index.contents, media.folders, mender=mender_for(media, index), seal=media.seal)
    tally = Tally()
    locked = _locked_items(media, index)
    rows = []
    for one in index.contents.roots:
        item = locked.get(one.item)
        root = Descriptor(OCI_MANIFEST, one.digest, index.contents.size(one.digest))
        size = ItemSize(0, 0)
        if item is not None:
            try:
                size = tally.add(item_blobs(item, item.root or root, volumes))
            except AirgapError:
                size = ItemSize(_locked(item).bytes, _locked(item).bytes)
        said = item.more.get(DATABASE) if item is not None else None
        rows.append(Listed(one.kind, one.item, str(one.digest), size.bytes, size.shared, said))
    return rows


def _locked_items(media: Media, index: Index) -> dict[str, Item]:
    """The items of the locks in the evidence, by name; none if it is on another disc, or damaged."""
    try:
        files = evidence_files(media, index)
        locks = [Lock.decode(data, name) for name, data in files.items() if name.startswith("locks/")]
    except AirgapError:
        return {}
    return {item.name: item for lock in locks for item in lock.items}


def _stored(name: str, root: Descriptor, layout: Layout, tally: Tally) -> Listed:
    platforms = tuple(filter(None, root.annotations.get(ANNOTATION_PLATFORMS, "").split(",")))
    try:
        node = read_node(layout, root)
        found = [*walk(layout, root, by_platform(platforms))]
    except AirgapError:
        return Listed("", name, str(root.digest), 0)
    size = tally.add(one.descriptor if isinstance(one, Node) else one for one in found)
    said = None
    with suppress(IntegrityError):
        info = database_info(layout, node)
        said = info.as_dict() if info else None
    return Listed(kind_of_type(node.artifact_type).name, name, str(root.digest), size.bytes, size.shared, said)
