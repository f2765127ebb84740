"""What the rooms below `airgap.kinds` have to know of each kind: its name, and which fields its items have in a lock.

Nothing here imports a kind. `TABLE` names the module that brings all of them with `add`; it is loaded at the first
question, so that nobody has to think of it, and commands that read no lock do not load it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airgap.content.lock import Item

TABLE = "airgap.kinds.table"


@dataclass(frozen=True, slots=True)
class ItemFields:
    """The fields of an item in a lock, besides `name`, `kind` and `source`: those always there, and those that may be.

    A field that `Item` does not have is kept in `Item.more`, and `LockedKind.check_item` checks its value.
    """

    always: frozenset[str]
    maybe: frozenset[str] = frozenset()
    asked: Mapping[str, type] = field(default_factory=dict, hash=False)
    """The keys of `asked`, each with `str` or `list` (of texts)."""


class LockedKind(Protocol):
    """What a lock asks of a kind."""

    @property
    def name(self) -> str:
        """The `kind` of its items."""

    @property
    def item_fields(self) -> ItemFields:
        """The fields of its items."""

    def check_item(self, item: Item, where: str) -> None:
        """Checks what `item_fields` cannot say. Raises `InputError` (`bad-lock`)."""


_KINDS: dict[str, LockedKind] = {}


def add(kind: LockedKind) -> None:
    """Makes a kind known."""
    _KINDS[kind.name] = kind


def remove(name: str) -> None:
    """Forgets a kind: tests add one for a while."""
    del _KINDS[name]


def load() -> None:
    """Sees to it that all kinds are known."""
    import_module(TABLE)


def names() -> tuple[str, ...]:
    """The names of all kinds, in the order of the table."""
    load()
    return tuple(_KINDS)


def find(name: object) -> LockedKind | None:
    """The kind of that name, `None` where this version has no such kind."""
    load()
    return _KINDS.get(name) if isinstance(name, str) else None
