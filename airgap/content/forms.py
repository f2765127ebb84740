"""The three forms in which content arrives, and what a destination says about it.

A kind says which form its content has; a destination takes forms and knows nothing of kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Node, Source, by_platform, walk
from airgap.content.lock import Attached


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph as it is, for registries.

    `original` is the full upstream reference (`docker.io/library/alpine:3.20`) from which the place inside is made.
    """

    item: str
    original: str
    root: Descriptor
    source: Source
    platforms: tuple[str, ...] = ()
    attached: tuple[Attached, ...] = ()

    def blobs(self) -> Iterator[Descriptor]:
        """Everything that the form brings, as far as manifests tell. Raises what reading manifests raises."""
        graphs = [(self.root, by_platform(self.platforms))]
        graphs += [(one.descriptor, None) for one in self.attached]
        for top, keep in graphs:
            for found in walk(self.source, top, keep):
                yield found.descriptor if isinstance(found, Node) else found

    def late(self, _changes: Sequence[Change]) -> Iterator[Digest]:
        """What `publish` reads after `transfer`, by its plan: nothing."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Refs:
    """Git refs, the bundles that hold their objects (base first) and LFS objects (digest = oid)."""

    item: str
    original: str
    """`host[:port]/path` of the origin without scheme and `.git`, or the item's name for a path."""
    refs: Mapping[str, str]
    head: str
    bundles: tuple[Descriptor, ...]
    lfs: tuple[Descriptor, ...]
    source: Source
    root: Descriptor
    """The graph in the store that holds all this: what the receipt names."""

    def blobs(self) -> Iterator[Descriptor]:
        """Everything that the form brings."""
        return iter((*self.bundles, *self.lfs))

    def late(self, _changes: Sequence[Change]) -> Iterator[Digest]:
        """What `publish` reads after `transfer`, by its plan: nothing, because the unpacked repository is kept."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Tree:
    """Paths and what they hold; `pointer` (path, bytes) is written last and says which tree is the current one."""

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
        """Everything that the form brings."""
        return iter(self.entries.values())

    def late(self, changes: Sequence[Change]) -> Iterator[Digest]:
        """What `publish` reads after `transfer`, by its plan: files without a pointer, or in place of others."""
        planned = {change.name: change.outcome for change in changes}
        for path, descriptor in self.entries.items():
            moved = planned.get(path) is ChangeOutcome.MOVED
            if moved or (self.pointer is None and planned.get(path) is ChangeOutcome.WRITE):
                yield descriptor.digest


Form = Graph | Refs | Tree


class ChangeOutcome(StrEnum):
    """What a plan would do to one name, or what a publish did to it."""

    WRITE = "write"
    """The plan: nothing there yet."""
    MOVED = "moved"
    """The plan: the name holds something else, and will point to the new content."""
    WRITTEN = "written"
    PRESENT = "present"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Signs:
    """What a signature or attestation of ours at a destination says, and by which key."""

    subject: str
    """Digest of the manifest or index."""
    predicate_type: str
    statement: str
    """Digest of the in-toto statement's bytes: one statement has one."""
    key: str
    """base64(sha256(DER SPKI))."""

    def as_dict(self) -> dict[str, str]:
        """The JSON shape of the receipt."""
        return {
            "subject": self.subject,
            "predicateType": self.predicate_type,
            "statement": self.statement,
            "key": self.key,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One name at a destination: what the plan says of it, and later what came of it. A receipt's line.

    `digest` is the digest (or Git object id) that the name shall have, `previous` what it had, `""` for nothing.
    """

    item: str
    at: str
    """Where: repository, organization/repository, or bucket and prefix."""
    name: str
    """The tag, the ref, the path or pointer; `""` where the content has no name but its digest."""
    digest: str
    previous: str = ""
    outcome: ChangeOutcome = ChangeOutcome.WRITE
    reason: str = ""
    signs: Signs | None = None
    """Of a signature that we made, or would."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of the receipt."""
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
