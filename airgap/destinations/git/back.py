"""Moves refs of one repository back to commits that they named before. Each push has a lease on the present value.

A branch that airgap moved contains its old commit, so the commit comes with the branch, and no object is uploaded. If a
rewritten history was taken, a ref of airgap's own keeps the old commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.base.locks import locked
from airgap.content.forms import Change, ChangeOutcome
from airgap.destinations.base import read_back
from airgap.destinations.git.place import HEAD, GitPlace, Listing
from airgap.destinations.git.push import Pusher
from airgap.destinations.git.verdicts import KEPT
from airgap.tools.git import Git
from airgap.tools.git_refs import object_format
from airgap.tools.git_repository import BareRepository

_BRANCHES = "refs/heads/"


def plan_refs_back(lines: Sequence[Change], place: GitPlace, git: Git, key: str) -> list[Change]:
    """See `Destination.plan_back`, for the lines of one repository. It is fetched to see which commits are there."""
    present = place.look()
    refs = [_compared(line, present) for line in lines if line.name != HEAD]
    moving = {line.name: line.previous for line in refs if line.outcome is ChangeOutcome.MOVED}
    if moving:
        with locked(git.folder / f"{key}.lock"):
            here = _fetched(git, key, place, moving | _kept(refs, present))
            found = here.has(line.digest for line in refs)
            here.remove()
        refs = [
            line.refused(f"{line.digest} is not in the history of the branch any more")
            if line.outcome is ChangeOutcome.MOVED and line.digest not in found
            else line
            for line in refs
        ]
    heads = [line for line in lines if line.name == HEAD]
    return [*refs, *(_head(line, refs, present or Listing(), place)[0] for line in heads)]


def move_refs_back(plan: Sequence[Change], place: GitPlace, git: Git, key: str) -> list[Change]:
    """See `Destination.move_back`, for the lines of one repository."""
    moving = [line for line in plan if line.outcome is ChangeOutcome.MOVED and line.name != HEAD]
    failed: dict[str, AirgapError] = {}
    if moving:
        with locked(git.folder / f"{key}.lock"):
            refs = {line.name: line.previous for line in moving}
            here = _fetched(git, key, place, refs | _kept(moving, place.look()))
            pusher = Pusher(here, place)
            pusher.push(moving)
            failed = pusher.failed
            here.remove()
    after = place.look() or Listing()
    for line in plan:
        if line.name == HEAD and line.outcome is ChangeOutcome.MOVED and after.head_oid != line.digest:
            _, branch = _head(line, plan, after, place)
            try:
                place.set_head(branch)
            except AirgapError as error:
                failed[HEAD] = error
            after = place.look() or Listing()
    return [_outcome(line, after, failed) for line in plan]


def _kept(lines: Sequence[Change], present: Listing | None) -> dict[str, str]:
    """The refs of airgap's own that keep old commits of these lines, where a history was replaced."""
    wanted, held = {line.digest for line in lines}, present.refs if present is not None else {}
    return {name: oid for name, oid in held.items() if name.startswith(KEPT) and oid in wanted}


def _fetched(git: Git, key: str, place: GitPlace, wanted: Mapping[str, str]) -> BareRepository:
    here = BareRepository(git, git.folder / f"{key}.git")
    here.create(object_format(wanted.values()))
    here.fetch(place.remote, wanted)
    return here


def _compared(line: Change, present: Listing | None) -> Change:
    if present is None:
        return line.refused("the repository does not exist any more")
    found = present.refs.get(line.name, "")
    if found == line.digest:
        return replace(line, outcome=ChangeOutcome.PRESENT)
    if found != line.previous:
        return line.refused(f"it holds {found or 'nothing'} now, not what the delivery wrote: somebody moved it")
    return replace(line, outcome=ChangeOutcome.MOVED)


def _head(line: Change, refs: Sequence[Change], present: Listing, place: GitPlace) -> tuple[Change, str]:
    """The plan for HEAD, and the branch that it is to name. A receipt has only the commit of that branch."""
    after = dict(present.refs)
    for one in refs:
        if one.name != HEAD and one.outcome in (ChangeOutcome.MOVED, ChangeOutcome.WRITTEN):
            after[one.name] = one.digest
    if present.head in after and after[present.head] == line.digest:  # it follows its branch
        same = present.head_oid == line.digest
        return replace(line, outcome=ChangeOutcome.PRESENT if same else ChangeOutcome.MOVED), present.head
    if present.head_oid not in (line.previous, line.digest):
        return line.refused(f"HEAD names {present.head or 'nothing'} now: somebody moved it"), ""
    fitting = [name for name, oid in after.items() if name.startswith(_BRANCHES) and oid == line.digest]
    if len(fitting) != 1:
        return line.refused(f"{len(fitting)} branches hold what HEAD named before: set it by hand"), ""
    if not place.can_set_head:
        return line.refused(f"the server has no API to set HEAD to {fitting[0]}: set it by hand"), ""
    return replace(line, outcome=ChangeOutcome.MOVED), fitting[0]


def _outcome(line: Change, after: Listing, failed: Mapping[str, AirgapError]) -> Change:
    if line.outcome is not ChangeOutcome.MOVED:
        return line
    found = after.head_oid if line.name == HEAD else after.refs.get(line.name, "")
    if found == line.digest:
        return replace(line, outcome=ChangeOutcome.WRITTEN)
    return line.ended(ChangeOutcome.FAILED, failed.get(line.name) or read_back(found, line))


def work_key(at: str, url: str) -> str:
    """The name of the work folder for one repository."""
    return "back-" + Digest.of(f"{url}\n{at}".encode()).hex[:24]
