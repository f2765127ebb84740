"""Shared by the kinds that registries store: references, names that are references, phases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airgap.content.graph import Source
from airgap.content.item import PHASES, Item
from airgap.content.reference import CHART_SCHEME, ENGINE_SCHEME, LAYOUT_SCHEMES, local_scheme
from airgap.kinds.kind import Asked_contra, Kind, straight, without_scheme
from airgap.resources.problems import quoted
from airgap.resources.references import image_complaint
from airgap.resources.shapes import Choice, Place

if TYPE_CHECKING:
    from airgap.store.locate import Reach

PHASE = Choice(
    PHASES[::-1],
    "`seed`: must run before the registry does, and is therefore also handed over as image files. "
    "`registry`: everything else.",
)


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

    def is_local(self, item: Item) -> bool:
        """True for a layout, an archive or an engine."""
        return local_scheme(item.source) != ""

    def address(self, item: Item) -> str:
        """Host and repository."""
        return address_of(item.source)

    def local_name(self, item: Item) -> str:
        """Host and repository of its name, which is also a reference."""
        return address_of(item.name)


def local_reference(at: Place) -> tuple[str, str]:
    """The reference with an absolute path, and the name in it: the part after the colon that ends the path."""
    ref = at.value["ref"]
    scheme, _, rest = ref.partition(":")
    if scheme == ENGINE_SCHEME:
        if not re.match(r"[^\s:@]\S*[:@]\S+\Z", rest):
            at.bad(f"got {quoted(ref)}, expected docker-daemon:NAME:TAG", "ref")
        return ref, rest
    path, colon, name = rest.partition(":")
    if not path or (colon and not re.match(r"\S+\Z", name)):
        at.bad(f"got {quoted(ref)}, expected {scheme}:PATH[:NAME]", "ref")
    return f"{scheme}:{at.reader.path((*at.steps, 'ref'), path)}{colon}{name}", name


def check_inside(at: Place, name: str) -> None:
    """Checks the name of a local item. Only the name says where it goes, and behind the gap it cannot be corrected."""
    complaint = image_complaint(name.removeprefix(CHART_SCHEME)) if name else ""
    if complaint:
        hint = "a local item goes to this name in the Sovereign: write it in full, such as registry.local/team/app:1.0"
        at.bad(f"{complaint} ({hint})", "name" if "name" in at.value else "ref")


def address_of(reference: str) -> str:
    """Host and repository of a reference."""
    head, slash, last = without_scheme(reference).partition("@")[0].rpartition("/")
    return straight(head + slash + last.partition(":")[0])


def phase_notes(item: Item) -> list[str]:
    """The note about a phase, which has no effect yet."""
    if item.phase != "seed":
        return []
    return [f"{item.name}: `phase: seed` has no effect in this version: the import writes it to the registry"]
