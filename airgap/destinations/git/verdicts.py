"""Decides the plan and the outcome of each name. Performs no action.

A ref is created, or moves if its old value is in the history of the new one. A tag never moves. Nothing is deleted. If
the rewriting of a history was approved, refs move all the same, and the old values stay under refs of airgap's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from airgap.base.errors import AirgapError, RaceError, UpstreamError
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.destinations.base import Run
from airgap.destinations.git.place import HEAD, LFS_PREFIX, GitPlace, Listing
from airgap.tools.git_refs import object_format
from airgap.tools.git_repository import BareRepository

KEPT = "refs/airgap/rewritten/"
"""Below it, and below the id of the old value, is the name of a ref whose history was replaced."""
NOT_FORWARD = "not a fast-forward: the new commit's history does not contain the present one"
_REWRITTEN = "; if upstream rewrote its history: --allow-rewrite, with an approval"
_TAGS = "refs/tags/"
_WAIT = "wait until Gitea's queue push_update is empty (Site Administration, Monitoring), then run the import again"


def branches(listing: Listing) -> list[str]:
    """The names of its branches."""
    return [name for name in listing.refs if name.startswith("refs/heads/")]


def check_format(refs: Refs, place: GitPlace, present: Listing | None) -> None:
    """Raises `UpstreamError` (`git-object-format`) if the repository there has ids of another kind."""
    wanted = object_format(refs.refs.values())
    found = present.object_format if present is not None else ""
    if refs.refs and found and found != wanted:
        raise UpstreamError(
            "git-object-format",
            f"{place.at}: the repository there has {found} ids, {refs.item!r} has {wanted} ids",
            "map the item to another place: a repository keeps the kind of its ids for ever",
            side="destination",
        )


def plan_refs(refs: Refs, place: GitPlace, present: Listing | None, run: Run) -> list[Change]:
    """One change for each ref. A repository without refs has one change without a name."""
    if not refs.refs:
        whole = Change(refs.item, place.at, "", str(refs.root.digest))
        if present is None:
            return [whole]
        return [replace(whole, previous=whole.digest, outcome=ChangeOutcome.PRESENT)]
    held = present.refs if present is not None else {}
    folders = {folder for name in held for folder in _folders(name)}
    return [
        _plan_ref(Change(refs.item, place.at, name, oid), place, held, folders, run) for name, oid in refs.refs.items()
    ]


def _plan_ref(change: Change, place: GitPlace, held: Mapping[str, str], folders: set[str], run: Run) -> Change:
    change = replace(change, previous=held.get(change.name, ""))
    if change.previous == change.digest:
        return replace(change, outcome=ChangeOutcome.PRESENT)
    why, conflict = place.refuses(change.name), False
    if not why and not change.previous:
        other = next((folder for folder in _folders(change.name) if folder in held), "")
        if other or change.name in folders:
            why = f"{other or change.name + '/…'} is in its way: one name cannot be both a ref and a folder"
            conflict = True
        why = why or run.keeps(change, there=False)
    elif not why and run.keeps(change):
        why = run.keeps(change)
    elif not why and change.name.startswith(_TAGS) and change.item not in run.rewrites:
        why, conflict = f"the tag exists with other content, and airgap never moves a tag{_REWRITTEN}", True
    if why:
        return replace(change, outcome=ChangeOutcome.REFUSED, reason=why, conflict=conflict)
    return replace(change, outcome=ChangeOutcome.MOVED if change.previous else ChangeOutcome.WRITE)


def _folders(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(3, len(parts))]


def judge(
    changes: Sequence[Change], repository: BareRepository, held: Mapping[str, str], *, rewrites: bool
) -> list[Change]:
    """Refuses changes that do not only move forward. `repository` has the complete history of the new values.

    With `rewrites`, they are allowed, and for each the old value gets a ref of airgap's own, in front of the change.
    `held` are the refs of the destination.
    """
    made: list[Change] = []
    for change in changes:
        if change.outcome is not ChangeOutcome.MOVED or _moves_forward(change, repository):
            made.append(change)
        elif not rewrites:
            why = NOT_FORWARD + _REWRITTEN
            made.append(replace(change, outcome=ChangeOutcome.REFUSED, reason=why, conflict=True))
        else:
            made += _rewritten(change, held)
    return made


def _moves_forward(change: Change, repository: BareRepository) -> bool:
    return not change.name.startswith(_TAGS) and repository.is_ancestor(change.previous, change.digest)


def _rewritten(change: Change, held: Mapping[str, str]) -> list[Change]:
    """The change of a ref to another history, after one that keeps the old value."""
    name = f"{KEPT}{change.previous}/{change.name.removeprefix('refs/')}"
    found = held.get(name, "")
    if found not in ("", change.previous):
        why = f"the old value cannot be kept: {name} is {found}"
        return [replace(change, outcome=ChangeOutcome.REFUSED, reason=why, conflict=True)]
    outcome = ChangeOutcome.PRESENT if found else ChangeOutcome.WRITE
    kept = replace(change, name=name, digest=change.previous, previous=found, outcome=outcome)
    return [kept, replace(change, reason=f"rewritten upstream: {name} keeps the old value")]


def keeping(changes: Sequence[Change]) -> list[Change]:
    """The refs to push before any other: those that keep old values."""
    return [one for one in changes if one.name.startswith(KEPT) and one.outcome is ChangeOutcome.WRITE]


def unless_lost(changes: Sequence[Change], failed: Mapping[str, AirgapError]) -> list[Change]:
    """`changes`, without moving a ref whose old value could not be kept."""
    made: list[Change] = []
    for change in changes:
        name = f"{KEPT}{change.previous}/{change.name.removeprefix('refs/')}"
        lost = name in failed and change.outcome is ChangeOutcome.MOVED
        why = f"its old value could not be kept as {name}"
        made.append(replace(change, outcome=ChangeOutcome.FAILED, reason=why) if lost else change)
    return made


def plan_head(
    refs: Refs, place: GitPlace, present: Listing | None, changes: Sequence[Change], run: Run
) -> list[Change]:
    """The change of HEAD; none if the delivery has no HEAD. HEAD never moves to a branch that is refused."""
    if not refs.head:
        return []
    (branch,) = [change for change in changes if change.name == refs.head]
    held = present or Listing()
    head = replace(branch, name=HEAD, previous=held.head_oid)
    if branch.outcome in (ChangeOutcome.REFUSED, ChangeOutcome.FAILED) or held.head == refs.head:
        return [head]
    kept = run.keeps(head, there=bool(held.head_oid))
    if kept:
        return [head.refused(kept)]
    if held.head and not place.can_set_head:
        reason = f"it names {held.head}, but the server has no API to set it"
        return [head.refused(reason)]
    return [replace(head, outcome=ChangeOutcome.MOVED if held.head_oid else ChangeOutcome.WRITE)]


def plan_lfs(refs: Refs, place: GitPlace, stored: set[str]) -> list[Change]:
    """One change for each LFS object."""
    changes = []
    for one in refs.lfs:
        change = Change(refs.item, place.at, LFS_PREFIX + one.digest.hex, str(one.digest))
        if one.digest.hex in stored:
            change = replace(change, previous=change.digest, outcome=ChangeOutcome.PRESENT)
        changes.append(change)
    return changes


def since(plan: Sequence[Change], now: Sequence[Change]) -> list[Change]:
    """`now`, as far as it agrees with the plan. Refused changes stay refused; names that changed since then fail."""
    planned = {change.name: change for change in plan}
    return [_since(planned.get(change.name), change) for change in now]


def _since(planned: Change | None, now: Change) -> Change:
    if planned is not None and now.name == "":
        return planned  # the transfer has created the repository
    if planned is None or now.outcome in (ChangeOutcome.PRESENT, ChangeOutcome.REFUSED):
        return now
    if planned.outcome is ChangeOutcome.REFUSED:
        return planned
    if planned.previous != now.previous:
        got, expected = now.previous or "nothing", planned.previous or "nothing"
        what = f"{now.at} {now.name}: changed since the plan: got {got}, expected {expected}"
        hint = "another client writes the same ref; run the import again"
        return now.ended(ChangeOutcome.FAILED, RaceError("changed-meanwhile", what, hint, side="destination"))
    return now


def in_order(changes: Sequence[Change], head: str) -> list[Change]:
    """The refs to push: sorted tags and branches, with the default branch last."""
    wanted = [c for c in changes if c.name and c.outcome in (ChangeOutcome.WRITE, ChangeOutcome.MOVED)]
    wanted = [c for c in wanted if not c.name.startswith(KEPT)]
    return sorted(wanted, key=lambda change: (change.name == head, change.name))


def outcome(change: Change, refs: Refs, after: Listing, failed: Mapping[str, AirgapError]) -> Change:
    """The outcome of a change, according to the refs that were read back. `failed` is by name."""
    if change.outcome in (ChangeOutcome.REFUSED, ChangeOutcome.FAILED):
        return change
    if change.name == HEAD:
        got = after.head_oid if after.head == refs.head else f"{after.head or 'no ref'}"
        if after.unsettled:
            what = f"{change.at}: the server still processes the push, and may move HEAD after that"
            return change.ended(ChangeOutcome.UNCONFIRMED, UpstreamError("read-back", what, _WAIT, side="destination"))
    elif change.name == "" or change.name.startswith(LFS_PREFIX):
        got = change.digest  # looked at before the refs were pushed
    else:
        got = after.refs.get(change.name, "nothing")
    if got != change.digest:
        what = f"{change.at} {change.name}: read back {got}, expected {change.digest}"
        hint = "find out which client or hook changes it, then run the import again"
        error = failed.get(change.name) or UpstreamError("read-back", what, hint, side="destination")
        return change.ended(ChangeOutcome.FAILED, error)
    done = ChangeOutcome.PRESENT if change.outcome is ChangeOutcome.PRESENT else ChangeOutcome.WRITTEN
    return replace(change, outcome=done, reason="")
