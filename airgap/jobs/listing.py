"""`ls`: the items of a lock, a delivery or a store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airgap.base.errors import AirgapError, InputError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected, recognized
from airgap.base.strict_json import parse_json
from airgap.content.lock import MAX_LOCK, Lock
from airgap.delivery.index import INDEX_NAME, Index
from airgap.delivery.read import open_media
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Listed:
    """An item of a lock, a delivery or a store, with the fields that are known there."""

    kind: str
    """`""` in a store."""
    name: str
    digest: str
    """The digest of its root; `""` where the lock does not know it yet."""
    bytes: int
    """0 where it is not known."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of `airgap ls`."""
        return asdict(self)


def read_thing(thing: Path) -> tuple[bytes, Any]:
    """Reads a JSON file: its bytes, and the value in it. Raises `InputError` (`unknown-thing`)."""
    data = read_input(thing, MAX_LOCK, "unknown-thing")
    try:
        return data, parse_json(data, str(thing))
    except AirgapError as error:
        raise _unknown(thing, data) from error


def lock_of(data: bytes, document: Any, thing: Path) -> Lock:
    """Reads a lock. For another file that airgap knows, raises `InputError` (`unknown-thing`) with the next step."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind == "Delivery":
        what = f"{thing} is the index of a delivery, not its folder"
        raise InputError("unknown-thing", what, f"name its folder, {thing.parent}")
    if isinstance(document, dict) and "dsseEnvelope" in document:
        what = f"{thing} is a signed statement, which has no items to list"
        raise InputError("unknown-thing", what, f"show it with `airgap show {thing}`")
    if recognized(data) != "a lock" and kind != "Lock":
        raise _unknown(thing, data)
    return Lock.decode(data, str(thing))


def _unknown(thing: Path, data: bytes) -> InputError:
    return InputError(
        "unknown-thing",
        not_expected(str(thing), data, "a lock, a signed statement, a delivery or a store"),
        "name a lock file, a signed statement, or the folder of a delivery or a store",
    )


def items(thing: Path) -> list[Listed]:
    """The items of a lock, a delivery or a store.

    Raises `InputError` (`unknown-thing`) for another file, `IntegrityError`, `StoreError`.
    """
    if not thing.is_dir():
        lock = lock_of(*read_thing(thing), thing)
        return [Listed(i.kind, i.name, str(i.root.digest) if i.root else "", i.bytes) for i in lock.items]
    if (thing / INDEX_NAME).exists():
        index = Index.decode(open_media([thing]).index_bytes)
        return [Listed(r.kind, r.item, str(r.digest), 0) for r in index.contents.roots]
    return [Listed("", name, str(root.digest), 0) for name, root in Layout(thing).roots()]
