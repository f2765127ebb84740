"""What is served: repositories with their tags, manifests, blobs and referrers. Built once, from manifests alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.graph import Descriptor, Keep, Node, Source, by_platform, read_node, walk
from airgap.content.item import Attached
from airgap.content.platforms import arriving, narrow
from airgap.content.reference import DOCKER_HUB, looks_like_host
from airgap.store.memory import Memory
from airgap.store.overlay import Overlay


@dataclass(slots=True)
class ServedRepository:
    """One repository. A blob is served only where a manifest of the repository names it."""

    tags: dict[str, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, Descriptor] = field(default_factory=dict)
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    referrers: dict[Digest, dict[Digest, dict[str, Any]]] = field(default_factory=dict)
    """Subject → digest of a referrer → its entry in the answer."""

    def refer(self, node: Node, subject: Digest) -> None:
        """Lists a manifest under a subject. Source: distribution-spec v1.1, "Listing Referrers"."""
        entry = {**node.descriptor.as_dict(), "artifactType": node.artifact_type or None}
        if node.annotations:
            entry["annotations"] = dict(node.annotations)
        kept = {key: value for key, value in entry.items() if value is not None}
        self.referrers.setdefault(subject, {})[node.descriptor.digest] = kept


class Catalog:
    """All repositories, under the names that they have upstream (`docker.io/library/alpine`), and where bytes are."""

    def __init__(self, source: Source) -> None:
        self._made = Memory("derived index")
        self.source: Source = Overlay(self._made, source)
        self.repositories: dict[str, ServedRepository] = {}

    def add(
        self,
        name: str,
        tag: str,
        root: Descriptor,
        platforms: tuple[str, ...] = (),
        attached: Iterable[Attached] = (),
    ) -> None:
        """Adds a graph. Its tag names what a registry would get: with `platforms`, an index that lists only those.

        The original index is served by its digest, because deployments may name that. Reads manifests. Raises
        `InputError` (`name-collision`), any error of reading.
        """
        root = Descriptor(root.media_type, root.digest, root.size)
        repository = self.repositories.setdefault(name, ServedRepository())
        inside, derived = narrow(self.source, root, platforms)
        if derived is not None:
            self._made.add(inside.media_type, derived.data)
        self._walk(repository, root, by_platform(platforms))
        self._walk(repository, inside, None)
        attached = tuple(attached)
        for one in attached:
            self._walk(repository, one.descriptor, None)
            node = read_node(self.source, one.descriptor)
            if one.how == "referrer" and node.subject is None:
                repository.refer(node, one.subject)
        if tag:
            self._tag(name, tag, inside)
        for one in arriving(attached, root.digest, inside.digest):
            if one.tag:
                self._tag(name, one.tag, one.descriptor)

    def _tag(self, name: str, tag: str, root: Descriptor) -> None:
        there = self.repositories[name].tags.setdefault(tag, root)
        if there.digest != root.digest:
            what = f"{name}:{tag} names two things: {there.digest} and {root.digest}"
            raise InputError("name-collision", what, "serve them from two deliveries, or from layouts of their own")

    def _walk(self, repository: ServedRepository, root: Descriptor, keep: Keep | None) -> None:
        for found in walk(self.source, root, keep):
            if isinstance(found, Node):
                repository.manifests[found.descriptor.digest] = found.descriptor
                if found.subject is not None:
                    repository.refer(found, found.subject.digest)
            else:
                repository.blobs[found.digest] = found

    def find(self, path: str, namespace: str = "") -> tuple[str, ServedRepository] | None:
        """The repository for a path of a request, and its name.

        containerd asks a mirror for `library/alpine` with `?ns=docker.io`; other clients for the whole name. A path
        without a host is one of Docker Hub, as everywhere.
        """
        if namespace:
            names = [f"{namespace}/{path}", *([path] if path.startswith(f"{namespace}/") else [])]
        else:
            host = path.partition("/")[0]
            names = [path, *([] if looks_like_host(host) else [f"{DOCKER_HUB}/{path}"])]
        for name in names:
            if name in self.repositories:
                return name, self.repositories[name]
        return None

    @property
    def digests(self) -> set[Digest]:
        """Everything that may be asked for."""
        return {digest for one in self.repositories.values() for digest in (*one.manifests, *one.blobs)}

    @property
    def hosts(self) -> list[str]:
        """The hosts that the names begin with, sorted."""
        hosts = {name.partition("/")[0] for name in self.repositories}
        return sorted(host for host in hosts if looks_like_host(host))

    @property
    def tags(self) -> Mapping[str, int]:
        """How many tags each repository has."""
        return {name: len(one.tags) for name, one in self.repositories.items()}
