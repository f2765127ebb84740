"""What is below a root in a store, as far as it is there: each node is read once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError, NotFoundError
from airgap.content.graph import MAX_DEPTH, Descriptor, Keep, Node, read_node
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Below:
    """Every digest that a graph names, its root included, and those of its nodes that could not be read."""

    digests: frozenset[Digest]
    unread: frozenset[Digest]
    """Nodes that are absent or damaged: what is below them is not known."""

    def __or__(self, other: Below) -> Below:
        return Below(self.digests | other.digests, self.unread | other.unread)


NOTHING = Below(frozenset(), frozenset())


@dataclass(slots=True)
class Graphs:
    """The graphs of a store. Not thread-safe."""

    layout: Layout
    sizes: Mapping[Digest, int]
    """The blobs that are there, with their bytes."""
    _nodes: dict[Digest, Node | None] = field(default_factory=dict)

    def below(self, root: Descriptor, keep: Keep | None = None) -> Below:
        """What `root` reaches. A child of an index that is not there counts as left out, unless `keep` asks for it."""
        found, unread = set[Digest](), set[Digest]()
        queue = [(root, 0)]
        while queue:
            descriptor, depth = queue.pop()
            if descriptor.digest in found:
                continue
            found.add(descriptor.digest)
            if not descriptor.is_node:
                continue
            node = self.node(descriptor)
            if node is None or depth > MAX_DEPTH:
                unread.add(descriptor.digest)
                continue
            queue += [
                (child, depth + 1)
                for child in node.children
                if not descriptor.is_index or (keep(node, child) if keep else child.digest in self.sizes)
            ]
        return Below(frozenset(found), frozenset(unread))

    def node(self, descriptor: Descriptor) -> Node | None:
        """A node without its bytes; `None` if it is absent or damaged."""
        if descriptor.digest not in self._nodes:
            self._nodes[descriptor.digest] = self._read(descriptor)
        return self._nodes[descriptor.digest]

    def rank(self, digest: Digest) -> int:
        """0 for a leaf, or what is not known, 1 for a manifest, 2 for an index."""
        node = self._nodes.get(digest)
        return 0 if node is None else 1 + node.descriptor.is_index

    def _read(self, descriptor: Descriptor) -> Node | None:
        if self.sizes.get(descriptor.digest) != descriptor.size:
            return None
        try:
            return replace(read_node(self.layout, descriptor), data=b"")
        except (IntegrityError, NotFoundError):
            return None
