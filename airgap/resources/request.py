"""Request: what to carry, by name. Each kind of content declares the entries of its list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from airgap.content import known_kinds
from airgap.resources.fields import Table, brought, given, spec_map
from airgap.resources.resource import Resource
from airgap.resources.shapes import ListOf

_EXAMPLE = """\
metadata:
  name: platform-2026-11
spec:
  images:
  - ref: docker.io/library/alpine:3.20
    name: alpine
    platforms: [linux/amd64]
    phase: seed
  - ref: oci:built/app:registry.example.org/team/app:1.0
  charts:
  - ref: oci://ghcr.io/openova-io/bp-cilium:1.1.1
  git:
  - url: https://github.com/openova-io/openova
    refs: [refs/heads/main, refs/tags/v*]
    lfs: true
  models:
  - repo: BAAI/bge-m3
    revision: main
    include: ['*.safetensors', '*.json']
  - directory: models/ranker
    name: example/ranker
  files:
  - url: https://get.example.org/k3s
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    path: k3s/v1.31/k3s
"""

ENTRIES = Table(known_kinds.load)
"""The lists of a Request. The table of kinds offers one for each kind."""


def entries(entry: type[Any], title: str) -> ListOf:
    """A list of a Request. `entry` is a declared dataclass with `name` and `where` (`file:line:column`)."""
    return ListOf(entry, title, distinct=True)


NAMING = frozenset({"ref", "url", "repo", "name"})
"""The fields of entries that name what is upstream, or what it is called here."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """An entry of a request whose name can be none: its name as it is written, the mistake, and where it is."""

    name: str
    text: str
    where: str
    """`file:line:column`."""


@spec_map("a map of lists, one for each kind of content", least=1)
class Request:
    """What to carry, by name. `entries` contains the lists that are not empty: `images`, `charts` and so on."""

    resource: ClassVar = Resource(
        doc="What to carry, by name. `airgap lock` resolves the names to digests.",
        taken_by="`airgap lock` takes a Request",
        examples=(_EXAMPLE,),
    )
    name: str = given("name")
    entries: Mapping[str, tuple[Any, ...]] = brought(ENTRIES, default={})

    def of(self, plural: str) -> tuple[Any, ...]:
        """The entries of a list; empty if the request does not have it."""
        return self.entries.get(plural, ())

    def without(self, unusable: Collection[Unusable]) -> Request:
        """The request without these entries."""
        places = {one.where for one in unusable}
        kept = {plural: tuple(one for one in some if one.where not in places) for plural, some in self.entries.items()}
        return replace(self, entries=kept)
