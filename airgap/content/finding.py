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
    """No delivery brought it."""
    REMOVED = "removed"
    """A delivery brought it and a later one no longer lists it, but it is still inside."""
    SUPERSEDED = "superseded"
    """Not as it should be by what was compared, because a later delivery moved it, or a prune deleted it."""
    UNKNOWN = "unknown"
    """Could not be checked. Counts as drift, because unknown is failure."""

    @property
    def is_drift(self) -> bool:
        """True if nobody decided that it should be so."""
        return self in (State.MISSING, State.CHANGED, State.EXTRA, State.UNKNOWN)


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
    delivery: str = ""
    """Of what is removed or superseded: the digest of the delivery that brought it last, or that moved it."""
    since: str = ""
    """The time of the receipt since which this is so."""

    def as_dict(self) -> dict[str, str]:
        """The JSON object of the audit report. A signed audit uses another one (`airgap.statements.predicates`)."""
        return {
            "destination": self.destination,
            "item": self.item, "at": self.at, "name": self.name, "state": str(self.state),
            "expected": self.expected, "got": self.got, "detail": self.detail,
            "delivery": self.delivery, "since": self.since,
        }  # fmt: skip
