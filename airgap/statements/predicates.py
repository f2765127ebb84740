"""What each kind of statement says, beside its signer's claim. Shapes: docs/format.md, "Statements".

A new kind is a new class here or elsewhere, and its line in `airgap.statements.statement.BODIES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from airgap.base.digest import Digest
from airgap.content.finding import Finding, State
from airgap.content.forms import Change, ChangeOutcome, Signs
from airgap.statements.fields import Fields

OUTCOMES = frozenset({"pass", "fail", "not-run"})
"""How a check ended. Only `pass` counts."""
WRITES = frozenset(
    map(str, (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT, ChangeOutcome.REFUSED, ChangeOutcome.FAILED))
)
"""How an item fared at a destination."""
FORMS = frozenset({"graph", "refs", "tree"})

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


_CHANGE = frozenset({"item", "at", "name", "digest", "previous", "outcome", "reason"})


def _change(fields: Fields) -> Change:
    """A line of a receipt. Its addresses are `sha256:` digests, or object ids in the form `refs`."""
    return Change(
        item=fields.text("item"),
        at=fields.text("at"),
        name=fields.text("name"),
        digest=_address(fields, "digest"),
        previous="" if fields.maybe_text("previous") is None else _address(fields, "previous"),
        outcome=ChangeOutcome(fields.choice("outcome", WRITES)),
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
    """What one destination holds after an import. `form` is `graph`, `refs` or `tree`."""

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
                    items=tuple(_change(item) for item in found.each("items", _CHANGE, {"signs"})),
                )
                for found in fields.each("destinations", {"url", "form", "items"})
            ),
        )


_FINDING = frozenset({"destination", "item", "at", "name", "problem", "expected", "found"})
_PROBLEM = {
    State.MISSING: "missing",
    State.CHANGED: "changed",
    State.EXTRA: "extra",
    State.UNKNOWN: "unreadable",
}
_STATE = {problem: state for state, problem in _PROBLEM.items()}
PROBLEMS = frozenset(_STATE)


def _finding_dict(finding: Finding) -> dict[str, Any]:
    """One thing that is not as it should be, as an audit signs it: without its detail."""
    return {
        "destination": finding.destination,
        "item": finding.item,
        "at": finding.at,
        "name": finding.name,
        "problem": _PROBLEM[finding.state],
        "expected": finding.expected or None,
        "found": finding.got or None,
    }


def _finding(fields: Fields) -> Finding:
    """A finding out of an audit. Its addresses are like those of a receipt."""
    return Finding(
        destination=fields.text("destination"),
        item=fields.text("item"),
        at=fields.text("at"),
        name=fields.text("name"),
        state=_STATE[fields.choice("problem", PROBLEMS)],
        expected="" if fields.maybe_text("expected") is None else _address(fields, "expected"),
        got="" if fields.maybe_text("found") is None else _address(fields, "found"),
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
    findings: tuple[Finding, ...] = ()
    """What is not as it should be. A finding's detail is not signed."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "outcome": self.outcome,
            "deep": self.deep,
            "checked": self.checked,
            "findings": [_finding_dict(finding) for finding in self.findings],
        }

    @classmethod
    def read(cls, fields: Fields) -> Audit:
        """The body out of a predicate."""
        return cls(
            outcome=fields.choice("outcome", OUTCOMES),
            deep=fields.flag("deep"),
            checked=fields.number("checked"),
            findings=tuple(_finding(found) for found in fields.each("findings", _FINDING)),
        )


def _address(fields: Fields, name: str) -> str:
    value = fields.text(name)
    if not _ADDRESS.match(value):
        raise fields.refuse(f"{fields.at(name)}: got {value[:100]!r}, expected a digest or a Git object id")
    return value
