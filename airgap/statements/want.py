"""The content of a want list: what of a delivery is not inside, so that a small delivery can bring exactly that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.content.lock import MAX_ITEM_NAME


@dataclass(frozen=True, slots=True)
class WantedBlob:
    """A blob that is not inside. Its size is in bytes."""

    digest: Digest
    size: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"digest": str(self.digest), "size": self.size}


@dataclass(frozen=True, slots=True)
class Want:
    """By the Sovereign: the blobs that `items` of the delivery, whose AIRGAP.json is the subject, need and lack inside.

    Every other blob that the delivery omits is inside; and every other one that it carries, if it was accepted.
    """

    kind: ClassVar[str] = "want"
    FIELDS: ClassVar[frozenset[str]] = frozenset(
        {"sovereign", "delivery", "stream", "sequence", "items", "blobs", "base"}
    )

    sovereign: str
    delivery: str
    """The id of the journey."""
    stream: str
    sequence: int
    items: tuple[str, ...]
    """What is to be delivered: all items of the delivery if it was not accepted, else those that lack something."""
    blobs: tuple[WantedBlob, ...]
    base: Digest | None = None
    """The delivery that was accepted last: what is inside can be omitted on it. `None` if none was."""

    @property
    def size(self) -> int:
        """The bytes of all blobs."""
        return sum(one.size for one in self.blobs)

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "sovereign": self.sovereign,
            "delivery": self.delivery,
            "stream": self.stream,
            "sequence": self.sequence,
            "items": list(self.items),
            "blobs": [one.as_dict() for one in self.blobs],
            "base": None if self.base is None else str(self.base),
        }

    @classmethod
    def read(cls, fields: Fields) -> Want:
        """Reads the body from a predicate."""
        return cls(
            fields.text("sovereign"),
            fields.text("delivery"),
            fields.text("stream"),
            fields.number("sequence"),
            tuple(fields.texts("items", MAX_ITEM_NAME)),
            tuple(WantedBlob(one.digest("digest"), one.number("size")) for one in fields.each("blobs", _BLOB)),
            fields.maybe_digest("base"),
        )


_BLOB = frozenset({"digest", "size"})
