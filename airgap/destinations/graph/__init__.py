"""Graphs into registries, and into the OCI layout of an embedded Sovereign: two phases, all names at the end.

`airgap.store.registry` handles the differences between Harbor and Distribution. This package contains the decisions of
an import: where a reference goes, what its tag names, and what may be replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Generic, TypeVar

from airgap.base.digest import Digest
from airgap.base.errors import (
    AbsentError,
    AirgapError,
    BlockedError,
    InputError,
    NotFoundError,
    UnconfirmedError,
    UnreachableError,
)
from airgap.base.parallel import parallel
from airgap.content.bound import check_attached, measure
from airgap.content.copy import Copy
from airgap.content.finding import Finding
from airgap.content.forms import Change, ChangeOutcome, Graph
from airgap.content.graph import Descriptor, Node, Source, walk
from airgap.content.item import Attached
from airgap.content.platforms import arriving, narrow
from airgap.content.reference import is_referrers_tag, is_repository, is_signature_tag, own_tag, parse_reference
from airgap.content.removal import Removal
from airgap.destinations.base import Inside, Moved, Run, Spot
from airgap.destinations.graph.added import added_to
from airgap.destinations.graph.audit import GraphAuditor
from airgap.destinations.graph.back import move_tags, plan_tags
from airgap.destinations.graph.contents import Lister
from airgap.destinations.graph.findable import look, refer
from airgap.destinations.graph.lists import Lists
from airgap.destinations.graph.omitted import omitted_of, spots_in
from airgap.destinations.graph.place import Deep, GraphPlace
from airgap.destinations.graph.remove import Remover
from airgap.destinations.graph.shared import SharedPass
from airgap.destinations.mapping import map_prefix
from airgap.store.memory import Memory
from airgap.store.overlay import Overlay

__all__ = ["GraphDestination", "GraphPlace", "SharedPass"]

PlaceT = TypeVar("PlaceT", bound=GraphPlace)


@dataclass(frozen=True, slots=True)
class _Names:
    """The expected state of one form in its repository: names, the root, and the graphs that contain it."""

    at: str
    lines: tuple[tuple[str, Descriptor], ...]
    """Tags and the nodes that they name. The tag is `""` for an item without a tag and for each referrer."""
    root: Descriptor
    source: Source
    attached: tuple[Attached, ...]


@dataclass(slots=True)
class GraphDestination(Generic[PlaceT]):
    """A registry, or a layout folder. `place(at)` gives a repository; `projects` is `None` if names stay the same."""

    url: str
    place: Callable[[str], PlaceT]
    run: Run
    projects: Mapping[str, str] | None = None
    shared: SharedPass = field(default_factory=SharedPass)
    """The reading of the media that all destinations of graphs share."""
    inside: Lister = field(kw_only=True)
    """Lists what is inside."""
    remover: Remover = field(kw_only=True)
    """Deletes what an approved prune plan lists."""
    lists: Lists | None = None
    """What the registry lists at once, if it can."""
    form: str = "graph"
    plan_suffices: bool = True
    _places: dict[str, PlaceT] = field(default_factory=dict)
    _plans: dict[str, Sequence[Change]] = field(default_factory=dict)
    _tickets: dict[str, list[int]] = field(default_factory=dict)
    _moved: dict[str, Moved] = field(default_factory=dict)
    _known: dict[str, _Names] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _gone: AirgapError | None = None
    _read: bool = False
    """True once a name was read by its bytes."""
    _wanted: dict[str, int] = field(default_factory=dict)
    """By project: the number of names of an import that receipts list already."""

    def repository(self, at: str) -> PlaceT:
        """The repository at `at`. The object is made once."""
        with self._lock:
            if at not in self._places:
                self._places[at] = self.place(at)
            return self._places[at]

    def where(self, form: Graph) -> tuple[str, str]:
        """Repository and tag of a form, as upstream calls it; `""` for a reference by digest. Raises `InputError`."""
        reference = parse_reference(form.original)
        at = reference.name if self.projects is None else map_prefix(reference.name, self.projects, "projects")
        return at, reference.tag

    def _names(self, form: Graph) -> _Names:
        if form.item not in self._known:
            at, tag = self.where(form)
            root, derived = narrow(form.source, form.root, form.platforms)
            source = form.source if derived is None else Overlay(_memory(derived), form.source)
            attached = arriving(form.attached, form.root.digest, root.digest)
            if self.projects is not None:  # a layout names content by its digest in index.json
                tag = tag or own_tag(root.digest)
            lines = ((tag, root), *((one.tag, one.descriptor) for one in attached))
            self._known[form.item] = _Names(at, lines, root, source, attached)
        return self._known[form.item]

    def nodes(self, form: Graph) -> Sequence[Descriptor]:
        """Every manifest and index of a form as it arrives here, children before parents, without attached graphs."""
        names = self._names(form)
        found = walk(names.source, names.root)
        return [one.descriptor for one in found if isinstance(one, Node)]

    def missing(self, form: Graph) -> Mapping[Digest, int]:
        """The blobs of a form that its repository lacks, each with its size in bytes. Asks for each blob."""
        names = self._names(form)
        repository = self.repository(names.at)
        wanted: dict[Digest, Descriptor] = {}
        for top in (names.root, *(one.descriptor for one in names.attached)):
            for found in walk(names.source, top):
                one = found.descriptor if isinstance(found, Node) else found
                wanted[one.digest] = one
        there = parallel(self.run.jobs, repository.has, wanted.values())
        return {one.digest: one.size for one, has in zip(wanted.values(), there, strict=True) if not has}

    def plan(self, form: Graph) -> Sequence[Change]:
        """One change for the tag, one for each signature tag, and one for each referrer. A referrer has no name."""
        names = self._names(form)
        repository = self.repository(names.at)
        source = names.source
        plan = [
            self._planned(form.item, names.at, name, descriptor, repository, source) for name, descriptor in names.lines
        ]
        if any(change.outcome in (ChangeOutcome.WRITE, ChangeOutcome.MOVED) for change in plan):
            repository.check_writable()
        self._plans[form.item] = plan
        return plan

    def expected(self, form: Graph) -> Sequence[Change]:
        """The lines of a plan. Sends no request."""
        names = self._names(form)
        return [Change(form.item, names.at, name, str(one.digest)) for name, one in names.lines]

    def _planned(
        self, item: str, at: str, name: str, wanted: Descriptor, repository: GraphPlace, source: Source
    ) -> Change:
        change = Change(item, at, name, str(wanted.digest))
        if self._listed(change):
            return replace(change, previous=change.digest, outcome=ChangeOutcome.PRESENT)
        try:
            found = repository.holds(name or wanted.digest)
        except NotFoundError:
            kept = self.run.keeps(change, there=False) if name else ""
            return change.refused(kept) if kept else change
        except BlockedError:
            reason = "the content is there, but a project policy forbids reading it"
            if self.run.keeps(change, unread=True) or (_kept(name) and not self.run.wrote(change)):
                return change.refused(reason)
            return replace(change, reason=reason)
        change = replace(change, previous=str(found))
        if found == wanted.digest:
            return replace(change, outcome=ChangeOutcome.PRESENT)
        if added_to(repository, name, found, wanted, source):  # nothing of it is missing, and nothing is taken away
            told = self.run.ours.get((at, name)) == str(found)
            reason = "" if told else "it has more signatures than the delivery and the receipts: others added them"
            return replace(change, digest=str(found), outcome=ChangeOutcome.PRESENT, reason=reason)
        change = replace(change, outcome=ChangeOutcome.MOVED)
        if _kept(name) and self.run.ours.get((at, name)) != str(found):
            reason = "the signature tag holds other signatures, and no receipt of this Sovereign lists them"
            return change.refused(reason)
        kept = self.run.keeps(change)
        return change.refused(kept) if kept else change

    def _listed(self, change: Change) -> bool:
        """True if the registry's list confirms what a receipt lists. For a repair and after a loss, nothing does.

        The first name is always read: a list may outlive the storage of its registry.
        """
        if self.lists is None or self.run.deep or self.run.add_only or not self.run.wrote(change):
            return False
        with self._lock:
            first, self._read = not self._read, True
        if first:
            return False
        return self.lists.has(change, self._wanted.get(change.at.partition("/")[0], 0))

    def check(self, forms: Sequence[Graph]) -> None:
        """Raises `InputError`: `bad-place` if no registry takes the name of a repository, and `name-collision` if two
        items want the same name, tag or signature tag for different content."""
        taken: dict[tuple[str, str], Change] = {}
        for form in forms:
            if self.projects is not None and not is_repository(at := self._names(form).at):
                what = f"{form.item}: {at!r:.300} cannot be the name of a repository at {self.url}"
                raise InputError("bad-place", what, "map its prefix to a shorter project in lower case, under projects")
            for line in self.expected(form):
                if self.run.wrote(line):
                    project = line.at.partition("/")[0]
                    self._wanted[project] = self._wanted.get(project, 0) + 1
                other = taken.setdefault((line.at, line.name), line) if line.name else line
                if other.digest != line.digest:
                    raise InputError(
                        "name-collision",
                        f"{other.item!r} and {line.item!r} would both become {line.at}:{line.name} at {self.url}",
                        "give one of their prefixes another project in the Sovereign resource, or leave one out",
                    )

    def omitted(self, form: Graph, _plan: Sequence[Change]) -> Sequence[tuple[Descriptor, bool]]:
        """See `Destination.omitted`."""
        if not self.run.omitted or self._settled(form):
            return ()
        names = self._names(form)
        tops = (names.root, *(one.descriptor for one in names.attached))
        return omitted_of(tops, names.source, self.repository(names.at), self.run)

    def spots(self, blob: Descriptor, item: str, ats: Collection[str]) -> Iterator[Spot]:
        """See `Destination.spots`: in a layout, all repositories share their blobs."""
        if self.projects is None:
            return spots_in(self.url, self.repository, blob, [""], deep=self.run.deep)
        named = list[str]()
        with suppress(InputError):
            named = [map_prefix(parse_reference(item).name, self.projects, "projects")]
        return spots_in(self.url, self.repository, blob, (*ats, *named), deep=self.run.deep)

    def announce(self, forms: Sequence[Graph]) -> int:
        """See `Destination.announce`: registries share the reading. The shared pass counts its own bytes."""
        for form in forms:
            self._tickets.setdefault(form.item, []).extend(self.shared.add(self._copies(form)))
        return 0

    def transfer(self, forms: Sequence[Graph]) -> Mapping[str, AirgapError]:
        """See `Destination.transfer`. The first registry that transfers does it for all registries that announced."""
        self.announce([form for form in forms if form.item not in self._tickets])
        failed: dict[str, AirgapError] = {}
        for item in dict.fromkeys(form.item for form in forms):
            copied = self.shared.results(self._tickets.pop(item), self.run)
            error = reduce(_worse, (one.error for one in copied), None)
            if error is not None:
                failed[item] = error
            self._moved[item] = Moved(sum(one.written for one in copied), compared=bool(copied))
        return failed

    def moved(self, form: Graph) -> Moved:
        """See `Destination.moved`."""
        return self._moved.get(form.item, Moved())

    def _copies(self, form: Graph) -> Sequence[Copy]:
        """The graphs that must be copied before the names may be published.

        A graph is skipped only if a receipt of this Sovereign lists its names as complete *and* the names still resolve
        to the digests: a present root does not prove that its children are present. With `run.deep` nothing is skipped,
        and existing content is hashed.
        """
        names = self._names(form)
        if self._settled(form):
            return []
        graphs = [names.root, *(one.descriptor for one in names.attached)]
        repository: GraphPlace = self.repository(names.at)
        target = Deep(repository) if self.run.deep else repository
        return [
            Copy(form.item, names.source, target, root, peer=self.url, repository=names.at, partial=True)
            for root in graphs
        ]

    def _settled(self, form: Graph) -> bool:
        plan = self._plans.get(form.item)
        listed = plan is not None and all(
            change.outcome is ChangeOutcome.PRESENT and self.run.wrote(change) for change in plan
        )
        return listed and not self.run.deep

    def publish(self, form: Graph, plan: Sequence[Change]) -> Sequence[Change]:
        """Makes referrers findable, writes tags and reads each tag back. A failed tag does not stop the others.

        Nothing gets a name unless the bytes of the graph show that it belongs to it (`check_attached`).
        """
        names = self._names(form)
        repository = self.repository(names.at)
        try:
            if self._gone is not None:
                raise self._gone
            if names.attached:
                nodes, _ = measure(names.source, form.root, form.platforms)
                check_attached(names.attached, {*nodes, names.root.digest}, names.source)
            referring = refer(names.attached, names.source, repository)
            repository.publish({})
        except AirgapError as error:
            return [one.ended(ChangeOutcome.FAILED, error) for one in plan]
        lines = list(zip(plan, (descriptor for _, descriptor in names.lines), strict=True))
        # An image that can be found can be found with its signatures: its own tag is last.
        attached = [
            self._published(change, wanted, names, None if change.name else referring.get(wanted.digest))
            for change, wanted in lines[1:]
        ]
        lost = next((one for one in attached if one.outcome is ChangeOutcome.FAILED), None)
        if lost is not None and plan[0].outcome in (ChangeOutcome.WRITE, ChangeOutcome.MOVED):
            reason = f"{lost.name or lost.digest}, which belongs to it, failed: {lost.reason}"
            return [replace(plan[0], outcome=ChangeOutcome.WITHHELD, reason=reason), *attached]
        return [self._published(*lines[0], names, None), *attached]

    def _published(self, change: Change, wanted: Descriptor, names: _Names, subject: Digest | None) -> Change:
        """Writes one name, if the plan says so, and looks at it. `subject` is that of a referrer."""
        if change.outcome is ChangeOutcome.REFUSED:
            return change
        repository = self.repository(names.at)
        try:
            # A registry keeps content without a tag under its digest; in a layout, the index has to name it.
            if change.outcome is not ChangeOutcome.PRESENT and (change.name or self.projects is None):
                repository.publish({change.name: wanted}, names.source)
                if change.name and self.projects is not None:  # the registry has read its names back already
                    return replace(change, outcome=ChangeOutcome.WRITTEN, reason="")
            look(repository, change, wanted, subject)
        except UnconfirmedError as error:
            return change.ended(ChangeOutcome.UNCONFIRMED, error)
        except AirgapError as error:
            if isinstance(error, UnreachableError):  # it is not waited for again
                self._gone = error
            return change.ended(ChangeOutcome.FAILED, error)
        if change.outcome is ChangeOutcome.PRESENT:
            return change
        return replace(change, outcome=ChangeOutcome.WRITTEN, reason="")

    def plan_back(self, lines: Sequence[Change], _known: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.plan_back`: a registry's clean-up may have taken what no tag named any more."""
        return [change for change, _ in plan_tags(lines, self.repository, self.run.jobs)]

    def move_back(self, plan: Sequence[Change], _known: Sequence[Change]) -> Sequence[Change]:
        """See `Destination.move_back`."""
        return move_tags(plan, self.repository, self.run.jobs)

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """Resolves every name, walks its graph and hashes every blob."""
        return GraphAuditor(self.repository, self.run, self.lists, deep=deep).inspect(changes)

    def contents(self, known: Collection[str]) -> Iterator[Inside]:
        """See `Destination.contents`."""
        return self.inside(known)

    def remove(self, lines: Sequence[Removal]) -> Iterator[Removal]:
        """See `Destination.remove`."""
        return self.remover(lines)

    def address(self, at: str, name: str) -> str:
        """See `Destination.address`."""
        try:
            return str(self.repository(at).holds(name))
        except NotFoundError:
            return ""


def _kept(tag: str) -> bool:
    """True for a tag that clients add to: other content under it is never replaced, unless this Sovereign wrote it."""
    return is_signature_tag(tag) or is_referrers_tag(tag)


def _memory(node: Node) -> Memory:
    memory = Memory("derived index")
    memory.add(node.descriptor.media_type, node.data)
    return memory


def _worse(one: AirgapError | None, other: AirgapError | None) -> AirgapError | None:
    """The error of a form with several graphs. Content missing until the next disc counts least."""
    if isinstance(one, AbsentError) and isinstance(other, AbsentError):
        return AbsentError([*one.digests, *other.digests])
    if one is None or (isinstance(one, AbsentError) and other is not None):
        return other
    return one
