"""The content of each kind of statement, apart from its signer's claim. Shapes: docs/format.md, "Statements".

A new kind is a new class here or elsewhere, and its line in `airgap.statements.statement.BODIES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from airgap.base.digest import Digest
from airgap.base.json_fields import Fields
from airgap.content.forms import Change, ChangeOutcome, Signs
from airgap.content.lock_finding import LockFinding

OUTCOMES = frozenset({"pass", "fail", "not-run"})
"""How a check ended. Only `pass` counts."""
WRITES = frozenset(
    map(
        str,
        (
            ChangeOutcome.WRITTEN,
            ChangeOutcome.PRESENT,
            ChangeOutcome.UNCONFIRMED,
            ChangeOutcome.REFUSED,
            ChangeOutcome.FAILED,
            ChangeOutcome.WITHHELD,
        ),
    )
)
"""The outcomes of an item at a destination."""
ALL_OR_NOTHING, KEEP_GOING = "all-or-nothing", "keep-going"
PUBLISH = frozenset({ALL_OR_NOTHING, KEEP_GOING})
"""How an import publishes names where something of the delivery failed: none at that destination, or all others."""
FORMS = frozenset({"graph", "refs", "tree"})

_ADDRESS = re.compile(r"(?:sha256:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{64})\Z")


class Predicate(Protocol):
    """One kind of statement's own fields."""

    kind: ClassVar[str]
    FIELDS: ClassVar[frozenset[str]]
    """The JSON names: all are required, and no others are allowed."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Reads the body from a predicate. Raises as `fields` does."""


@dataclass(frozen=True, slots=True)
class PulledItem:
    """The result of `pull` for one locked item. `root` is `None` only if it failed; `bytes` is its graph's size."""

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
    """By the exporter: everything that the lock (the subject) names was fetched and verified. By item name."""

    kind: ClassVar[str] = "pull"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"items"})

    items: Mapping[str, PulledItem] = field(hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {"items": {name: item.as_dict() for name, item in self.items.items()}}

    @classmethod
    def read(cls, fields: Fields) -> Pull:
        """Reads the body from a predicate."""
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
    """By the role that cut the delivery: this AIRGAP.json (the subject) is what was meant to travel."""

    kind: ClassVar[str] = "delivery"
    FIELDS: ClassVar[frozenset[str]] = frozenset()

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields: none."""
        return {}

    @classmethod
    def read(cls, _fields: Fields) -> Delivery:
        """Reads the body from a predicate."""
        return cls()


_CHANGE = frozenset({"item", "at", "name", "digest", "previous", "outcome", "reason"})


def _change(fields: Fields, outcomes: AbstractSet[str]) -> Change:
    """Reads a line of a receipt or a rollback. Addresses are `sha256:` digests, or object ids in the form `refs`."""
    return Change(
        item=fields.text("item"),
        at=fields.text("at"),
        name=fields.text("name"),
        digest=address_of(fields, "digest"),
        previous="" if fields.maybe_text("previous") is None else address_of(fields, "previous"),
        outcome=ChangeOutcome(fields.choice("outcome", outcomes)),
        reason=fields.maybe_text("reason") or "",
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
    """The content of one destination after an import. `form` is `graph`, `refs` or `tree`."""

    url: str
    form: str
    items: tuple[Change, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "url": self.url,
            "form": self.form,
            "items": [item.as_dict() for item in self.items],
        }


def read_placed(fields: Fields, outcomes: AbstractSet[str]) -> tuple[Placed, ...]:
    """Reads the `destinations` of a receipt or a rollback, whose lines have one of these `outcomes`."""
    return tuple(
        Placed(
            url=found.text("url"),
            form=found.choice("form", FORMS),
            items=tuple(_change(item, outcomes) for item in found.each("items", _CHANGE, {"signs"})),
        )
        for found in fields.each("destinations", {"url", "form", "items"})
    )


@dataclass(frozen=True, slots=True)
class CarriedLock:
    """A lock of the delivery, and its items: so a receipt shows which lock brought what."""

    name: str
    digest: Digest
    items: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {"name": self.name, "digest": str(self.digest), "items": list(self.items)}

    @classmethod
    def read(cls, fields: Fields) -> CarriedLock:
        """Reads one entry of `locks`."""
        return cls(fields.text("name"), fields.digest("digest"), tuple(fields.texts("items", 0)))


@dataclass(frozen=True, slots=True)
class Receipt:
    """By the Sovereign: what became of the delivery whose AIRGAP.json is the subject."""

    kind: ClassVar[str] = "receipt"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"delivery", "stream", "sequence", "destinations"})
    MAYBE: ClassVar[frozenset[str]] = frozenset({"findings", "publish", "locks", "only"})

    delivery: str
    """The id of the journey."""
    stream: str
    sequence: int
    destinations: tuple[Placed, ...]
    findings: tuple[LockFinding, ...] = ()
    """What the locks lack of their requests: it was accepted, and is not here."""
    publish: str = ""
    """One of `PUBLISH`; `""` in the receipt of an earlier version, which always kept going."""
    locks: tuple[CarriedLock, ...] = ()
    """The locks of the delivery; none in the receipt of an earlier version."""
    only: bool = False
    """True if the delivery brought only some items of its locks, those in `locks`: it says nothing of the others."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "delivery": self.delivery,
            "stream": self.stream,
            "sequence": self.sequence,
            "destinations": [placed.as_dict() for placed in self.destinations],
            **({"findings": [one.as_dict() for one in self.findings]} if self.findings else {}),
            **({"publish": self.publish} if self.publish else {}),
            **({"locks": [lock.as_dict() for lock in self.locks]} if self.locks else {}),
            **({"only": True} if self.only else {}),
        }

    @classmethod
    def read(cls, fields: Fields) -> Receipt:
        """Reads the body from a predicate."""
        return cls(
            delivery=fields.text("delivery"),
            stream=fields.text("stream"),
            sequence=fields.number("sequence"),
            destinations=read_placed(fields, WRITES),
            findings=tuple(
                LockFinding(one.text("item"), one.text("code"), one.text("detail"))
                for one in (fields.each("findings", {"item", "code", "detail"}) if fields.has("findings") else ())
            ),
            publish=fields.choice("publish", PUBLISH) if fields.has("publish") else "",
            locks=tuple(
                CarriedLock.read(one)
                for one in (fields.each("locks", {"name", "digest", "items"}) if fields.has("locks") else ())
            ),
            only=fields.has("only") and fields.flag("only"),
        )


def address_of(fields: Fields, name: str) -> str:
    """A digest, or a Git object id. Raises as `fields` does."""
    value = fields.text(name)
    if not _ADDRESS.match(value):
        raise fields.refuse(f"{fields.at(name)}: got {value[:100]!r}, expected a digest or a Git object id")
    return value
