"""A repository in the OCI layout of an embedded Sovereign. Its names are `repository:tag`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from airgap.base.digest import Digest
from airgap.base.errors import NotFoundError
from airgap.content.graph import Descriptor, Node, Opener, PutResult, Source, unnamed
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class LayoutPlace:
    """A `Place`. `layout` is `None` before the first import: nothing is present, and nothing can be written."""

    layout: Layout | None
    at: str

    def _open(self) -> Layout:
        if self.layout is None:
            raise NotFoundError("no-layout", f"{self.at}: the embedded Sovereign is empty", side="destination")
        return self.layout

    def has(self, descriptor: Descriptor) -> bool:
        """True if the layout has the blob in any repository: blobs are shared."""
        return self.layout is not None and self.layout.has(descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """Opens the blob. Raises `NotFoundError`."""
        return self._open().open(descriptor, offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """The tags of this repository and the nodes that they name."""
        if self.layout is None:
            return []
        prefix = f"{self.at}:"
        return [(name.removeprefix(prefix), root) for name, root in self.layout.roots() if name.startswith(prefix)]

    def tags(self) -> Sequence[str]:
        """All tags of this repository."""
        return [name for name, _ in self.roots()]

    def resolve(self, name: str) -> Descriptor:
        """Resolves a tag or digest. Raises `NotFoundError`."""
        wanted = f"{self.at}@{name}" if name.startswith("sha256:") else f"{self.at}:{name}"
        for found, root in self._open().roots():
            if found == wanted or (name.startswith("sha256:") and root.digest == Digest(name)):
                return Descriptor(root.media_type, root.digest, root.size)
        raise NotFoundError("not-found", f"{wanted} is missing", side="destination")

    def holds(self, name: str) -> Digest:
        """The digest that a tag or digest names. Raises `NotFoundError`."""
        return self.resolve(name).digest

    def node(self, digest: Digest) -> Descriptor:
        """The manifest or index with this digest. index.json need not name it: a tag that moved on leaves it behind."""
        found = next((root for _, root in self._open().roots() if root.digest == digest), None)
        if found is not None:
            return Descriptor(found.media_type, found.digest, found.size)
        return unnamed(self._open(), digest)

    def check_writable(self) -> None:
        """Does nothing: the disk says so when it is written."""

    def asks(self, _descriptor: Descriptor) -> bool:
        """False: `has` is cheap."""
        return False

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """Writes the blob into the layout."""
        return self._open().put(descriptor, opener)

    def lists(self, _referrer: Digest, _subject: Digest) -> bool:
        """True always: index.json names the node."""
        return True

    def check_room(self, blobs: Iterable[Descriptor]) -> None:
        """Checks the free space of the complete layout."""
        self._open().check_room(blobs)

    def refer(self, _node: Node, _subject: Digest) -> None:
        """Does nothing: a layout has no index of referrers, and clients use the subjects in the manifests."""

    def discard(self, descriptor: Descriptor) -> bool:
        """Moves a damaged blob aside, for all repositories."""
        self._open().discard(descriptor)
        return True

    def settle(self) -> None:
        """Makes the complete layout durable."""
        self._open().settle()

    def publish(self, names: Mapping[str, Descriptor], _source: Source | None = None) -> None:
        """Writes names as `repository:tag`, and references by digest as `repository@digest`."""
        made = {}
        for name, root in names.items():
            made[f"{self.at}:{name}" if name else f"{self.at}@{root.digest}"] = root
        if made:
            self._open().publish(made)
