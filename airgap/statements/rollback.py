"""The content of a rollback: what became of the names that a delivery had moved (docs/format.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.content.forms import ChangeOutcome
from airgap.statements.predicates import WRITES, Placed, read_placed

ENDS = WRITES | {str(ChangeOutcome.STAYS)}
"""The outcomes of a name."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """By the Sovereign: what the names that a delivery (the subject: its AIRGAP.json) had written hold since then.

    Lines are like those of a receipt: `digest` is what the name holds now, `previous` what the delivery had given it.
    """

    kind: ClassVar[str] = "rollback"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"delivery", "stream", "sequence", "receipts", "destinations"})

    delivery: str
    """The id of the journey."""
    stream: str
    sequence: int
    receipts: tuple[Digest, ...]
    """The receipts of the delivery that say what the names held before: the digests of their files."""
    destinations: tuple[Placed, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "delivery": self.delivery,
            "stream": self.stream,
            "sequence": self.sequence,
            "receipts": [str(one) for one in self.receipts],
            "destinations": [placed.as_dict() for placed in self.destinations],
        }

    @classmethod
    def read(cls, fields: Fields) -> Rollback:
        """Reads the body from a predicate."""
        return cls(
            delivery=fields.text("delivery"),
            stream=fields.text("stream"),
            sequence=fields.number("sequence"),
            receipts=tuple(fields.digests("receipts")),
            destinations=read_placed(fields, ENDS),
        )
