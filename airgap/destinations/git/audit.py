"""Audits a repository inside: refs are compared, objects fetched and checked, LFS objects hashed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from airgap.base.digest import hash_stream
from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError, IntegrityError, NotFoundError
from airgap.content.finding import Finding, State, because
from airgap.content.forms import Change
from airgap.destinations.base import Run
from airgap.destinations.git.place import HEAD, LFS_PREFIX, GitPlace, Listing
from airgap.tools.git import Git
from airgap.tools.git_refs import object_format
from airgap.tools.git_repository import BareRepository
from airgap.tools.lfs import find_pointers, lfs_descriptor


class GitAuditor:
    """Inspects the lines of a receipt. Without `deep`, an LFS object in several repositories is read once."""

    def __init__(self, git: Git, place: Callable[[str], GitPlace], run: Run, *, deep: bool) -> None:
        self._git = git
        self._place = place
        self._run = run
        self._deep = deep
        self._hashed: set[str] = set()

    def inspect(self, changes: Sequence[Change]) -> list[Finding]:
        """One finding for each change."""
        grouped: dict[str, list[Change]] = {}
        for change in changes:
            grouped.setdefault(change.at, []).append(change)
        found: list[Finding] = []
        for at, lines in grouped.items():
            self._run.progress.item(at)
            try:
                found += self._repository(self._place(at), lines)
                self._run.progress.done(at, "looked at")
            except AirgapError as error:
                found += [replace(_good(c), state=State.UNKNOWN, detail=because(error)) for c in lines]
        return found

    def _repository(self, place: GitPlace, lines: Sequence[Change]) -> Iterator[Finding]:
        listing = _look(place)
        if listing is None:
            detail = "the repository no longer exists"
            yield from (replace(_good(c), state=State.MISSING, detail=detail) for c in lines)
            return
        objects = [change for change in lines if change.name.startswith(LFS_PREFIX)]
        names = [change for change in lines if change not in objects]
        findings = [_compare(change, listing) for change in names]
        wanted = {one.name: one.got for one in findings if one.name.startswith("refs/") and one.got}
        with (
            disk_errors(self._git.folder),
            tempfile.TemporaryDirectory(dir=self._git.folder, prefix="audit-") as temp,
        ):
            repository = BareRepository(self._git, Path(temp) / "audit.git")
            repository.create(object_format(wanted.values()))
            yield from self._fetched(place, repository, wanted, findings)
            yield from self._lfs(place, repository, wanted, objects)

    def _fetched(
        self,
        place: GitPlace,
        repository: BareRepository,
        wanted: dict[str, str],
        findings: Iterable[Finding],
    ) -> Iterator[Finding]:
        """Yields the findings. None is good if the objects behind the refs are damaged."""
        problem = None
        try:
            repository.fetch(place.remote, wanted)
        except IntegrityError as error:
            problem = (State.CHANGED, f"damaged: {error}")
        except AirgapError as error:
            problem = (State.UNKNOWN, because(error))
        for finding in findings:
            if problem is not None and finding.state is State.GOOD and finding.got:
                finding = replace(finding, state=problem[0], detail=problem[1])  # noqa: PLW2901
            yield finding

    def _lfs(
        self,
        place: GitPlace,
        repository: BareRepository,
        wanted: dict[str, str],
        changes: Sequence[Change],
    ) -> Iterator[Finding]:
        if not changes:
            return
        here = repository.has(wanted.values())
        sizes = find_pointers(repository, [oid for oid in wanted.values() if oid in here])
        for change in changes:
            oid = change.name.removeprefix(LFS_PREFIX)
            finding = _good(change)
            if oid not in sizes:
                detail = "no pointer to it was found, so its size is unknown"
                yield replace(finding, state=State.UNKNOWN, detail=detail)
                continue
            yield self._hash(place, oid, sizes[oid], finding)

    def _hash(self, place: GitPlace, oid: str, size: int, finding: Finding) -> Finding:
        descriptor = lfs_descriptor(oid, size)
        try:
            if oid in self._hashed and not self._deep and place.lfs_present([descriptor]):
                return finding
            with place.lfs_open(descriptor) as stream:
                digest, length = hash_stream(stream)
        except NotFoundError as error:
            return replace(finding, state=State.MISSING, detail=str(error))
        except AirgapError as error:
            return replace(finding, state=State.UNKNOWN, detail=because(error))
        if (digest, length) != (descriptor.digest, size):
            return replace(finding, state=State.CHANGED, got=str(digest))
        self._hashed.add(oid)
        return replace(finding, got=str(digest))


def _look(place: GitPlace) -> Listing | None:
    try:
        return place.look(to_write=False)
    except NotFoundError:
        return None


def _good(change: Change) -> Finding:
    return Finding(change.item, change.at, change.name, State.GOOD, change.digest)


def _compare(change: Change, listing: Listing) -> Finding:
    if change.name == "":
        return replace(_good(change), got=change.digest)
    got = listing.head_oid if change.name == HEAD else listing.refs.get(change.name, "")
    if not got:
        return replace(_good(change), state=State.MISSING, detail="the ref no longer exists")
    state = State.GOOD if got == change.digest else State.CHANGED
    return replace(_good(change), state=state, got=got)
