"""Deletes tags and manifests in registries and layouts: no tag that moved, no content that something else needs.

A registry without Harbor's API deletes a manifest with all of its tags, so a manifest goes only when no other tag and
no index of its repository needs it. Blobs stay until the registry's own garbage collection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, IntegrityError, NotFoundError, RaceError, UnreachableError
from airgap.content.graph import Descriptor, Node, read_node, walk
from airgap.content.reference import is_referrers_tag
from airgap.content.removal import NOT_OURS, Removal, RemovalOutcome
from airgap.destinations.graph.contents import is_below
from airgap.store.layout import Layout
from airgap.store.registry import referrers
from airgap.store.registry.client import RegistryClient
from airgap.store.registry.harbor import Harbor
from airgap.store.registry.repository import RegistryRepository

NEEDED = "another tag or index there needs it"
STAYS = f"the tag is gone, and its content stays: {NEEDED}"


class Remover(Protocol):
    """Deletes things at one destination of graphs: see `Destination.remove`."""

    def __call__(self, lines: Sequence[Removal], /) -> Iterator[Removal]:
        """See `Destination.remove`."""


@dataclass(frozen=True, slots=True)
class RegistryRemover:
    """By Harbor's API, elsewhere by the distribution API."""

    client: RegistryClient
    repository: Callable[[str], RegistryRepository]
    places: Collection[str]
    """The projects and repositories that airgap fills. In others, it deletes nothing."""

    def __call__(self, lines: Sequence[Removal], /) -> Iterator[Removal]:
        """See `Destination.remove`."""
        by_place: dict[str, list[Removal]] = {}
        for line in lines:
            if is_below(line.at, self.places):
                by_place.setdefault(line.at, []).append(line)
            else:
                yield line.kept(NOT_OURS)
        gone: AirgapError | None = None
        for at, here in by_place.items():
            if gone is not None:
                yield from (line.failed(gone) for line in here)
                continue
            try:
                remove = self._in_harbor if self.client.harbor.there() else self._in_registry
                for done in remove(at, here):
                    here.remove(next(one for one in here if (one.name, one.digest) == (done.name, done.digest)))
                    yield done
            except AirgapError as error:
                gone = error if isinstance(error, UnreachableError) else None
                yield from (line.failed(error) for line in list(here))

    def _in_harbor(self, at: str, lines: Sequence[Removal]) -> Iterator[Removal]:
        # What is attached goes before what it is attached to: Harbor would delete it along.
        for line in sorted(lines, key=lambda one: bool(one.name)):
            yield guarded(line, lambda one: _from_harbor(self.client.harbor, at, one))

    def _in_registry(self, at: str, lines: Sequence[Removal]) -> Iterator[Removal]:
        # Some registries delete tags even if they delete no content: asked with a digest that is nothing's.
        self.repository(at).delete(Digest.of(b""))
        place = _Repository(self.repository(at), {line.name: line.digest for line in lines if line.name})
        place.look()
        for line in sorted(lines, key=lambda one: not one.name):
            yield guarded(line, place.remove)


def _from_harbor(harbor: Harbor, at: str, line: Removal) -> Removal:
    """A tag, and its artifact if that was its last tag; or an artifact that has no tag."""
    try:
        found = harbor.artifact(at, line.name or line.digest)
    except NotFoundError:
        return line.ended(RemovalOutcome.ABSENT)
    if found.digest != line.digest:
        return line.changed(found.digest)
    if line.name:
        harbor.delete_tag(at, found.digest, line.name)
        found = harbor.artifact(at, line.digest)
        if line.name in found.tags:
            raise RaceError("tag-differs", f"{at}:{line.name}: it is still there", side="destination")
    # Harbor does not delete a child of an index, and deletes what is attached to the artifact with it.
    if found.tags or not harbor.delete_artifact(at, found.digest):
        return line.ended(RemovalOutcome.DELETED, STAYS) if line.name else line.kept(NEEDED)
    return line.ended(RemovalOutcome.DELETED)


