"""An approval: a security-officer's word about one digest, about what kind of thing it is, and for whom it counts.

A digest alone says nothing about what was looked at: the bytes of a Trust resource in a file called AIRGAP.json have
the digest that `keys rotate` asks for. So an approval names the kind of its subject, and it counts only as that kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from airgap.base.errors import TrustError
from airgap.base.json_fields import Fields
from airgap.content.lock import MAX_ITEM_NAME


class Approvable(StrEnum):
    """What can be approved: the kinds of subjects, by the names that statements have for them."""

    DELIVERY = "delivery"
    RESTORE = "restore"
    """A delivery that comes in again after a loss, although it expired or keys of it did: `import --restore`."""
    REWRITE = "rewrite"
    """That Git repositories of a delivery, whose history was rewritten upstream, are moved to it:
    `import --allow-rewrite`."""
    LOCK = "lock"
    TRUST_ROOT = "trust-root"
    TRUST = "trust-resource"
    WAIVER = "waiver"
    PRUNE = "prune"

    @property
    def words(self) -> str:
        """The kind in a sentence, with its article."""
        return _WORDS[self]


_WORDS: Mapping[Approvable, str] = {
    Approvable.DELIVERY: "a delivery",
    Approvable.RESTORE: "the restoring of a delivery",
    Approvable.REWRITE: "the rewritten histories of a delivery",
    Approvable.LOCK: "a lock",
    Approvable.TRUST_ROOT: "a trust root",
    Approvable.TRUST: "a Trust resource",
    Approvable.WAIVER: "a waiver",
    Approvable.PRUNE: "a prune plan",
}
_CONTEXT: Mapping[Approvable, frozenset[str]] = {
    Approvable.DELIVERY: frozenset({"sovereign", "stream", "sequence"}),
    Approvable.RESTORE: frozenset({"sovereign", "stream", "sequence"}),
    Approvable.REWRITE: frozenset({"sovereign", "stream", "sequence", "items"}),
    Approvable.TRUST: frozenset({"sovereign"}),
    Approvable.PRUNE: frozenset({"sovereign"}),
}
"""The context that an approval of a kind names. The other kinds have none: one lock or waiver may serve several."""
_OF_DELIVERY: Mapping[Approvable, str] = {
    Approvable.DELIVERY: "",
    Approvable.RESTORE: "the restoring of ",
    Approvable.REWRITE: "the rewritten history of {} in ",
}
WITHOUT_KIND = frozenset({Approvable.DELIVERY, Approvable.LOCK})
"""The kinds as which an approval without a kind counts: earlier versions wrote none. Of these two, deliveries are on
their way and in archives. A delivery is also signed by the one who cut it, and content is judged by its verdict. An
approval of another kind changes whose signatures count, so it must say that this was meant."""


@dataclass(frozen=True, slots=True)
class Approves:
    """What an approval approves: the kind of its subject, and the context in which it counts."""

    kind: Approvable
    sovereign: str = ""
    """The Sovereign of a delivery, a Trust resource or a prune plan."""
    stream: str = ""
    """Of a delivery."""
    sequence: int = 0
    """Of a delivery."""
    items: tuple[str, ...] = ()
    """The names of the repositories whose history may be replaced, sorted."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape: the kind, and its context."""
        given = {"sovereign": self.sovereign, "stream": self.stream, "sequence": self.sequence, "items": [*self.items]}
        context = _CONTEXT.get(self.kind, frozenset())
        return {"kind": str(self.kind), **{name: value for name, value in given.items() if name in context}}

    @classmethod
    def read(cls, fields: Fields, name: str) -> Approves:
        """Reads the object `name` of a predicate. Raises as `fields` does."""
        kinds = fields.inner(name, {"kind"}, frozenset({"sovereign", "stream", "sequence", "items"}))
        kind = Approvable(kinds.choice("kind", frozenset(Approvable)))
        context = _CONTEXT.get(kind, frozenset())
        found = fields.inner(name, {"kind"} | context)
        return cls(
            kind,
            found.text("sovereign") if "sovereign" in context else "",
            found.text("stream") if "stream" in context else "",
            found.number("sequence") if "sequence" in context else 0,
            tuple(found.texts("items", MAX_ITEM_NAME)) if "items" in context else (),
        )

    def __str__(self) -> str:
        """For messages. Names may come from anyone, so they are cut."""
        if self.kind in _OF_DELIVERY:
            what = _OF_DELIVERY[self.kind].format(", ".join(self.items)[:500])
            return f"{what}delivery {self.sequence} of stream {self.stream[:100]!r} for {self.sovereign[:100]!r}"
        return self.kind.words + (f" for {self.sovereign[:100]!r}" if self.sovereign else "")


@dataclass(frozen=True, slots=True)
class Approval:
    """By the security-officer: this lock, delivery, waiver, trust root or Trust resource (the subject) is good."""

    kind: ClassVar[str] = "approval"
    FIELDS: ClassVar[frozenset[str]] = frozenset()
    MAYBE: ClassVar[frozenset[str]] = frozenset({"approves"})

    approves: Approves | None
    """`None`: an approval that an earlier version wrote."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON fields."""
        return {} if self.approves is None else {"approves": self.approves.as_dict()}

    @classmethod
    def read(cls, fields: Fields) -> Approval:
        """Reads the body from a predicate."""
        return cls(Approves.read(fields, "approves") if fields.has("approves") else None)

    @property
    def rewrites(self) -> bool:
        """True if it approves that rewritten histories are taken."""
        return self.approves is not None and self.approves.kind is Approvable.REWRITE

    @property
    def restores(self) -> bool:
        """True if it approves the restoring of a delivery."""
        return self.approves is not None and self.approves.kind is Approvable.RESTORE

    def check(self, needed: Approves, where: str, *, without_kind: bool | None = None) -> None:
        """Raises `TrustError` unless the approval counts as one of `needed`, which the caller derived from the subject.

        1. An approval without a kind counts only for the kinds of `WITHOUT_KIND`, or as `without_kind` says:
           `approval-without-kind`.
        2. The kind and its context are the needed ones: `approval-of-other-kind`.

        `where` names the approval in errors.
        """
        found = self.approves
        if found is None:
            if needed.kind in WITHOUT_KIND if without_kind is None else without_kind:
                return
            raise TrustError(
                "approval-without-kind",
                f"{where} does not say what kind of thing it approves, so it does not count for {needed.kind.words}",
                "an earlier version wrote it: move it away, and have the same thing approved again with `airgap sign`",
            )
        if found != needed:
            hint = "do not use it; ask its signer what was signed, and have the right thing approved with `airgap sign`"
            if self.restores and needed.kind is Approvable.DELIVERY:
                hint = "after a loss, import the delivery with --restore; else have it approved with `airgap sign`"
            what = f"{where} approves {found}, expected an approval of {needed}"
            raise TrustError("approval-of-other-kind", what, hint)
