"""The Sovereign's list of what it accepted, as a statement: what accepted.json says, signed, to be kept elsewhere.

It lies in the destinations, where a state that was lost or rolled back cannot take it along. Its subject is the
AIRGAP.json of its last entry. Shape: docs/format.md, "Statements".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.statements.accepted_state import ENTRY, Accepted, AcceptedState
from airgap.statements.fields import Fields


@dataclass(frozen=True, slots=True)
class AcceptedList:
    """The Sovereign: these deliveries were accepted here, oldest first; in each stream the sequence grows."""

    kind: ClassVar[str] = "accepted"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"sovereign", "deliveries"})

    sovereign: str
    deliveries: tuple[Accepted, ...]

    @property
    def newest(self) -> Digest:
        """The subject of the statement: the AIRGAP.json of the last entry."""
        return self.deliveries[-1].digest

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "sovereign": self.sovereign,
            "deliveries": [one.as_dict() for one in self.deliveries],
        }

    @classmethod
    def read(cls, fields: Fields) -> AcceptedList:
        """The body out of a predicate."""
        deliveries = tuple(Accepted.read(entry) for entry in fields.each("deliveries", ENTRY))
        made = cls(fields.text("sovereign"), deliveries)
        if not deliveries:
            raise fields.refuse(f"{fields.at('deliveries')}: empty, expected one or more")
        odd = AcceptedState(made.sovereign, deliveries).disorder()
        if odd:
            raise fields.refuse(f"{fields.at('deliveries')}: {odd}")
        return made
