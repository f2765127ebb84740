"""Graphs into registries, and into the OCI layout of an embedded Sovereign: two-phase, names in one sweep at the end.

What Harbor and Distribution do differently is answered in `airgap.store.registry`; here is what an import decides:
where a reference ends up, what its tag names, and what may be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from airgap.digest import Digest, hash_stream
from airgap.errors import AirgapError, InputError, IntegrityError, NotFoundError
from airgap.forms import Change, Finding, Graph, Run, State, Verdict
from airgap.graph import Descriptor, Node, Source, Target, check_sum, walk
from airgap.lock import Attached
from airgap.platforms import narrow
from airgap.resources.model import map_prefix
from airgap.store.memory import Memory
from airgap.store.overlay import Overlay
from airgap.store.reference import parse_reference
from airgap.transfer import Copy

SIGNATURE_TAG = re.compile(r"sha256-[0-9a-f]{64}\.(sig|att|sbom)\Z")


class Place(Target, Protocol):
    """One repository."""

    def resolve(self, name: str) -> Descriptor:
        """What a tag or digest names. Raises `NotFoundError`."""

    def tags(self) -> Sequence[str]:
        """All tags of the repository; none when it does not exist."""


@dataclass(frozen=True, slots=True)
class _Names:
    """What one form shall be at its repository: names, the root, and the graphs that carry it."""

    at: str
    names: Mapping[str, Descriptor]
    root: Descriptor
    source: Source
    attached: tuple[Attached, ...]


@dataclass(slots=True)
class GraphDestination:
    """A registry, or a layout folder. `place(at)` gives a repository; `projects` is `None` where names stay."""

    url: str
    place: Callable[[str], Place]
    run: Run
    projects: Mapping[str, str] | None = None
    form: str = "graph"
    _places: dict[str, Place] = field(default_factory=dict)
    _known: dict[str, _Names] = field(default_factory=dict)

    def repository(self, at: str) -> Place:
        """The repository at `at`, made once."""
        if at not in self._places:
            self._places[at] = self.place(at)
        return self._places[at]

    def where(self, form: Graph) -> tuple[str, str]:
        """Repository and tag of a form; the tag is `""` for references by digest. Raises `InputError`."""
        reference = parse_reference(form.original)
        at = (
            reference.name
            if self.projects is None
            else map_prefix(reference.name, self.projects, "projects")
        )
        return at, reference.tag

    def _names(self, form: Graph) -> _Names:
        if form.item not in self._known:
            at, tag = self.where(form)
            root, derived = narrow(form.source, form.root, form.platforms)
            source = form.source if derived is None else Overlay(_memory(derived), form.source)
            # What is attached to an index that does not arrive would refer to nothing.
            gone = {form.root.digest} if root.digest != form.root.digest else set[Digest]()
            attached = tuple(one for one in form.attached if one.subject not in gone)
            names = {tag: root} | {one.tag: one.descriptor for one in attached if one.tag}
            self._known[form.item] = _Names(at, names, root, source, attached)
        return self._known[form.item]

    def plan(self, form: Graph) -> Sequence[Change]:
        """One change for the tag and one for each signature tag."""
        names = self._names(form)
        repository = self.repository(names.at)
        return [
            self._planned(form.item, names.at, name, descriptor, repository)
            for name, descriptor in names.names.items()
        ]

    def _planned(
        self, item: str, at: str, name: str, wanted: Descriptor, repository: Place
    ) -> Change:
        change = Change(item, at, name, str(wanted.digest))
        try:
            found = repository.resolve(name or str(wanted.digest))
        except NotFoundError:
            return change
        if found.digest == wanted.digest:
            return replace(change, previous=str(found.digest), outcome=Verdict.PRESENT)
        change = replace(change, previous=str(found.digest), outcome=Verdict.MOVED)
        if SIGNATURE_TAG.match(name) and self.run.ours.get((at, name)) != str(found.digest):
            reason = "the signature tag holds other signatures, and no receipt of ours says that we wrote them"
            return replace(change, outcome=Verdict.REFUSED, reason=reason)
        if self.run.add_only:
            return replace(change, outcome=Verdict.REFUSED, reason="--restore moves no name")
        return change

    def copies(self, form: Graph, plan: Sequence[Change]) -> Sequence[Copy]:
        """What must be copied before the names may be published.

        A graph is skipped only if a receipt of ours lists its name as complete *and* the name still answers with
        the digest: a present root does not prove its children.
        """
        names = self._names(form)
        if all(
            change.outcome is Verdict.PRESENT
            and self.run.ours.get((change.at, change.name)) == change.digest
            for change in plan
        ):
            return []
        graphs = [names.root, *(one.descriptor for one in names.attached)]
        repository = self.repository(names.at)
        return [
            Copy(
                form.item, names.source, repository, root,
                peer=self.url, repository=names.at, partial=True,
            )
            for root in graphs
        ]  # fmt: skip

    def publish(self, form: Graph, plan: Sequence[Change]) -> Sequence[Change]:
        """Makes referrers findable, writes tags and reads each back; one that fails does not stop the others."""
        names = self._names(form)
        repository = self.repository(names.at)
        try:
            repository.publish({})
        except AirgapError as error:
            return [replace(one, outcome=Verdict.FAILED, reason=str(error)) for one in plan]
        return [self._published(change, names.names[change.name], repository) for change in plan]

    def _published(self, change: Change, wanted: Descriptor, repository: Place) -> Change:
        if change.outcome is Verdict.REFUSED:
            return change
        try:
            # A registry keeps what has no tag by its digest alone; a layout's index has to name it.
            if change.outcome is not Verdict.PRESENT and (change.name or self.projects is None):
                repository.publish({change.name: wanted})
            found = repository.resolve(change.name or change.digest)
        except AirgapError as error:
            return replace(change, outcome=Verdict.FAILED, reason=str(error))
        if found.digest != wanted.digest:
            reason = f"read back {found.digest}, expected {wanted.digest}: someone else writes here"
            return replace(change, outcome=Verdict.FAILED, reason=reason)
        done = Verdict.PRESENT if change.outcome is Verdict.PRESENT else Verdict.WRITTEN
        return replace(change, outcome=done)

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """Resolves every name, walks its graph and hashes every blob; names that no line has are extra."""
        findings: list[Finding] = []
        hashed: set[Digest] = set()
        expected: dict[str, set[str]] = {}
        for change in changes:
            expected.setdefault(change.at, set()).add(change.name)
            findings.append(self._inspect(change, set() if deep else hashed))
        for at, names in expected.items():
            findings += self._extra(at, names)
        return findings

    def _inspect(self, change: Change, hashed: set[Digest]) -> Finding:
        repository = self.repository(change.at)
        finding = Finding(change.item, change.at, change.name, State.GOOD, change.digest)
        self.run.progress.item(f"{change.at}:{change.name}")
        try:
            found = repository.resolve(change.name or change.digest)
        except NotFoundError:
            return replace(finding, state=State.MISSING, detail="the name is gone")
        except AirgapError as error:
            return replace(finding, state=State.UNKNOWN, detail=str(error))
        if str(found.digest) != change.digest:
            return replace(
                finding,
                state=State.CHANGED,
                got=str(found.digest),
                detail="the name holds something else",
            )
        try:
            for blob in walk(repository, found):
                self._rehash(repository, blob, hashed)
        except NotFoundError as error:
            return replace(finding, state=State.MISSING, detail=error.what)
        except IntegrityError as error:
            return replace(finding, state=State.CHANGED, detail=error.what)
        except AirgapError as error:
            return replace(finding, state=State.UNKNOWN, detail=str(error))
        return replace(finding, got=str(found.digest))

    def _rehash(self, repository: Place, blob: Node | Descriptor, hashed: set[Digest]) -> None:
        if isinstance(blob, Node):  # `walk` has hashed it
            return
        if blob.digest in hashed:
            if not repository.has(blob):
                raise NotFoundError("blob-missing", f"{blob.digest} is not in the repository")
            return
        with repository.open(blob) as stream:
            digest, size = hash_stream(stream)
        check_sum(blob, digest, size)
        hashed.add(blob.digest)
        self.run.progress.advance(blob.size)

    def _extra(self, at: str, names: Iterable[str]) -> list[Finding]:
        try:
            tags = self.repository(at).tags()
        except NotFoundError:
            return []
        except AirgapError as error:
            return [
                Finding("", at, "", State.UNKNOWN, detail=f"the tags cannot be listed: {error}")
            ]
        # A fallback tag (`sha256-<hex>`) is the registry's own index of referrers.
        extra = sorted(tag for tag in set(tags) - set(names) if not _fallback(tag))
        return [Finding("", at, tag, State.EXTRA, detail="not in the receipt") for tag in extra]


def _fallback(tag: str) -> bool:
    return bool(re.match(r"sha256-[0-9a-f]{64}\Z", tag))


def _memory(node: Node) -> Memory:
    memory = Memory("derived index")
    memory.add(node.descriptor.media_type, node.data)
    return memory


def check_collisions(destination: GraphDestination, forms: Sequence[Graph]) -> None:
    """Raises `InputError` (`name-collision`) when two items would get one name with different content."""
    taken: dict[tuple[str, str], Graph] = {}
    for form in forms:
        at, tag = destination.where(form)
        if not tag:
            continue
        other = taken.setdefault((at, tag), form)
        if other.root.digest != form.root.digest:
            raise InputError(
                "name-collision",
                f"{other.item!r} and {form.item!r} would both become {at}:{tag} at {destination.url}",
                "give one of their prefixes another project in the Sovereign resource",
            )
