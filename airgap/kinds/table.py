"""The table of kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from airgap.base.errors import IntegrityError
from airgap.content import known_kinds
from airgap.content.graph import Descriptor, Node, Source, by_platform, walk
from airgap.content.item import Item
from airgap.content.names import RuleNames
from airgap.kinds import chart, file, git, image, model
from airgap.kinds.kind import Kind
from airgap.resources.request import ENTRIES, Request, entries
from airgap.station.files import pin_name

KINDS = dict[str, Kind[Any]]()
"""The kinds by name, in the order in which they are listed."""


def register(kind: Kind[Any]) -> None:
    """Adds a kind to the program: from now on locks, requests and policies may name it."""
    KINDS[kind.name] = kind
    known_kinds.add(kind)
    ENTRIES.offer(kind.section, entries(kind.request, kind.section_title))


def unregister(kind: Kind[Any]) -> None:
    """Removes a kind: for tests that add one."""
    ENTRIES.withdraw(kind.section)
    known_kinds.remove(kind.name)
    del KINDS[kind.name]


for _kind in (image.KIND, chart.KIND, git.KIND, model.KIND, file.KIND):
    register(_kind)


def kind_named(name: str) -> Kind[Any]:
    """A kind by its name. Raises `IntegrityError` (`unknown-kind`)."""
    if name not in KINDS:
        raise IntegrityError("unknown-kind", f"kind {name!r}", "use a newer airgap")
    return KINDS[name]


def kind_of(item: Item) -> Kind[Any]:
    """The kind of an item. Raises `IntegrityError` (`unknown-kind`)."""
    return kind_named(item.kind)


def signed_kinds() -> tuple[str, ...]:
    """The names of the kinds whose signatures registries keep."""
    return tuple(kind.name for kind in KINDS.values() if kind.signed)


def kind_of_type(artifact_type: str) -> Kind[Any]:
    """The kind of a graph in a store, where no lock says it: by its artifact type; else an image."""
    return next((kind for kind in KINDS.values() if kind.artifact_type == artifact_type != ""), image.KIND)


def kind_of_graph(source: Source, root: Descriptor, platforms: Sequence[str] = ()) -> Kind[Any]:
    """The kind of a graph that is named only by its reference: an image, unless another kind claims a node of it.

    Every node that is carried counts, because clients look into an index: `helm pull` takes the chart in it. Raises any
    error of reading manifests.
    """
    nodes = [found for found in walk(source, root, by_platform(platforms)) if isinstance(found, Node)]
    return next((kind for kind in KINDS.values() if any(map(kind.claims, nodes))), image.KIND)


def rule_names(item: Item) -> RuleNames:
    """The names of an item that a policy's rules are matched against. Raises `IntegrityError` (`unknown-kind`)."""
    return kind_of(item).rule_names(item)


def store_names(item: Item, root: Descriptor) -> dict[str, Descriptor]:
    """The names of an item in a store, with their content: its own name, and for a packed item that of its pin."""
    kind = kind_of(item)
    said = kind.annotations(item)
    names = {item.name: replace(root, annotations=said) if said else root}
    if kind.packed:
        names[pin_name(item)] = root
    return names


def wanted(request: Request) -> Iterator[tuple[str, Any]]:
    """Everything that a request asks for, as (name of the kind, request of that kind)."""
    for kind in KINDS.values():
        for entry in request.of(kind.section):
            yield from kind.parts(entry)
