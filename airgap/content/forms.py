"""The three forms in which content arrives, and what a destination says about it.

A kind says which form its content has; a destination takes forms and knows nothing of kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airgap.content.graph import Descriptor, Source
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
