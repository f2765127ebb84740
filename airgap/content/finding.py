"""`Finding`: the result of an audit for one name, and how it compares with what should be there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airgap.base.errors import AirgapError


class State(StrEnum):
    """How content inside compares with what should be there."""

    GOOD = "good"
    MISSING = "missing"
    CHANGED = "changed"
    EXTRA = "extra"
    UNKNOWN = "unknown"
    """Could not be checked. Counts as drift, because unknown is failure."""


def because(error: AirgapError) -> str:
    """The detail of what could not be checked: the error, and the next step if it has one."""
    return f"{error}; next: {error.hint}" if error.hint else str(error)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an audit examined: `expected` and `got` are digests, object ids or sizes."""

    item: str
    at: str
    name: str
    state: State
    expected: str = ""
    got: str = ""
    detail: str = ""
    destination: str = ""
    """The destination's URL. The audit fills it in."""

    def as_dict(self) -> dict[str, str]:
        """The JSON object of the audit report. A signed audit uses another one (`airgap.statements.predicates`)."""
        return {
            "destination": self.destination,
            "item": self.item, "at": self.at, "name": self.name, "state": str(self.state),
            "expected": self.expected, "got": self.got, "detail": self.detail,
        }  # fmt: skip
