"""Trivy's caches of layers: one for each scan that runs, all with the layers that several images share.

A cache is a file that one process locks, so scans that run at once need one each. What images share is analysed first,
once, by one process for several layers, and is copied into each cache. Why, and what it costs: docs/adr/0021.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError
from airgap.content.graph import Descriptor, read_node
from airgap.content.scan_subject import ScanSubject
from airgap.scanning.databases.unpacked import Databases
from airgap.scanning.trivy.image import ShownImage, layers_of, show_layers
from airgap.scanning.trivy.layers import LayerFacts, Layers

BATCH_LAYERS = 32
"""Layers that one process analyses."""
BATCH_SIZE = 2 << 30
"""Bytes of them, packed."""
_CACHE = Path("fanal", "fanal.db")
"""Where Trivy has what it knows of layers, in its cache folder."""


class Caches:
    """The caches of one run, in `folder`. Thread-safe."""

    def __init__(self, databases: Databases, layers: Layers, folder: Path) -> None:
        self._databases, self._layers, self._folder = databases, layers, folder
        self._lock, self._warming = threading.Lock(), threading.Lock()
        self._free = list[_Cache]()
        self._made = 0
        self._shared = dict[Digest, tuple[Descriptor, ScanSubject]]()
        """Layers that several subjects have, in the order of the first of these, as far as they were not analysed."""
        self._current = 0

    def plan(self, subjects: Sequence[ScanSubject]) -> None:
        """Notes which layers the images share. A manifest that cannot be read is said when its turn comes."""
        count, first = Counter[Digest](), dict[Digest, tuple[Descriptor, ScanSubject]]()
        for subject in subjects:
            try:
                layers = {layer.digest: layer for layer in layers_of(read_node(subject.source, subject.node))}
            except AirgapError:
                continue
            for digest, layer in layers.items():
                count[digest] += 1
                first.setdefault(digest, (layer, subject))
        self._shared = {digest: one for digest, one in first.items() if count[digest] > 1}

    def needs(self, layers: Sequence[LayerFacts]) -> bool:
        """True if some of these layers are shared, and nobody analysed them."""
        with self._lock:
            return any(layer.digest in self._shared for layer in layers)

    @contextmanager
    def batch(self, needed: Sequence[LayerFacts]) -> Iterator[Batch]:
        """Layers to analyse: those of `needed` that are shared, and some that come next. One thread at a time.

        It may be that another one did it meanwhile: then there are none. Afterwards they are not offered again.
        """
        with self._warming:
            batch = self._next({layer.digest for layer in needed})
            if not batch.cache.exists():
                self._databases.link_into(batch.cache)
            try:
                yield batch
            finally:
                with self._lock:
                    self._current += bool(batch.layers)
                    for layer, _ in batch.layers:
                        del self._shared[layer.digest]

    def _next(self, needed: set[Digest]) -> Batch:
        mine = [one for digest, one in self._shared.items() if digest in needed]
        others = [one for digest, one in self._shared.items() if digest not in needed] if mine else []
        chosen, size = list(mine), sum(layer.size for layer, _ in mine)
        for one in others:
            size += one[0].size
            if size > BATCH_SIZE or len(chosen) >= BATCH_LAYERS:
                break
            chosen.append(one)
        return Batch(self._folder / "shared", chosen)

    @contextmanager
    def cache(self) -> Iterator[Path]:
        """A cache for one scan, with everything that was analysed of what is shared."""
        with self._lock:
            one = self._free.pop() if self._free else None
            if one is None:
                self._made += 1
                one = _Cache(self._folder / f"cache-{self._made}")
        if not one.folder.exists():
            self._databases.link_into(one.folder)
        if one.current != self._current:
            with self._warming, disk_errors(one.folder):  # nobody may write it meanwhile
                one.current = self._current
                (one.folder / _CACHE).parent.mkdir(exist_ok=True, mode=0o700)
                if (self._folder / "shared" / _CACHE).exists():
                    shutil.copyfile(self._folder / "shared" / _CACHE, one.folder / _CACHE)
        try:
            yield one.folder
        finally:
            with self._lock:
                self._free.append(one)


class _Cache:
    """One cache folder, and how much of what is shared it has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.current = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Layers that one process analyses, and the cache that gets what it finds."""

    cache: Path
    layers: Sequence[tuple[Descriptor, ScanSubject]]

    def show(self, layers: Layers, folder: Path) -> ShownImage | None:
        """The layout with those that can be read; `None` if none can. Raises `StoreError`."""
        found, source = list[LayerFacts](), None
        for layer, subject in self.layers:
            try:
                found.append(layers.facts(subject.source, layer))
            except AirgapError:
                continue  # its images say so
            source = subject.source
        return None if source is None else show_layers(found, source, folder)
