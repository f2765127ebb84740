"""The table of kinds: how the stages speak to each, the same way to all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.errors import IntegrityError
from airgap.forms import Form
from airgap.graph import Descriptor, Source, Target
from airgap.kinds import chart, file, image, model
from airgap.lock import Item
from airgap.resources.model import Request
from airgap.stage import git
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


KINDS: Mapping[str, Kind] = {
    "chart": Kind(chart.resolve, chart.check, chart.form, chart.expect, chart.source),
    "file": Kind(file.resolve, file.check, file.form, file.expect, file.source),
    "git": Kind(git.resolve, git.check, git.form, git.expect, pack=git.pack),
    "image": Kind(image.resolve, image.check, image.form, image.expect, image.source),
    "model": Kind(model.resolve, model.check, model.form, model.expect, model.source),
}


def kind_of(item: Item) -> Kind:
    """The kind of an item. Raises `IntegrityError` for one that this version does not know."""
    kind = KINDS.get(item.kind)
    if kind is None:
        raise IntegrityError(
            "unknown-kind", f"{item.name!r}: kind {item.kind!r}", "use a newer airgap"
        )
    return kind


def wanted(request: Request) -> Iterator[tuple[str, Any]]:
    """Everything that a request asks for, as (kind, request of that kind)."""
    for kind, entries in (
        ("image", request.images),
        ("chart", request.charts),
        ("git", request.git),
        ("model", request.models),
        ("file", request.files),
    ):
        for entry in entries:
            yield kind, entry
