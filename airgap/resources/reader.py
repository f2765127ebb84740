"""`DocumentReader`: what reading one validated document needs: its paths, its names, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airgap.resources.document import Document
from airgap.resources.problems import Found, Problem, Steps, listed, nearest, quoted, spell


class DocumentReader:
    """One document, the file's name in messages, and the folder where relative paths begin.

    `given` is what a value keeps of its document besides its fields: `name` and `raw`, the file's bytes. Values at or
    above those that the schema refused are in `unsound` and are passed over, so that one typing error does not hide
    the other mistakes of a file. All problems end up in `problems`; the caller raises them.
    """

    def __init__(
        self, document: Document, label: str, base: Path, found: Sequence[Found], given: Mapping[str, Any]
    ) -> None:
        self.document = document
        self.label = label
        self.base = base
        self.given = given
        self.problems = [problem for _, problem in found]
        self.unsound = {steps[:count] for steps, _ in found for count in range(1, len(steps) + 1)}
        self._taken: dict[Steps, dict[str, Steps]] = {}
        self._names: dict[str, dict[str, Any]] = {}

    def at(self, steps: Steps) -> str:
        """`file:line:column` of a value."""
        return f"{self.label}:{self.document.mark(steps)}"

    def bad(self, steps: Steps, text: str) -> None:
        """Notes a problem with a value. An empty `text` is none, so that a complaint can be passed on as it is."""
        if text:
            self.problems.append(Problem(self.document.mark(steps), f"{spell(steps)}: {text}"))

    def path(self, steps: Steps, text: str) -> Path:
        """An absolute path; relative ones begin at the folder of the file."""
        if text.startswith("~"):
            self.bad(steps, f"got {quoted(text)}, expected a path without '~': it is not expanded here")
        return Path(os.path.normpath(self.base / text))

    def taken(self, scope: Steps) -> dict[str, Steps]:
        """The keys that were used in a scope, and where each was used first."""
        return self._taken.setdefault(scope, {})

    def once(self, scope: Steps, steps: Steps, key: str, what: str) -> bool:
        """Notes a problem where `key` was used before in the scope, naming both places. False where it was."""
        first = self.taken(scope).setdefault(key, steps)
        if first != steps:
            self.bad(steps, f"{what} is used twice, first by {spell(first)} ({self.at(first)})")
        return first == steps

    def names(self, steps: Steps) -> dict[str, Any]:
        """The entries of a list by their names."""
        return self._names.setdefault(spell(steps), {})

    def entry_named(self, steps: Steps, name: str, where: str) -> Any:
        """The entry of the list at `where` that has the name; `None`, and a problem, where there is none."""
        there = self._names.get(where, {})
        if name not in there:
            word = nearest(name, there)
            has = f"expected one of {where}: {listed(there)}" if there else f"and {where} has none"
            self.bad(steps, f"got {quoted(name)}, " + (f"did you mean {quoted(word)}?" if word else has))
        return there.get(name)
