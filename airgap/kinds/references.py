"""Shared by the kinds that registries store: references, names that are references, phases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.errors import InputError
from airgap.content.attached import check_left_out
from airgap.content.graph import Descriptor, Source
from airgap.content.item import PHASES, Item
from airgap.content.reference import (
    CHART_SCHEME,
    ENGINE_SCHEME,
    LAYOUT_SCHEMES,
    Reference,
    local_digest,
    local_scheme,
    parse_reference,
    split_local_digest,
)
from airgap.kinds.kind import Asked_contra, Kind
from airgap.resources.problems import quoted
from airgap.resources.references import image_complaint
from airgap.resources.shapes import Choice, Place

if TYPE_CHECKING:
    from airgap.content.scan_subject import ScanSubject
    from airgap.store.locate import Reach

PHASE = Choice(
    PHASES[::-1],
    "`seed`: nodes need it before the registry answers; `airgap extract --phase seed` writes it as files for them, and "
    "the import brings it like everything else. `registry`: everything else.",
)

_ENGINE_NAME = re.compile(r"[^\s:@]\S*[:@]\S+\Z")


class RegistryKind(Kind[Asked_contra]):
    """A kind whose items are graphs that registries store: their sources and names are references."""

    signed = True
    path_prefixes = tuple(f"{scheme}:" for scheme in LAYOUT_SCHEMES)

    def source(self, item: Item, reach: Reach) -> Source:
        """Where the pinned graph is read from."""
        return reach.locate(item.source, item.root).source

    def unwritten(self, asked: Asked_contra, reach: Reach) -> Mapping[str, str | list[str]]:
        """How attached artifacts were looked up, if Upstreams limits it: their absence then proves nothing."""
        how = reach.attached_at(self.origin(asked))
        return {"referrers": how} if how else {}

    def subjects(self, item: Item, root: Descriptor, source: Source, work: Path) -> Iterable[ScanSubject]:
        """Each manifest that is carried."""
        from airgap.kinds.subjects import graph_subjects

        return graph_subjects(item, root, source)

    def is_local(self, item: Item) -> bool:
        """True for a layout, an archive or an engine."""
        return local_scheme(item.source) != ""

    def original(self, item: Item) -> Reference:
        """The reference that decides where it goes: its source, or its name where the source is local."""
        return parse_reference(item.name if self.is_local(item) else item.source)

    def address(self, item: Item) -> str:
        """Host and repository."""
        return self.original(item).name

    def inside(self, item: Item) -> str:
        """Host and repository."""
        return self.original(item).name

    def check_item(self, item: Item, where: str) -> None:
        """What was left out is said as `lock` says it."""
        check_left_out(item, where)

    def check_names(self, item: Item, where: str) -> None:
        """The source is one of a request, and a digest in it is the root's. A local item has a full name."""
        super().check_names(item, where)
        complaint = image_complaint(item.name.removeprefix(CHART_SCHEME)) if self.is_local(item) else ""
        if complaint:
            raise InputError("bad-lock", f"{where}: name: {complaint}", "give it a full name in the request")
        said = local_digest(item.source) if self.is_local(item) else self.original(item).digest
        if item.root is not None and said not in (None, item.root.digest):
            what = f"{where}: root: got {item.root.digest}, but its reference has the digest {said}"
            raise InputError("bad-lock", what, "run `airgap lock` again with the request")


def local_reference(at: Place) -> tuple[str, str]:
    """The reference with an absolute path, and the name in it: the part after the colon that ends the path."""
    ref = at.value["ref"]
    scheme, _, rest = ref.partition(":")
    if scheme == ENGINE_SCHEME:
        if not _ENGINE_NAME.match(rest):
            at.bad(f"got {quoted(ref)}, expected docker-daemon:NAME:TAG", "ref")
        return ref, rest
    named, digest = split_local_digest(rest)
    path, colon, name = named.partition(":")
    if not path or (colon and not re.match(r"\S+\Z", name)):
        at.bad(f"got {quoted(ref)}, expected {scheme}:PATH[:NAME][@sha256:…]", "ref")
    chosen = f"@{digest}" if digest else ""
    return f"{scheme}:{at.reader.path((*at.steps, 'ref'), path)}{colon}{name}{chosen}", name


def check_inside(at: Place, name: str) -> None:
    """Checks the name of a local item. Only the name says where it goes, and behind the gap it cannot be corrected."""
    complaint = image_complaint(name.removeprefix(CHART_SCHEME)) if name else ""
    if complaint:
        hint = "a local item goes to this name in the Sovereign: write it in full, such as registry.local/team/app:1.0"
        at.bad(f"{complaint} ({hint})", "name" if "name" in at.value else "ref")


def local_complaint(source: str) -> str:
    """Checks the source of a local item in a lock: an engine's image, or a path with or without a name in it."""
    scheme, _, rest = source.partition(":")
    good = _ENGINE_NAME.match(rest) if scheme == ENGINE_SCHEME else rest.partition(":")[0] and rest.isprintable()
    return "" if good else f"got {quoted(source)}, expected {scheme}:… as a request has it"


def phase_notes(item: Item) -> list[str]:
    """The note about a phase: what it needs people to do."""
    if item.phase != "seed":
        return []
    how = "`airgap extract DELIVERY --phase seed --to DIR` writes it for the nodes"
    return [f"{item.name}: `phase: seed`: {how}; the import brings it like everything else"]
