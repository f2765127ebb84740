"""`Item`: one pinned thing of a lock, with its files and attached artifacts. Format: docs/format.md, "lock.json"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Keep, by_platform

PHASES = ("registry", "seed")


@dataclass(frozen=True, slots=True)
class Attached:
    """A signature, attestation or SBOM of `subject`, found as a referrer or under a tag."""

    subject: Digest
    how: str
    """`referrer` or `tag`."""
    descriptor: Descriptor
    tag: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        made: dict[str, Any] = {
            "subject": str(self.subject),
            "how": self.how,
            **self.descriptor.as_dict(),
        }
        if self.tag:
            made["tag"] = self.tag
        if self.descriptor.artifact_type:
            made["artifactType"] = self.descriptor.artifact_type
        return made


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One file of a model or a file item: its path in the tree, digest and size in bytes."""

    path: str
    digest: Digest
    size: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"path": self.path, "digest": str(self.digest), "size": self.size}


@dataclass(frozen=True, slots=True)
class Item:
    """One pinned item. The kind determines which fields are set; `root` is `None` for kinds that `pull` packs."""

    name: str
    kind: str
    source: str
    root: Descriptor | None = None
    bytes: int = 0
    phase: str = ""
    """`registry` or `seed`; empty for kinds without phases."""
    platforms: tuple[str, ...] = ()
    inside: Descriptor | None = None
    """With `platforms`: the root that the registry's tag will name, if it is not `root`."""
    attached: tuple[Attached, ...] = ()
    converted: bool = False
    """True if the source (`docker-daemon:`) has no digest of its own and the root was built here."""
    refs: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Full ref name → unpeeled object id. Only together with `lfs`."""
    head: str = ""
    """The ref that the repository's HEAD points to, `""` if that ref is not carried."""
    lfs: bool | None = None
    """Whether LFS objects are carried; `None` for kinds without refs."""
    revision: str = ""
    licence: str = ""
    files: tuple[LockedFile, ...] = ()
    path: str = ""
    asked: Mapping[str, str | list[str]] = field(default_factory=dict, hash=False)
    """Parts of the request that no other field records: `refs` of Git; `revision` and `include` of a model.

    Empty in locks of earlier versions."""
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields that only one kind has, as JSON values, exactly as in the lock."""

    @property
    def pin(self) -> Digest:
        """The digest of the item's own canonical JSON: identifies one item at one moment, whatever its kind."""
        return Digest.of(canonical(self.as_dict()))

    def graphs(self, root: Descriptor | None) -> list[tuple[Descriptor, Keep | None]]:
        """The top of each graph of the item, with its `keep` for `walk`: first `root`, then attached graphs.

        `root` is the item's own root, or the one that packing returned; `None` if it is not known.
        """
        attached = [(one.descriptor, None) for one in self.attached]
        return [*([(root, by_platform(self.platforms))] if root is not None else []), *attached]

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out."""
        made: dict[str, Any] = {"name": self.name, "kind": self.kind, "source": self.source}
        if self.root is not None:
            made |= {"root": self.root.as_dict(), "bytes": self.bytes}
        if self.inside is not None:
            made["inside"] = self.inside.as_dict()
        if self.lfs is not None:
            made |= {"refs": dict(self.refs), "lfs": self.lfs}
        for key in ("platforms", "attached", "files"):
            values = getattr(self, key)
            if values:
                made[key] = [value if isinstance(value, str) else value.as_dict() for value in values]
        for key in ("phase", "head", "revision", "licence", "path", "converted"):
            if getattr(self, key):
                made[key] = getattr(self, key)
        if self.asked:
            made["asked"] = dict(self.asked)
        return made | dict(self.more)
