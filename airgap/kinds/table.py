"""The table of kinds: how the stages speak to each, the same way to all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from airgap.base.errors import IntegrityError
from airgap.content.forms import Form
from airgap.content.graph import Descriptor, Source, Target
from airgap.content.lock import KINDS as NAMES
from airgap.content.lock import Item
from airgap.resources.model import Request
from airgap.station.files import git_pin_name
from airgap.store.locate import Reach

Resolve = Callable[[Any, Reach], Item]
Read = Callable[[Item, Reach], Source]
Check = Callable[[Item, Descriptor, Source], list[str]]
AsForm = Callable[[Item, Descriptor, Source], Form]
Pack = Callable[[Item, Target, Path, Reach], Descriptor]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a stage may ask of a kind.

    `resolve` pins a request; `read` gives the source of a pinned graph; `pack` makes the graph in the store where it
    cannot be read as one (Git), and is `None` for the others; `check` finds what digests do not fix; `form` says in
    which form it arrives.
    """

    resolve: Resolve
    check: Check
    form: AsForm
    expect: Callable[[Item], Form]
    """The form as far as the lock alone tells it: names and digests, for an audit without content."""
    read: Read | None = None
    pack: Pack | None = None


@cache
def kind(name: str) -> Kind:
    """A kind by its name; only what is used is loaded. Raises `IntegrityError` (`unknown-kind`)."""
    if name == "git":
        from airgap.kinds.git import kind as git

        return Kind(git.resolve, git.check, git.form, git.expect, pack=git.pack)
    if name not in NAMES:
        raise IntegrityError("unknown-kind", f"kind {name!r}", "use a newer airgap")
    module = import_module(f"airgap.kinds.{name}")
    return Kind(module.resolve, module.check, module.form, module.expect, module.source)


def kind_of(item: Item) -> Kind:
    """The kind of an item. Raises `IntegrityError` (`unknown-kind`)."""
    return kind(item.kind)


def store_names(item: Item, root: Descriptor) -> dict[str, Descriptor]:
    """The names of an item in a store, and what they stand for: its own, and where it is packed that of its pin."""
    told = root
    if item.kind == "image":
        from airgap.kinds import image

        told = replace(root, annotations=image.index_annotations(item))
    names = {item.name: told}
    if kind_of(item).pack is not None:
        names[git_pin_name(item)] = root
    return names


def wanted(request: Request) -> Iterator[tuple[str, Any]]:
    """Everything that a request asks for, as (name of the kind, request of that kind)."""
    for name, entries in (
        ("image", request.images),
        ("chart", request.charts),
        ("git", request.git),
        ("model", request.models),
        ("file", request.files),
    ):
        for entry in entries:
            yield name, entry
