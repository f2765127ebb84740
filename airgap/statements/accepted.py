"""The Sovereign's list of accepted deliveries, as a signed statement: the content of accepted.json, kept elsewhere.

It is in the destinations, where it survives if the state is lost or rolled back. Its subject is the AIRGAP.json of its
last entry. Shape: docs/format.md, "Statements".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.statements.accepted_state import ENTRY, Accepted, AcceptedState


@dataclass(frozen=True, slots=True)
class AcceptedList:
    """By the Sovereign: these deliveries were accepted here, oldest first. In each stream the sequence increases."""

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
        """Reads the body from a predicate."""
        deliveries = tuple(Accepted.read(entry) for entry in fields.each("deliveries", ENTRY))
        made = cls(fields.text("sovereign"), deliveries)
        if not deliveries:
            raise fields.refuse(f"{fields.at('deliveries')}: empty, expected one or more")
        odd = AcceptedState(made.sovereign, deliveries).disorder()
        if odd:
            raise fields.refuse(f"{fields.at('deliveries')}: {odd}")
        return made