@dataclass(slots=True)
class _Repository:
    """One repository of a plain registry: what its other tags need, and what is deleted there."""

    repository: RegistryRepository
    going: Mapping[str, str]
    """The tags of the plan, and the digest of each there."""
    needed: set[Digest] = field(default_factory=set)
    tags: dict[str, Digest] = field(default_factory=dict)
    """All tags but fallback indexes of referrers, as far as they were looked at."""
    gone: set[str] = field(default_factory=set)
    """Tags that went with their manifest."""

    def look(self) -> None:
        """Reads what each tag names that was not looked at yet, and everything below what stays."""
        for tag in self.repository.tags():
            if tag in self.tags:
                continue
            root = self.repository.find(tag)
            if root is None or (is_referrers_tag(tag) and root.is_index):
                continue
            self.tags[tag] = root.digest
            if self.going.get(tag) != root.digest:
                self._need(root)

    def _need(self, root: Descriptor) -> None:
        self.needed |= {one.descriptor.digest for one in walk(self.repository, root) if isinstance(one, Node)}

    def remove(self, line: Removal) -> Removal:
        """Deletes one line."""
        return self._tag(line) if line.name else self._content(line)

    def _tag(self, line: Removal) -> Removal:
        root = self.repository.find(line.name)
        if root is None:
            mine = line.name in self.gone
            return line.ended(RemovalOutcome.DELETED if mine else RemovalOutcome.ABSENT)
        if root.digest != line.digest:
            self._need(root)
            return line.changed(root.digest)
        if is_referrers_tag(line.name) and root.is_index:
            return line.kept("clients find signatures by it")
        self.look()  # somebody may have tagged it meanwhile
        others = {tag for tag, digest in self.tags.items() if digest == root.digest and tag != line.name}
        planned = root.digest not in self.needed and others <= self.going.keys()
        if not self.repository.delete(line.name):
            # It deletes no tag alone: the manifest goes with all of its tags, or nothing does.
            if not planned:
                reason = "this registry deletes no tag alone, and another tag or index needs the same content"
                return line.kept(reason)
            self.gone |= others
            for tag in others:
                self.tags.pop(tag)
            others = set()
        self.tags.pop(line.name, None)
        if others or root.digest in self.needed:
            return line.ended(RemovalOutcome.DELETED, "" if planned else STAYS)
        below = self._below(root)
        self._delete(root.digest)
        for child in below:
            self._delete(child)
        return line.ended(RemovalOutcome.DELETED)

    def _content(self, line: Removal) -> Removal:
        digest = Digest(line.digest)
        if digest in self.needed or digest in self.tags.values():
            return line.kept(NEEDED)
        try:
            root, _ = self.repository.manifest(digest)
        except NotFoundError:
            return line.ended(RemovalOutcome.ABSENT)
        node = read_node(self.repository, root)
        if node.subject is not None:
            referrers.leave(self.repository, node.subject.digest, digest)
        self._delete(digest)
        return line.ended(RemovalOutcome.DELETED)

    def _below(self, root: Descriptor) -> list[Digest]:
        """The manifests below a root that nothing else needs, parents first."""
        try:
            found = [one.descriptor.digest for one in walk(self.repository, root) if isinstance(one, Node)]
        except (IntegrityError, NotFoundError):  # it is damaged: what is below it cannot be known
            return []
        mine = [one for one in reversed(found) if one != root.digest]
        return [one for one in mine if one not in self.needed and one not in self.tags.values()]

    def _delete(self, digest: Digest) -> None:
        if digest not in self.needed and digest not in self.tags.values():
            self.repository.delete(digest)


@dataclass(frozen=True, slots=True)
class LayoutRemover:
    """Names in index.json, and the blobs that no other name needs. `layout` is `None` before the first import."""

    layout: Layout | None

    def __call__(self, lines: Sequence[Removal], /) -> Iterator[Removal]:
        """See `Destination.remove`."""
        for line in lines:
            yield guarded(line, self._remove)

    def _remove(self, line: Removal) -> Removal:
        if self.layout is None:
            return line.ended(RemovalOutcome.ABSENT)
        # Somebody's own name may have no tag.
        names = [f"{line.at}:{line.name}"] if line.name else [f"{line.at}@{line.digest}", line.at]
        name = next((one for one in names if self.layout.find(one) is not None), "")
        root = self.layout.find(name) if name else None
        if root is None:
            return line.ended(RemovalOutcome.ABSENT)
        if root.digest != line.digest:
            return line.changed(root.digest)
        self.layout.forget(name, root)
        return line.ended(RemovalOutcome.DELETED)


def guarded(line: Removal, remove: Callable[[Removal], Removal]) -> Removal:
    """The outcome of `remove`, or its error as the outcome. Raises `UnreachableError`."""
    try:
        return remove(line)
    except UnreachableError:
        raise
    except AirgapError as error:
        return line.failed(error)
