"""`DocumentReader`: paths, names and problems while one validated document is read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airgap.resources.document import Document
from airgap.resources.problems import Found, Problem, Steps, listed, nearest, quoted, spell


class DocumentReader:
    """One document, the file's name in messages, and the folder where relative paths start.

    `given` are the values of fields that are not in `spec`: `name`, and `raw` (the file's bytes). `unsound` contains
    the steps to each value that the schema refused, and to the values around it. The reader skips these, so that one
    typing error does not hide the other mistakes of a file. It collects all problems in `found`; the caller raises
    them.
    """

    def __init__(
        self, document: Document, label: str, base: Path, found: Sequence[Found], given: Mapping[str, Any]
    ) -> None:
        self.document = document
        self.label = label
        self.base = base
        self.given = given
        self.found = list(found)
        self.unsound = {steps[:count] for steps, _ in found for count in range(1, len(steps) + 1)}
        self._taken: dict[Steps, dict[str, Steps]] = {}
        self._names: dict[str, dict[str, Any]] = {}

    @property
    def problems(self) -> list[Problem]:
        """All problems of the document."""
        return [problem for _, problem in self.found]

    def at(self, steps: Steps) -> str:
        """`file:line:column` of a value."""
        return f"{self.label}:{self.document.mark(steps)}"

    def bad(self, steps: Steps, text: str) -> None:
        """Adds a problem with a value. An empty `text` adds none, so that callers can pass on any complaint."""
        if text:
            self.found.append((steps, Problem(self.document.mark(steps), f"{spell(steps)}: {text}")))

    def path(self, steps: Steps, text: str) -> Path:
        """An absolute path. A relative one starts at the folder of the file."""
        if text.startswith("~"):
            self.bad(steps, f"got {quoted(text)}, expected a path without '~', which airgap does not expand")
        return Path(os.path.normpath(self.base / text))

    def taken(self, scope: Steps) -> dict[str, Steps]:
        """The keys used in a scope, and where each was used first."""
        return self._taken.setdefault(scope, {})

    def once(self, scope: Steps, steps: Steps, key: str, what: str) -> bool:
        """Adds a problem that names both places if `key` was used before in the scope. Returns false in that case."""
        first = self.taken(scope).setdefault(key, steps)
        if first != steps:
            self.bad(steps, f"{what} is used twice, first by {spell(first)} ({self.at(first)})")
        return first == steps

    def names(self, steps: Steps) -> dict[str, Any]:
        """The entries of a list, by name."""
        return self._names.setdefault(spell(steps), {})

    def entry_named(self, steps: Steps, name: str, where: str) -> Any:
        """The entry with this name in the list at `where`. If there is none, adds a problem and returns `None`."""
        there = self._names.get(where, {})
        if name not in there:
            word = nearest(name, there)
            has = f"expected one of {where}: {listed(there)}" if there else f"but {where} has no entries"
            self.bad(steps, f"got {quoted(name)}, " + (f"did you mean {quoted(word)}?" if word else has))
        return there.get(name)
