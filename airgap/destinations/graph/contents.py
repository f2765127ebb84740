"""What is inside a registry or a layout, in the places that airgap fills there: every repository and every tag.

A Harbor is asked through its own API: it shows content without a tag, and what a project policy hides from `/v2`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from airgap.base.errors import AirgapError, IntegrityError, NotFoundError, UnreachableError
from airgap.base.parallel import in_batches
from airgap.content.graph import parse_node
from airgap.content.reference import is_referrers_tag
from airgap.destinations.base import Inside
from airgap.store.layout import Layout
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.harbor import HarborArtifact
from airgap.store.registry.repository import RegistryRepository

BATCH = 64
"""Repositories that are asked for before their names are given: so many lists are in memory."""
_NO_CATALOG = "let the account list the catalog, or audit with one that may"


class Lister(Protocol):
    """Lists everything in the places that airgap fills at one destination of graphs: see `Destination.contents`."""

    def __call__(self, known: Collection[str], /) -> Iterator[Inside]:
        """See `Destination.contents`."""


@dataclass(frozen=True, slots=True)
class RegistryContents:
    """By Harbor's API, elsewhere by the catalog of a registry and the tags of its repositories.

    A catalog does not lead to content that has no tag, but for what the fallback index of referrers lists. Harbor does
    not list what refers to content of other repositories: the signatures of a side repository.
    """

    client: RegistryClient
    repository: Callable[[str], RegistryRepository]
    places: Collection[str]
    """The projects and repositories that airgap fills."""
    jobs: int = 4

    def __call__(self, known: Collection[str], /) -> Iterator[Inside]:
        """See `Destination.contents`."""
        try:
            yield from self._in_harbor(known) if self.client.harbor.there() else self._in_catalog(known)
        except UnreachableError as error:
            yield Inside("", problem=error)

    def _in_catalog(self, known: Collection[str]) -> Iterator[Inside]:
        seen: set[str] = set()

        def found() -> Iterator[str]:
            for name in self.client.catalog():
                if is_below(name, self.places):
                    seen.add(name)
                    yield name

        try:
            yield from self._listed(found())
        except UnreachableError:
            raise
        except AirgapError as error:
            yield Inside("", problem=error.with_where("the repositories cannot be listed").with_hint(_NO_CATALOG))
            yield from self._listed(sorted(set(known) - seen))

    def _in_harbor(self, known: Collection[str]) -> Iterator[Inside]:
        for project in dict.fromkeys(place.partition("/")[0] for place in self.places):
            try:
                artifacts = self.client.harbor.artifacts(project)
            except NotFoundError:
                continue
            except UnreachableError:
                raise
            except AirgapError as error:
                if self._is_gone(project):
                    continue
                yield Inside(project, problem=error.with_where("what is in the project cannot be listed"))
                yield from self._listed(sorted(at for at in known if is_below(at, [project])))
                continue
            for one in artifacts:
                if is_below(one.repository, self.places):
                    yield from _artifact(one)

    def _is_gone(self, project: str) -> bool:
        """True if the project does not exist. Harbor says then only that this account may not list it."""
        try:
            return not self.client.harbor.has_project(project)
        except AirgapError:
            return False

    def _listed(self, repositories: Iterable[str]) -> Iterator[Inside]:
        for found in in_batches(self.jobs, self._repository, repositories, BATCH, "list"):
            yield from found

    def _repository(self, at: str) -> Sequence[Inside]:
        try:
            repository = self.repository(at)
            tags = repository.tags()
            found = [Inside(at, tag) for tag in tags if not is_referrers_tag(tag)]
            for tag in filter(is_referrers_tag, tags):
                found += _referring(repository, at, tag)
        except UnreachableError:
            raise
        except AirgapError as error:
            return [Inside(at, problem=error)]
        return found or [Inside(at)]


@dataclass(frozen=True, slots=True)
class LayoutContents:
    """By index.json of the layout of an embedded Sovereign. `layout` is `None` before the first import."""

    layout: Layout | None

    def __call__(self, _known: Collection[str], /) -> Iterator[Inside]:
        """See `Destination.contents`."""
        try:
            roots = [] if self.layout is None else self.layout.roots()
        except AirgapError as error:
            yield Inside("", problem=error)
            return
        for name, root in roots:
            at, at_sign, _ = name.partition("@")
            tag = ""
            if not at_sign:
                at, _, tag = name.rpartition(":")
            yield Inside(at, tag, str(root.digest)) if at else Inside(name, "", str(root.digest))


def is_below(name: str, places: Iterable[str]) -> bool:
    """True for a repository that is one of these places, or below one."""
    return any(f"{name}/".startswith(f"{place}/") for place in places)


def _artifact(one: HarborArtifact) -> Iterator[Inside]:
    """An artifact by each of its tags, and what is attached to it. Signatures of the older layout count as attached."""
    for tag in sorted(one.tags) or [""]:
        yield Inside(one.repository, tag, str(one.digest))
    for accessory in one.accessories:
        yield Inside(one.repository, "", str(accessory.digest))


def _referring(repository: RegistryRepository, at: str, tag: str) -> Sequence[Inside]:
    """What the fallback index of referrers lists. Anything else under such a tag is a tag like others."""
    try:
        descriptor, data = repository.manifest(tag)
        children = parse_node(descriptor, data).children
    except NotFoundError:
        return []
    except IntegrityError:
        return [Inside(at, tag)]
    if not descriptor.is_index:
        return [Inside(at, tag, str(descriptor.digest))]
    return [Inside(at, "", str(child.digest)) for child in children]
