"""The three forms in which content reaches a destination, and the changes that a destination reports.

Each kind produces one form; a destination accepts forms and does not know about kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, IntegrityError
from airgap.content.graph import Descriptor, Node, Source, by_platform, read_node, walk
from airgap.content.item import Attached
from airgap.content.lock import check_path


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that registries store as it is.

    The destination name is derived from `original`, the full upstream reference (`docker.io/library/alpine:3.20`).
    """

    item: str
    original: str
    root: Descriptor
    source: Source
    platforms: tuple[str, ...] = ()
    attached: tuple[Attached, ...] = ()
    walked: tuple[Descriptor, ...] = ()
    """All blobs, from an earlier walk; empty if there was none."""

    def blobs(self) -> Iterator[Descriptor]:
        """All blobs of the form, as far as manifests name them. Raises any error of reading manifests."""
        if self.walked:
            yield from self.walked
            return
        graphs = [(self.root, by_platform(self.platforms))]
        graphs += [(one.descriptor, None) for one in self.attached]
        for top, keep in graphs:
            for found in walk(self.source, top, keep):
                yield found.descriptor if isinstance(found, Node) else found

    def late(self, _changes: Sequence[Change]) -> Iterator[Digest]:
        """What `publish` reads after `transfer`, given its plan: nothing."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Refs:
    """Git refs, the bundles that contain their objects (base first) and LFS objects (digest = oid)."""

    item: str
    original: str
    """`host[:port]/path` of the origin without scheme and `.git`; the item's name if the origin is a path."""
    refs: Mapping[str, str]
    head: str
    bundles: tuple[Descriptor, ...]
    lfs: tuple[Descriptor, ...]
    source: Source
    root: Descriptor
    """The graph in the store that contains all this; the receipt names it."""
    whole_lfs: bool = False
    """True if `lfs` must be exactly the LFS objects that the refs reach, but for those of `lost_lfs`."""
    lost_lfs: tuple[str, ...] = ()
    """Ids of LFS objects that are left out, as findings of the lock say."""

    def blobs(self) -> Iterator[Descriptor]:
        """All blobs of the form."""
        return iter((*self.bundles, *self.lfs))

    def late(self, _changes: Sequence[Change]) -> Iterator[Digest]:
        """What `publish` reads after `transfer`, given its plan: nothing, because the unpacked repository is kept."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Tree:
    """Paths and their content. `pointer` (path, bytes) is written last and says which tree is the current one."""

    item: str
    bucket: str
    """Which of the destination's buckets: `models` or `files`."""
    prefix: str
    """Path of the tree, without a trailing slash; `""` for the bucket's root."""
    entries: Mapping[str, Descriptor]
    root: Descriptor
    source: Source
    pointer: tuple[str, bytes] | None = None

    def blobs(self) -> Iterator[Descriptor]:
        """All blobs of the form."""
        return iter(self.entries.values())

    def late(self, changes: Sequence[Change]) -> Iterator[Digest]:
        """What `publish` reads after `transfer`, given its plan: files without a pointer, or that replace others."""
        planned = {change.name: change.outcome for change in changes}
        for path, descriptor in self.entries.items():
            moved = planned.get(path) is ChangeOutcome.MOVED
            if moved or (self.pointer is None and planned.get(path) is ChangeOutcome.WRITE):
                yield descriptor.digest


def named_layers(item: str, root: Descriptor, source: Source, title: str) -> Tree:
    """The layers of a manifest as files, whose paths are in the layers' annotation `title`.

    Raises `InputError` (`bad-path`) for a path that is not plain, `IntegrityError` (`bad-manifest`).
    """
    entries: dict[str, Descriptor] = {}
    for layer in read_node(source, root).children[1:]:
        path = check_path(layer.annotations.get(title), item)
        if entries.setdefault(path, layer).digest != layer.digest:
            raise IntegrityError("bad-manifest", f"{item}: {root.digest} has two files {path!r}")
    return Tree(item, "files", "", entries, root, source)


Form = Graph | Refs | Tree


class ChangeOutcome(StrEnum):
    """What a plan would do to one name, or what a publish did to it."""

    WRITE = "write"
    """In a plan: the name does not exist yet."""
    MOVED = "moved"
    """In a plan: the name has other content, and will point to the new content."""
    WRITTEN = "written"
    PRESENT = "present"
    UNCONFIRMED = "unconfirmed"
    """The name was written, and could not be read back."""
    REFUSED = "refused"
    FAILED = "failed"
    WITHHELD = "withheld"
    """The name was not published, because something else of the delivery failed."""
    STAYS = "stays"
    """In a rollback: the name was new with the delivery. It keeps its content, because a rollback deletes nothing."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The content of a signature or attestation that airgap wrote at a destination, and its key."""

    subject: str
    """Digest of the manifest or index."""
    predicate_type: str
    statement: str
    """Digest of the in-toto statement's bytes; each statement has exactly one."""
    key: str
    """base64(sha256(DER SPKI))."""

    def as_dict(self) -> dict[str, str]:
        """The JSON object of the receipt."""
        return {
            "subject": self.subject,
            "predicateType": self.predicate_type,
            "statement": self.statement,
            "key": self.key,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One name at a destination: the planned change, and later its outcome. One line of a receipt.

    `digest` is the new digest (or Git object id) of the name, `previous` the old one, `""` for none.
    """

    item: str
    at: str
    """The place: repository, organization/repository, or bucket and prefix."""
    name: str
    """The tag, the ref, the path or pointer; `""` if the content has no name except its digest."""
    digest: str
    previous: str = ""
    outcome: ChangeOutcome = ChangeOutcome.WRITE
    reason: str = ""
    signs: Signs | None = None
    """Set for a signature that airgap wrote or will write."""
    conflict: bool = False
    """True for a refused name whose place holds content that excludes this delivery's: only people can resolve it.

    It is a failure of the delivery. A name that stays because a later delivery or somebody else owns it is none. Not in
    receipts."""
    error: AirgapError | None = field(default=None, compare=False)
    """Why it failed or is unconfirmed, with code and next step. A receipt has the reason only."""

    def ended(self, outcome: ChangeOutcome, error: AirgapError) -> Change:
        """This change with an outcome that `error` explains."""
        return replace(self, outcome=outcome, reason=str(error), error=error)

    def refused(self, why: str) -> Change:
        """This change, which is not made because of `why`."""
        return replace(self, outcome=ChangeOutcome.REFUSED, reason=why)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of the receipt."""
        return {
            "item": self.item,
            "at": self.at,
            "name": self.name,
            "digest": self.digest,
            "previous": self.previous or None,
            "outcome": str(self.outcome),
            "reason": self.reason or None,
            **({"signs": self.signs.as_dict()} if self.signs else {}),
        }
