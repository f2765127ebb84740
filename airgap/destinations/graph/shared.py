"""`SharedPass`: graphs for several registries in one pass, each blob read once (docs/adr/0008)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from airgap.content.copy import Copied, Copy, copy_graph
from airgap.destinations.base import Run


class SharedPass:
    """Collects the copies that destinations announce, and makes all of them when the first result is requested."""

    def __init__(self) -> None:
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
            copied = copy_graph(list(due.values()), jobs=run.jobs, progress=run.progress)
            self._done |= zip(due, copied, strict=True)
        return [self._done.pop(number) for number in numbers]
