"""`SharedPass`: graphs for several registries in one pass, each blob read once (docs/adr/0008)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from airgap.content.copy import Copied, Copy, Holders, copy_graph
from airgap.content.graph import Descriptor
from airgap.destinations.base import Run


def _nobody(_url: str, _blob: Descriptor) -> Sequence[str]:
    return ()


class SharedPass:
    """Collects the copies that destinations announce, and makes all of them when the first result is requested."""

    def __init__(self) -> None:
        self.holders: Holders = _nobody
        """Which repositories of a registry have a blob already, besides those of the copies."""
        self._due: dict[int, Copy] = {}
        self._done: dict[int, Copied] = {}
        self._numbers = itertools.count()

    def add(self, copies: Iterable[Copy]) -> list[int]:
        """Adds copies; returns their numbers, with which `results` returns their outcome."""
        made = {next(self._numbers): copy for copy in copies}
        self._due |= made
        return list(made)

    def results(self, numbers: Iterable[int], run: Run) -> list[Copied]:
        """Returns the outcome of copies, each once. Copies that are due are made first, with the jobs and progress of
        `run`.

        Raises `StoreError` for the local disk.
        """
        due, self._due = self._due, {}
        if due:
            copied = copy_graph(list(due.values()), jobs=run.jobs, progress=run.progress, holders=self.holders)
            self._done |= zip(due, copied, strict=True)
        return [self._done.pop(number) for number in numbers]
