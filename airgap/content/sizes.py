"""What items take on a medium: a blob that several items share is there once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Node, Source, walk
from airgap.content.item import Item


@dataclass(frozen=True, slots=True)
class ItemSize:
    """Bytes of an item: all of its blobs, and those that no item before it has. The latter add up to the whole."""

    bytes: int
    added: int

    @property
    def shared(self) -> int:
        """Bytes that items before it have, too."""
        return self.bytes - self.added


def item_blobs(item: Item, root: Descriptor | None, source: Source) -> list[Descriptor]:
    """Every blob of an item and of what is attached to it, from its graph. Raises any error of reading manifests."""
    every = (found for top, keep in item.graphs(root) for found in walk(source, top, keep))
    return [found.descriptor if isinstance(found, Node) else found for found in every]


class Tally:
    """Adds items up, each blob once."""

    def __init__(self) -> None:
        self._seen: set[Digest] = set()
        self.total = 0

    def add(self, blobs: Iterable[Descriptor]) -> ItemSize:
        """The size of one more item."""
        own = {blob.digest: blob.size for blob in blobs}
        added = sum(size for digest, size in own.items() if digest not in self._seen)
        self._seen |= own.keys()
        self.total += added
        return ItemSize(sum(own.values()), added)

    def add_unread(self, size: int) -> ItemSize:
        """The size of an item whose blobs are not known here: as if it shared none."""
        self.total += size
        return ItemSize(size, size)
