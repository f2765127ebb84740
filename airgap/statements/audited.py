"""The body of an audit statement: what was compared, what differs, and what else is inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airgap.base.json_fields import Fields
from airgap.content.finding import Finding, State
from airgap.statements.predicates import OUTCOMES, address_of

_FINDING = frozenset({"destination", "item", "at", "name", "problem", "expected", "found"})
_PROBLEM = {
    State.MISSING: "missing",
    State.CHANGED: "changed",
    State.EXTRA: "extra",
    State.UNKNOWN: "unreadable",
}
_STATE = {problem: state for state, problem in _PROBLEM.items()}
PROBLEMS = frozenset(_STATE)
_INSIDE = frozenset({"listed", "receipts", "declared", "others", "removed", "superseded"})
_EARLIER = frozenset({"destination", "item", "at", "name", "found", "delivery", "since"})
LISTED = frozenset({"all", "partly", "not"})
RECEIPTS = frozenset({"verified", "unverified"})


def _finding_dict(finding: Finding) -> dict[str, Any]:
    """One deviation, as an audit signs it: without its detail."""
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
    """Reads a finding from an audit. Its addresses are like those of a receipt."""
    return Finding(
        destination=fields.text("destination"),
        item=fields.text("item"),
        at=fields.text("at"),
        name=fields.text("name"),
        state=_STATE[fields.choice("problem", PROBLEMS)],
        expected="" if fields.maybe_text("expected") is None else address_of(fields, "expected"),
        got="" if fields.maybe_text("found") is None else address_of(fields, "found"),
    )


def _earlier_dict(finding: Finding) -> dict[str, Any]:
    """Something that a delivery brought, and that is not as this delivery left it because of a later one."""
    return {
        "destination": finding.destination,
        "item": finding.item,
        "at": finding.at,
        "name": finding.name,
        "found": finding.got or None,
        "delivery": finding.delivery,
        "since": finding.since or None,
    }


def _earlier(fields: Fields, state: State) -> Finding:
    return Finding(
        destination=fields.text("destination"),
        item=fields.text("item"),
        at=fields.text("at"),
        name=fields.text("name"),
        state=state,
        got="" if fields.maybe_text("found") is None else address_of(fields, "found"),
        delivery=str(fields.digest("delivery")),
        since=fields.maybe_text("since") or "",
    )


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What an audit says about everything that is inside, besides what it compared."""

    listed: str
    """`all`, `partly` if something could not be listed, `not` if nobody asked for it."""
    receipts: str
    """`verified`, or `unverified` if there was no Trust resource to verify receipts with."""
    declared: int
    """Things that no delivery brought, and that the Sovereign resource declares."""
    others: int
    """Things that deliveries brought and that belong here, which were not compared."""
    removed: tuple[Finding, ...] = ()
    superseded: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "listed": self.listed,
            "receipts": self.receipts,
            "declared": self.declared,
            "others": self.others,
            "removed": [_earlier_dict(finding) for finding in self.removed],
            "superseded": [_earlier_dict(finding) for finding in self.superseded],
        }

    @classmethod
    def read(cls, fields: Fields) -> Surveyed:
        """Reads the object `inside`. Raises as `fields` does."""

        def earlier(name: str, state: State) -> Sequence[Finding]:
            return [_earlier(one, state) for one in fields.each(name, _EARLIER)]

        return cls(
            fields.choice("listed", LISTED),
            fields.choice("receipts", RECEIPTS),
            fields.number("declared"),
            fields.number("others"),
            tuple(earlier("removed", State.REMOVED)),
            tuple(earlier("superseded", State.SUPERSEDED)),
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """The content found inside, compared with the lock or the AIRGAP.json (the subject)."""

    kind: ClassVar[str] = "audit"
    FIELDS: ClassVar[frozenset[str]] = frozenset({"outcome", "deep", "checked", "findings"})
    MAYBE: ClassVar[frozenset[str]] = frozenset({"inside"})

    outcome: str
    deep: bool
    """True if every byte was hashed again, regardless of receipts."""
    checked: int
    """The number of names that were checked."""
    findings: tuple[Finding, ...] = ()
    """The deviations. A finding's detail is not signed."""
    inside: Surveyed | None = None
    """`None` in the statements of earlier versions, which looked only where receipts pointed."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "outcome": self.outcome,
            "deep": self.deep,
            "checked": self.checked,
            "findings": [_finding_dict(finding) for finding in self.findings],
            **({"inside": self.inside.as_dict()} if self.inside is not None else {}),
        }

    @classmethod
    def read(cls, fields: Fields) -> Audit:
        """Reads the body from a predicate."""
        return cls(
            outcome=fields.choice("outcome", OUTCOMES),
            deep=fields.flag("deep"),
            checked=fields.number("checked"),
            findings=tuple(_finding(found) for found in fields.each("findings", _FINDING)),
            inside=Surveyed.read(fields.inner("inside", _INSIDE)) if fields.has("inside") else None,
        )
