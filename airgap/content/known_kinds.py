"""What the rooms below `airgap.kinds` need to know of each kind: its name, and the fields of its items in a lock.

Nothing here imports a kind. `TABLE` names the module that registers all of them with `add`. It is loaded at the first
query: callers need not load it, and commands that read no lock do not load it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airgap.content.item import Item
    from airgap.content.lock_finding import LockFinding
    from airgap.content.names import RuleNames

TABLE = "airgap.kinds.table"


@dataclass(frozen=True, slots=True)
class ItemFields:
    """The fields of an item in a lock, besides `name`, `kind` and `source`: required ones and optional ones.

    A field that `Item` does not have is kept in `Item.more`, and `LockedKind.check_item` checks its value.
    """

    always: frozenset[str]
    maybe: frozenset[str] = frozenset()
    asked: Mapping[str, type] = field(default_factory=dict, hash=False)
    """The keys of `asked`, each with its type: `str`, or `list` (of strings)."""


class LockedKind(Protocol):
    """The interface of a kind that a lock uses."""

    @property
    def name(self) -> str:
        """The `kind` value of its items."""

    @property
    def item_fields(self) -> ItemFields:
        """The fields of its items."""

    def check_names(self, item: Item, where: str) -> None:
        """Checks that a request could have given the source. Raises `InputError` (`bad-lock`)."""

    def check_item(self, item: Item, where: str) -> None:
        """Checks what `item_fields` cannot express. Raises `InputError` (`bad-lock`)."""

    def rule_names(self, item: Item) -> RuleNames:
        """The names of an item that the rules of a policy are matched against."""

    def findings(self, item: Item) -> Sequence[LockFinding]:
        """What an item of a lock lacks of what was asked, as its own fields tell."""


_KINDS: dict[str, LockedKind] = {}


def add(kind: LockedKind) -> None:
    """Registers a kind."""
    _KINDS[kind.name] = kind


def remove(name: str) -> None:
    """Removes a kind; for tests that add one temporarily."""
    del _KINDS[name]


def load() -> None:
    """Loads the module that registers all kinds."""
    import_module(TABLE)


def names() -> tuple[str, ...]:
    """The names of all kinds, in the order of the table."""
    load()
    return tuple(_KINDS)


def find(name: object) -> LockedKind | None:
    """The kind with that name, `None` if this version does not have it."""
    load()
    return _KINDS.get(name) if isinstance(name, str) else None
