"""What each kind of statement says, beside its signer's claim. Shapes: docs/format.md, "Statements".

A new kind is a new class here or elsewhere, and its line in `airgap.statements.statement.BODIES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from airgap.base.digest import Digest
from airgap.content.forms import Signs
from airgap.statements.fields import Fields

OUTCOMES = frozenset({"pass", "fail", "not-run"})
"""How a check ended. Only `pass` counts."""
WRITES = frozenset({"written", "present", "refused", "failed"})
"""How an item fared at a destination."""
FORMS = frozenset({"graph", "refs", "tree"})
PROBLEMS = frozenset({"missing", "changed", "extra", "unreadable"})

_ADDRESS = re.compile(r"(?:sha256:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{64})\Z")


class Predicate(Protocol):
    """One kind of statement's own fields."""

    kind: ClassVar[str]
    FIELDS: ClassVar[frozenset[str]]
    """The JSON names: all are there, and no other."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The body out of a predicate. Raises what `fields` raises."""


@dataclass(frozen=True, slots=True)
class PulledItem:
    """What `pull` made of one locked item. `root` is `None` only where it failed; `bytes` is what its graph holds."""

    root: Digest | None
    outcome: str
    bytes: int
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        root = None if self.root is None else str(self.root)
        return {
            "root": root,
            "outcome": self.outcome,
            "reason": self.reason,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class Pull:
    """The exporter: everything that the lock (the subject) names was fetched and verified. By item name."""

    kind: ClassVar[str] = "pull"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"items"})

    items: Mapping[str, PulledItem] = field(hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {"items": {name: item.as_dict() for name, item in self.items.items()}}

    @classmethod
    def read(cls, fields: Fields) -> Pull:
        """The body out of a predicate."""
        found = fields.named("items", {"root", "outcome", "reason", "bytes"})
        return cls(
            {
                name: PulledItem(
                    root=item.maybe_digest("root"),
                    outcome=item.choice("outcome", OUTCOMES),
                    bytes=item.number("bytes"),
                    reason=item.maybe_text("reason"),
                )
                for name, item in found.items()
            }
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """Who cut the delivery: this AIRGAP.json (the subject) is what was meant to travel."""

    kind: ClassVar[str] = "delivery"
    FIELDS: ClassVar[frozenset[str]] = frozenset()

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields: none."""
        return {}

    @classmethod
    def read(cls, _fields: Fields) -> Delivery:
        """The body out of a predicate."""
        return cls()


@dataclass(frozen=True, slots=True)
class Approval:
    """The security-officer: this lock, or this AIRGAP.json (the subject), may go in."""

    kind: ClassVar[str] = "approval"
    FIELDS: ClassVar[frozenset[str]] = frozenset()

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields: none."""
        return {}

    @classmethod
    def read(cls, _fields: Fields) -> Approval:
        """The body out of a predicate."""
        return cls()


@dataclass(frozen=True, slots=True)
class PlacedItem:
    """One name at a destination. `digest` and `previous` are `sha256:` digests, or object ids in the form `refs`."""

    item: str
    at: str
    """The repository, bucket or folder."""
    name: str
    """The tag, ref or path in it."""
    digest: str
    outcome: str
    previous: str | None = None
    """What the name held before; `None` where it was new."""
    reason: str | None = None
    signs: Signs | None = None
    """What it says, where it is a signature or attestation that the Sovereign made itself."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"item", "at", "name", "digest", "previous", "outcome", "reason"})

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "item": self.item,
            "at": self.at,
            "name": self.name,
            "digest": self.digest,
            "previous": self.previous,
            "outcome": self.outcome,
            "reason": self.reason,
            **({"signs": self.signs.as_dict()} if self.signs else {}),
        }

    @classmethod
    def read(cls, fields: Fields) -> PlacedItem:
        """An item out of a receipt."""
        return cls(
            item=fields.text("item"),
            at=fields.text("at"),
            name=fields.text("name"),
            digest=_address(fields, "digest"),
            outcome=fields.choice("outcome", WRITES),
            previous=None if fields.maybe_text("previous") is None else _address(fields, "previous"),
            reason=fields.maybe_text("reason"),
            signs=_signs(fields) if fields.has("signs") else None,
        )


def _signs(fields: Fields) -> Signs:
    found = fields.inner("signs", {"subject", "predicateType", "statement", "key"})
    return Signs(
        subject=str(found.digest("subject")),
        predicate_type=found.text("predicateType"),
        statement=str(found.digest("statement")),
        key=found.text("key"),
    )


@dataclass(frozen=True, slots=True)
class Placed:
    """What one destination holds after an import. `form` is `graph`, `refs` or `tree`."""

    url: str
    form: str
    items: tuple[PlacedItem, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "url": self.url,
            "form": self.form,
            "items": [item.as_dict() for item in self.items],
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """The Sovereign: what became of the delivery whose AIRGAP.json is the subject."""

    kind: ClassVar[str] = "receipt"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"delivery", "stream", "sequence", "destinations"})

    delivery: str
    """The journey's id."""
    stream: str
    sequence: int
    destinations: tuple[Placed, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "delivery": self.delivery,
            "stream": self.stream,
            "sequence": self.sequence,
            "destinations": [placed.as_dict() for placed in self.destinations],
        }

    @classmethod
    def read(cls, fields: Fields) -> Receipt:
        """The body out of a predicate."""
        return cls(
            delivery=fields.text("delivery"),
            stream=fields.text("stream"),
            sequence=fields.number("sequence"),
            destinations=tuple(
                Placed(
                    url=found.text("url"),
                    form=found.choice("form", FORMS),
                    items=tuple(PlacedItem.read(item) for item in found.each("items", PlacedItem.FIELDS, {"signs"})),
                )
                for found in fields.each("destinations", {"url", "form", "items"})
            ),
        )


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that is not as it should be. Addresses as in `PlacedItem`; `None` where there is none."""

    destination: str
    item: str
    at: str
    name: str
    problem: str
    expected: str | None = None
    found: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "destination": self.destination,
            "item": self.item,
            "at": self.at,
            "name": self.name,
            "problem": self.problem,
            "expected": self.expected,
            "found": self.found,
        }

    @classmethod
    def read(cls, fields: Fields) -> AuditFinding:
        """A finding out of an audit."""
        expected, found = fields.maybe_text("expected"), fields.maybe_text("found")
        return cls(
            destination=fields.text("destination"),
            item=fields.text("item"),
            at=fields.text("at"),
            name=fields.text("name"),
            problem=fields.choice("problem", PROBLEMS),
            expected=None if expected is None else _address(fields, "expected"),
            found=None if found is None else _address(fields, "found"),
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """What there is inside, compared with the lock or the AIRGAP.json (the subject)."""

    kind: ClassVar[str] = "audit"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"outcome", "deep", "checked", "findings"})

    outcome: str
    deep: bool
    """True where every byte was hashed again, whatever receipts said."""
    checked: int
    """The number of names that were looked at."""
    findings: tuple[AuditFinding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "outcome": self.outcome,
            "deep": self.deep,
            "checked": self.checked,
            "findings": [finding.as_dict() for finding in self.findings],
        }

    @classmethod
    def read(cls, fields: Fields) -> Audit:
        """The body out of a predicate."""
        names = {"destination", "item", "at", "name", "problem", "expected", "found"}
        return cls(
            outcome=fields.choice("outcome", OUTCOMES),
            deep=fields.flag("deep"),
            checked=fields.number("checked"),
            findings=tuple(AuditFinding.read(found) for found in fields.each("findings", names)),
        )


def _address(fields: Fields, name: str) -> str:
    value = fields.text(name)
    if not _ADDRESS.match(value):
        raise fields.refuse(f"{fields.at(name)}: got {value[:100]!r}, expected a digest or a Git object id")
    return value
