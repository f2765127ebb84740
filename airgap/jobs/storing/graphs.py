"""What is below a root in a store, as far as it is there: each node is read once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError, NotFoundError
from airgap.content.graph import MAX_DEPTH, MAX_NODE, Descriptor, Keep, Node, read_node, unnamed
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Below:
    """Every digest that a graph names, its root included, and those of its nodes that could not be read."""

    digests: frozenset[Digest]
    unread: frozenset[Digest]
    """Nodes that are absent or damaged, and a root of a type that is not known: what is below them is not known."""
    left_out: frozenset[Digest] = frozenset()
    """Children of an index that are absent, where nobody said which of them are wanted."""

    def __or__(self, other: Below) -> Below:
        return Below(self.digests | other.digests, self.unread | other.unread, self.left_out | other.left_out)


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
        found, unread, left_out = set[Digest](), set[Digest](), set[Digest]()
        if not root.is_node:
            return Below(frozenset({root.digest}), frozenset({root.digest}))
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
            for child in node.children:
                if not descriptor.is_index or (keep(node, child) if keep else child.digest in self.sizes):
                    queue.append((child, depth + 1))
                elif not keep:
                    left_out.add(child.digest)
        return Below(frozenset(found), frozenset(unread), frozenset(left_out))

    def strays(self, digests: Collection[Digest]) -> set[Digest]:
        """Those of `digests` that are manifests or indexes, and what they name: signatures of what other tools put here
        have no name, and only point to it."""
        found = set[Digest]()
        for digest in digests:
            if digest in found or self.sizes[digest] > MAX_NODE:
                continue
            try:
                with self.layout.open(Descriptor("", digest, 0)) as stream:
                    if stream.read(1) != b"{":
                        continue
                root = unnamed(self.layout, digest)
            except (IntegrityError, NotFoundError):
                continue
            if not root.is_node:
                return set(digests)  # what it names is not known
            if self.node(root) is not None:
                found |= self.below(root).digests
        return found & set(digests)

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
