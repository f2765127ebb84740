"""Items that are no graph upstream become one in the store: once for each lock, and again if it was damaged."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import hash_stream
from airgap.base.errors import IntegrityError, NotFoundError
from airgap.base.progress import Progress
from airgap.content.graph import Descriptor, Node, Opener, PutResult, Target, walk
from airgap.content.item import Item
from airgap.kinds.table import kind_of, store_names
from airgap.station.files import pin_name
from airgap.store.layout import Layout
from airgap.store.locate import Reach


class Packing:
    """Packs the items of one pull into `layout`, one after the other. `work` is for what kinds keep between runs."""

    def __init__(self, layout: Layout, work: Path, progress: Progress) -> None:
        self._layout = layout
        self._work = work
        self._progress = progress
        self._named: dict[str, Descriptor] = {}

    def pack(self, item: Item, reach: Reach) -> tuple[Descriptor, int]:
        """The root of an item, and how many bytes of its graph are new. Raises the errors of `Kind.pack`."""
        found = self._layout.find(pin_name(item))
        if found is not None and self._layout.has(found):
            return Descriptor(found.media_type, found.digest, found.size), 0
        self._progress.item(item.name)
        target = _Counted(self._layout, self._named)
        root = kind_of(item).pack(item, target, self._work, reach)
        # The next lock of this run continues from here; the store gets the names when all is checked.
        self._named |= store_names(item, root)
        return root, target.written

    def drop_damaged(self, root: Descriptor) -> bool:
        """Hides the damaged blobs of a graph; true if some were, or are missing: then `pack` makes it again."""
        try:
            blobs = [found.descriptor if isinstance(found, Node) else found for found in walk(self._layout, root)]
        except (IntegrityError, NotFoundError):
            blobs = [root]
        damaged = [blob for blob in blobs if not self._is_whole(blob)]
        for blob in damaged:
            if self._layout.has(blob):
                self._layout.discard(blob)
        if damaged and self._layout.has(root):
            self._layout.discard(root)
        return bool(damaged)

    def _is_whole(self, blob: Descriptor) -> bool:
        if not self._layout.has(blob):
            return False
        with self._layout.open(blob) as stream:
            return hash_stream(stream)[0] == blob.digest


class _Counted:
    """The store as a `Target`, with names that it does not have yet. It counts the bytes that are new. Thread-safe."""

    def __init__(self, target: Target, named: Mapping[str, Descriptor]) -> None:
        self._target = target
        self._named = named
        self._lock = threading.Lock()
        self.written = 0

    def has(self, descriptor: Descriptor) -> bool:
        """Of the target."""
        return self._target.has(descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """From the target."""
        return self._target.open(descriptor, offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Of the target, and what will have a name; the last one of a name counts."""
        return [*self._target.roots(), *self._named.items()]

    def asks(self, descriptor: Descriptor) -> bool:
        """As the target."""
        return self._target.asks(descriptor)

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """Into the target."""
        outcome = self._target.put(descriptor, opener, mount_from)
        if outcome is PutResult.WRITTEN:
            with self._lock:
                self.written += descriptor.size
        return outcome

    def check_room(self, blobs: Iterable[Descriptor]) -> None:
        """Of the target."""
        self._target.check_room(blobs)

    def settle(self) -> None:
        """Of the target."""
        self._target.settle()

    def publish(self, names: Mapping[str, Descriptor]) -> None:
        """In the target."""
        self._target.publish(names)
