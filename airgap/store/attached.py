"""Finds what is attached to a graph: referrers, and the tags `sha256-….sig`, `.att` and `.sbom` next to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError, UpstreamError
from airgap.content.graph import Descriptor
from airgap.content.item import Attached
from airgap.content.reference import SIGNATURE_SUFFIXES, referrers_tag
from airgap.store.registry.repository import RegistryRepository

MAX_ATTACHED = 1000
"""Attached artifacts of one item: as many as the signatures that cosign reads for one image."""


class Finder(Protocol):
    """Finds the artifacts that are attached to a digest."""

    def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """Manifests whose subject is `digest`."""

    def tagged(self, tag: str) -> Descriptor | None:
        """The root of a tag next to the artifact, `None` if there is none."""


class NoFinder:
    """For an engine, which keeps no signatures."""

    def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """None."""
        return ()

    def tagged(self, tag: str) -> Descriptor | None:
        """None."""
        return None


@dataclass(slots=True)
class RepositoryFinder:
    """Asks a registry. `how` is `tags` if it has no referrers API, `none` if nothing there is attached to anything."""

    repository: RegistryRepository
    how: str = ""

    def referrers(self, digest: Digest) -> Sequence[Descriptor]:
        """Uses the referrers API and the fallback tag. Skips index entries whose manifest is gone."""
        if self.how == "none":
            return []
        with self._explained(f"what is attached to {digest}"):
            found = self.repository.referrers(digest, api=self.how != "tags")
            return [one for one in found if not one.is_node or self.repository.has(one)]

    def tagged(self, tag: str) -> Descriptor | None:
        """Resolves the tag."""
        if self.how == "none":
            return None
        with self._explained(f"whether the tag {tag} exists"):
            return self.repository.find(tag)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Adds the way on to an answer that is no answer: signatures must not be left out because of a refusal."""
        try:
            yield
        except UpstreamError as error:
            if not error.status:
                raise
            host, way = self.repository.client.host, "none" if self.how else "tags` (or `none"
            hint = f"if {host} keeps nothing that is attached, write `referrers: {way}` for this host in Upstreams"
            also = f"{error.hint}; {hint}" if error.hint else hint
            raise error.with_where(f"{host} does not say {what}").with_hint(also) from error


def find_attached(finder: Finder, nodes: Iterable[Digest]) -> tuple[Attached, ...]:
    """All artifacts attached to `nodes`, and in turn to those artifacts: sorted, each once.

    Raises `IntegrityError` (`too-many-attached`) beyond `MAX_ATTACHED`, because so many are not real signatures.
    """
    queue, found, seen = list(nodes), list[Attached](), set[tuple[Digest, str, Digest]]()
    asked: set[Digest] = set()
    while queue:
        subject = queue.pop(0)
        if subject in asked:
            continue
        asked.add(subject)
        for attached in _attached_to(finder, subject):
            key = (attached.subject, attached.tag, attached.descriptor.digest)
            if key not in seen:
                seen.add(key)
                found.append(attached)
                queue.append(attached.descriptor.digest)
        if len(found) > MAX_ATTACHED:
            raise IntegrityError(
                "too-many-attached",
                f"{subject}: more than {MAX_ATTACHED} artifacts are attached",
                "find out who pushes them; airgap carries all or nothing",
            )
    return tuple(sorted(found, key=lambda a: (a.subject, a.how, a.tag, a.descriptor.digest)))


def _attached_to(finder: Finder, subject: Digest) -> Iterable[Attached]:
    for descriptor in finder.referrers(subject):
        plain = Descriptor(
            descriptor.media_type,
            descriptor.digest,
            descriptor.size,
            artifact_type=descriptor.artifact_type,
        )
        yield Attached(subject, "referrer", plain)
    for suffix in SIGNATURE_SUFFIXES:
        tag = referrers_tag(subject) + suffix
        named = finder.tagged(tag)
        if named is not None:
            yield Attached(subject, "tag", Descriptor(named.media_type, named.digest, named.size), tag)
