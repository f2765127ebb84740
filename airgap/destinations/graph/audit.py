"""Audits a registry: names are resolved, graphs walked, and every blob is read and hashed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from airgap.base.digest import Digest, hash_stream
from airgap.base.errors import (
    AirgapError,
    BlockedError,
    IntegrityError,
    NotFoundError,
    ProjectMissingError,
    UnreachableError,
)
from airgap.base.parallel import parallel
from airgap.content.finding import Finding, State, because
from airgap.content.forms import Change
from airgap.content.graph import Descriptor, Node, check_sum, walk
from airgap.destinations.base import Run
from airgap.destinations.graph.added import added_to
from airgap.destinations.graph.lists import Lists
from airgap.destinations.graph.place import GraphPlace

HIDDEN = "by the registry's own word: a project policy forbids reading the bytes"
_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")


@dataclass(slots=True)
class _Looked:
    """One line: its finding so far, and the leaves that must still be read."""

    change: Change
    finding: Finding
    leaves: list[Descriptor] = field(default_factory=list)


class GraphAuditor:
    """Inspects the lines of one destination, `run.jobs` at once.

    Without `deep`, a blob in several repositories is read in the first; the others are only asked whether they have it.
    An unreachable registry is waited for once. Its remaining lines are unknown for the same reason.
    """

    def __init__(
        self, repository: Callable[[str], GraphPlace], run: Run, lists: Lists | None = None, *, deep: bool
    ) -> None:
        self._repository = repository
        self._run = run
        self._lists = lists
        """What the registry lists at once: for names whose bytes may not be read."""
        self._count = 0
        self._deep = deep
        self._gone: AirgapError | None = None

    def inspect(self, changes: Sequence[Change]) -> list[Finding]:
        """One finding for each change."""
        # The first line goes ahead, so that not all of them wait for an unreachable registry.
        self._count = len(changes)
        looked = [self._look(change) for change in changes[:1]]
        looked += self._each(self._look, changes[1:])
        wanted = self._wanted(looked)
        self._run.progress.grow(sum(blob.size for _, blob in wanted.values()))
        hashed = zip(wanted.items(), self._each(self._hash, wanted.values()), strict=True)
        problems = {key: (at, problem) for (key, (at, _)), problem in hashed}
        return [self._settle(one, problems) for one in looked]

    def _each(self, work: Callable[[_Thing], _Made], things: Iterable[_Thing]) -> list[_Made]:
        return parallel(self._run.jobs, work, things, "audit")

    def _look(self, change: Change) -> _Looked:
        """Resolves a name and walks its graph: `walk` hashes every node."""
        repository = self._repository(change.at)
        one = _Looked(change, Finding(change.item, change.at, change.name, State.GOOD, change.digest))
        self._run.progress.item(f"{change.at}:{change.name or change.digest}")
        problem = None
        try:
            self._check_there()
            found = repository.resolve(change.name or change.digest)
            if str(found.digest) != change.digest and not self._added(repository, change, found):
                detail = "the name holds other content"
                one.finding = replace(one.finding, state=State.CHANGED, got=str(found.digest), detail=detail)
                return one
            for blob in walk(repository, found):
                if not isinstance(blob, Node):
                    one.leaves.append(blob)
                elif blob.subject is not None and not repository.lists(blob.descriptor.digest, blob.subject.digest):
                    raise NotFoundError(
                        "not-listed",
                        (f"a referrers query on its subject {blob.subject.digest} does not return it"),
                        side="destination",
                    )
        except BlockedError as error:
            return self._hidden(one, repository, error)
        except AirgapError as error:
            problem = self._noted(error)
        one.finding = _with(one.finding, problem, found=change.digest)
        return one

    def _hidden(self, one: _Looked, repository: GraphPlace, blocked: BlockedError) -> _Looked:
        """What a project policy forbids reading: the registry's own list says what the name holds, and no more.

        Deep means that every byte was hashed, so it is unknown then.
        """
        change = one.change
        if self._deep:
            detail = f"{blocked}: turn the policy off while you audit, or audit without --deep"
            one.finding = replace(one.finding, state=State.UNKNOWN, detail=detail)
            return one
        try:
            listed = self._lists is not None and self._lists.has(change, self._count)
            found = change.digest if listed else str(repository.holds(change.name or change.digest))
        except AirgapError as error:
            one.finding = _with(one.finding, self._noted(error), found=change.digest)
            return one
        if found == change.digest:
            one.finding = replace(one.finding, got=found, detail=HIDDEN)
        else:
            detail = "the name holds other content"
            one.finding = replace(one.finding, state=State.CHANGED, got=found, detail=detail)
        return one

    def _added(self, repository: GraphPlace, change: Change, found: Descriptor) -> bool:
        """True for a tag of signatures that holds what the line says and what a receipt of this Sovereign added."""
        if self._run.ours.get((change.at, change.name)) != str(found.digest):
            return False
        try:
            return added_to(repository, change.name, found.digest, repository.node(Digest(change.digest)), repository)
        except AirgapError:
            return False

    def _wanted(self, looked: Sequence[_Looked]) -> dict[tuple[str, Digest], tuple[str, Descriptor]]:
        """The blobs to read, each once for each repository in which it must be checked."""
        wanted: dict[tuple[str, Digest], tuple[str, Descriptor]] = {}
        for one in looked:
            for leaf in one.leaves:
                wanted.setdefault((one.change.at if self._deep else "", leaf.digest), (one.change.at, leaf))
        return wanted

    def _hash(self, wanted: tuple[str, Descriptor]) -> AirgapError | None:
        at, blob = wanted
        try:
            self._check_there()
            with self._repository(at).open(blob) as stream:
                digest, size = hash_stream(stream)
            check_sum(blob, digest, size)
        except AirgapError as error:
            return self._noted(error)
        finally:
            self._run.progress.advance(blob.size)
        return None

    def _settle(self, one: _Looked, problems: dict[tuple[str, Digest], tuple[str, AirgapError | None]]) -> Finding:
        """The finding of a line. `problems` has where each leaf was read, and what was wrong with it."""
        problem: AirgapError | None = None
        for leaf in one.leaves:
            key = (one.change.at if self._deep else "", leaf.digest)
            read, wrong = problems[key]
            problem = problem or wrong or (None if read == one.change.at else self._absent(one.change.at, leaf))
        finding = _with(one.finding, problem, found=one.change.digest) if problem else one.finding
        self._run.progress.done(one.change.item, str(finding.state))
        return finding

    def _absent(self, at: str, blob: Descriptor) -> AirgapError | None:
        """Checks that a blob that was read in another repository is in this one too; returns the error."""
        try:
            self._check_there()
            if self._repository(at).has(blob):
                return None
        except AirgapError as error:
            return self._noted(error)
        return NotFoundError("blob-missing", f"{blob.digest} is missing in the repository")

    def _check_there(self) -> None:
        """Raises the earlier error if the registry did not answer."""
        if self._gone is not None:
            raise self._gone.with_traceback(None)

    def _noted(self, error: AirgapError) -> AirgapError:
        if isinstance(error, UnreachableError):
            self._gone = error
        return error


def _with(finding: Finding, problem: AirgapError | None, *, found: str) -> Finding:
    if problem is None:
        return replace(finding, got=found)
    if isinstance(problem, NotFoundError | ProjectMissingError):
        return replace(finding, state=State.MISSING, detail=problem.what)
    if isinstance(problem, IntegrityError):
        return replace(finding, state=State.CHANGED, detail=problem.what)
    return replace(finding, state=State.UNKNOWN, detail=because(problem))
