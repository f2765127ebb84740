"""A prune plan: what `airgap prune` would delete inside. People review it, a security-officer approves its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.json_fields import Fields
from airgap.base.times import utc_text
from airgap.statements.predicates import FORMS, address_of

KIND = "PrunePlan"
API_VERSION = "airgap.openova.io/v1alpha1"
MAX_PLAN = 64 << 20
"""Bytes of a plan: as of a lock."""
REMOVED, EXTRA = "removed", "extra"
STATES = frozenset({REMOVED, EXTRA})
_FIELDS = frozenset({"apiVersion", "kind", "sovereign", "created", "expires", "locks", "lines"})
_LINE = frozenset({"destination", "form", "item", "at", "name", "digest", "state", "delivery", "since"})


@dataclass(frozen=True, slots=True)
class PruneLine:
    """One thing to delete, and why: `removed` by which delivery since when, or `extra`."""

    destination: str
    """The URL of the destination, as the Sovereign resource names it."""
    form: str
    at: str
    name: str
    """As `Destination.contents` names it: `""` for content without a name."""
    digest: str
    """What it must still be when it is deleted."""
    state: str
    item: str = ""
    delivery: str = ""
    since: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "destination": self.destination,
            "form": self.form,
            "item": self.item,
            "at": self.at,
            "name": self.name,
            "digest": self.digest,
            "state": self.state,
            "delivery": self.delivery or None,
            "since": self.since or None,
        }

    @classmethod
    def read(cls, fields: Fields) -> PruneLine:
        """Reads one line. Raises as `fields` does."""
        return cls(
            fields.text("destination"),
            fields.choice("form", FORMS),
            fields.text("at"),
            fields.text("name"),
            address_of(fields, "digest"),
            fields.choice("state", STATES),
            fields.text("item"),
            str(fields.maybe_digest("delivery") or ""),
            fields.maybe_text("since") or "",
        )


@dataclass(frozen=True)
class PrunePlan:
    """The plan for one Sovereign. It counts until it expires, and once."""

    sovereign: str
    created: datetime
    expires: datetime
    locks: tuple[Digest, ...]
    """The locks whose content was kept on request."""
    lines: tuple[PruneLine, ...]

    def encode(self) -> bytes:
        """Canonical JSON and one line feed."""
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "sovereign": self.sovereign,
            "created": utc_text(self.created),
            "expires": utc_text(self.expires),
            "locks": [str(digest) for digest in self.locks],
            "lines": [line.as_dict() for line in self.lines],
        }
        return canonical(document) + b"\n"

    @cached_property
    def digest(self) -> Digest:
        """The subject of its approval: the sha256 of the file."""
        return Digest.of(self.encode())

    @classmethod
    def decode(cls, data: bytes, where: str) -> PrunePlan:
        """Reads a plan. Raises `InputError` (`bad-plan`) for anything that `encode` would not have written."""

        def refuse(what: str) -> AirgapError:
            return InputError("bad-plan", what, "make a new plan: airgap prune --dry-run --plan FILE")

        fields = Fields.parse(data, _FIELDS, where, refuse)
        fields.choice("apiVersion", {API_VERSION})
        fields.choice("kind", {KIND})
        made = cls(
            fields.text("sovereign"),
            fields.time("created"),
            fields.time("expires"),
            tuple(fields.digests("locks")),
            tuple(PruneLine.read(one) for one in fields.each("lines", _LINE)),
        )
        if made.encode() != data:
            raise refuse(f"{where}: not the bytes that airgap writes: it was edited or is damaged")
        if len({(one.destination, one.form, one.at, one.name or one.digest) for one in made.lines}) != len(made.lines):
            raise refuse(f"{where}: something occurs twice")
        return made
