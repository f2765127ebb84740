"""The content of a prune: what became of each line of a plan that a security-officer approved (docs/format.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.content.removal import RemovalOutcome
from airgap.statements.predicates import FORMS, address_of

ENDS = frozenset(map(str, RemovalOutcome))
LEFT = (RemovalOutcome.FAILED, RemovalOutcome.NOT_REACHED)
"""Outcomes of lines that the same plan may still delete."""
_LINE = frozenset({"destination", "form", "item", "at", "name", "digest", "outcome", "reason"})


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of one line."""

    destination: str
    form: str
    item: str
    at: str
    name: str
    digest: str
    outcome: RemovalOutcome
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "destination": self.destination,
            "form": self.form,
            "item": self.item,
            "at": self.at,
            "name": self.name,
            "digest": self.digest,
            "outcome": str(self.outcome),
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class Prune:
    """By the Sovereign: what was deleted inside by the approved plan that is the subject."""

    kind: ClassVar[str] = "prune"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"sovereign", "approval", "lines"})

    sovereign: str
    approval: Digest
    """The digest of the approval's file."""
    lines: tuple[Pruned, ...]

    @property
    def ended(self) -> bool:
        """True if nothing is left to do."""
        return all(line.outcome not in LEFT for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "sovereign": self.sovereign,
            "approval": str(self.approval),
            "lines": [line.as_dict() for line in self.lines],
        }

    @classmethod
    def read(cls, fields: Fields) -> Prune:
        """Reads the body from a predicate."""
        return cls(
            fields.text("sovereign"),
            fields.digest("approval"),
            tuple(
                Pruned(
                    one.text("destination"),
                    one.choice("form", FORMS),
                    one.text("item"),
                    one.text("at"),
                    one.text("name"),
                    address_of(one, "digest"),
                    RemovalOutcome(one.choice("outcome", ENDS)),
                    one.maybe_text("reason") or "",
                )
                for one in fields.each("lines", _LINE)
            ),
        )
