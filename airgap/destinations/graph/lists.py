"""`Lists`: what Harbor lists of its projects. One list confirms as much as many requests, one for each name.

It only confirms what a receipt of this Sovereign lists, so it was read once, by bytes. A name that the list lacks, or
shows with other content, is asked for itself. An audit, `--deep` and `--restore` do not trust a list for content.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from airgap.base.errors import UpstreamError
from airgap.content.forms import Change
from airgap.store.registry.harbor import PAGE, Harbor, HarborArtifact

WORTH = 5
"""Names of a project from which on its list is asked for: finding out how long it is costs two requests."""

Spot = tuple[str, str, str]
"""(at, tag or digest, digest)."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of one Harbor, each read at most once. Thread-safe."""

    harbor: Harbor
    _known: dict[str, Collection[Spot]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def has(self, change: Change, wanted: int) -> bool:
        """True if the list of the project has a name with its content. `wanted` is the number of names to look for.

        False also if the registry is no Harbor, if the account may not list, or if the list is too long to pay off.
        """
        if wanted < WORTH:
            return False
        project = change.at.partition("/")[0]
        with self._lock:
            if project not in self._known:
                self._known[project] = frozenset(self._read(project, wanted))
        return (change.at, change.name or change.digest, change.digest) in self._known[project]

    def _read(self, project: str, wanted: int) -> Iterator[Spot]:
        if not self.harbor.there():
            return
        try:
            if self.harbor.size(project) > wanted * PAGE:
                return
            for one in self.harbor.artifacts(project):
                yield from _spots(one)
        except UpstreamError:  # each name is asked for instead, and that has its own errors
            return


def _spots(one: HarborArtifact) -> Iterator[Spot]:
    for name in (*one.tags, one.digest):
        yield one.repository, name, one.digest
    for digest in (*one.children, *(accessory.digest for accessory in one.accessories)):
        yield one.repository, digest, digest
