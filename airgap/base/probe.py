"""`Probe`: one thing that `airgap doctor` looked at, and how it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airgap.base.errors import AirgapError

REFUSED = 3
"""The exit code of a result that says no, as `airgap.cli.exits` has it."""


class Health(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    """An import would succeed today."""
    PROBLEM = "problem"
    """An import, or part of it, would fail."""
    UNKNOWN = "unknown"
    """It cannot be looked at: the account may not, or it could be known only by writing."""


@dataclass(frozen=True, slots=True)
class Probe:
    """`place` is a file, a folder, a program or an address; `what` is what was looked at there, in a word or two."""

    place: str
    what: str
    health: Health
    said: str
    """One line, unless it is `Lines`: a resource with several faults."""
    hint: str = ""
    """The command or the click that mends it."""
    code: str = ""
    exit_code: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "place": self.place,
            "what": self.what,
            "state": str(self.health),
            "said": self.said,
            "next": self.hint or None,
            "code": self.code or None,
        }


class Probes:
    """Collects the probes of one place."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.found: list[Probe] = []

    @property
    def broken(self) -> bool:
        """True if there is a problem."""
        return any(one.health is Health.PROBLEM for one in self.found)

    def ok(self, what: str, said: str) -> None:
        """Adds what is as it should be."""
        self.found.append(Probe(self.place, what, Health.OK, said))

    def warn(self, what: str, said: str, hint: str) -> None:
        """Adds what will be a problem."""
        self.found.append(Probe(self.place, what, Health.WARNING, said, hint))

    def unknown(self, what: str, said: str, hint: str = "") -> None:
        """Adds what could not be looked at."""
        self.found.append(Probe(self.place, what, Health.UNKNOWN, said, hint))

    def refused(self, what: str, said: str, hint: str) -> None:
        """Adds what an import would refuse, without an error."""
        self.found.append(Probe(self.place, what, Health.PROBLEM, said, hint, exit_code=REFUSED))

    def problem(self, what: str, error: AirgapError, hint: str = "") -> None:
        """Adds an error that an import would meet. `hint` replaces its next step."""
        hint = hint or error.hint
        self.found.append(Probe(self.place, what, Health.PROBLEM, error.what, hint, error.code, error.exit_code))

    @contextmanager
    def looking(self, what: str) -> Iterator[None]:
        """Makes a problem of every error inside."""
        try:
            yield
        except AirgapError as error:
            self.problem(what, error)


def exit_of(probes: Iterable[Probe]) -> int:
    """The exit code: the highest one of all problems, 0 without problems."""
    return max((one.exit_code for one in probes if one.health is Health.PROBLEM), default=0)
