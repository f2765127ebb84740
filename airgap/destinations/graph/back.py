"""Moves tags back to manifests that they named before, if these are still there with all that they reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, BlockedError, NotFoundError, UnconfirmedError, UnreachableError
from airgap.base.parallel import parallel
from airgap.content.forms import Change, ChangeOutcome
from airgap.content.graph import Descriptor, Node, walk
from airgap.destinations.base import read_back
from airgap.destinations.graph.place import GraphPlace

BLOCKED = "a project policy forbids reading it"


def plan_tags(
    lines: Sequence[Change], repository: Callable[[str], GraphPlace], jobs: int
) -> list[tuple[Change, Descriptor | None]]:
    """See `Destination.plan_back`; each change with the node that its tag is to name."""

    def planned(line: Change) -> tuple[Change, Descriptor | None]:
        place = repository(line.at)
        try:
            found = str(place.holds(line.name))
        except NotFoundError:
            return line.refused("the tag does not exist any more"), None
        except BlockedError:
            return line.refused(f"what it holds cannot be compared: {BLOCKED}"), None
        if found not in (line.digest, line.previous):
            return line.refused(f"it holds {found} now, not what the delivery wrote: somebody moved it"), None
        try:
            old = _whole(place, line.digest)
        except NotFoundError as error:
            return line.refused(f"what it held before is not there completely any more: {error.what}"), None
        except BlockedError:
            return line.refused(f"what it held before cannot be checked: {BLOCKED}"), None
        outcome = ChangeOutcome.PRESENT if found == line.digest else ChangeOutcome.MOVED
        return replace(line, outcome=outcome), old

    # The first line goes ahead, so that an unreachable registry is waited for once.
    first = [planned(line) for line in lines[:1]]
    return first + parallel(jobs, planned, lines[1:], "rollback")


def move_tags(plan: Sequence[Change], repository: Callable[[str], GraphPlace], jobs: int) -> Sequence[Change]:
    """See `Destination.move_back`: every tag is looked at again before it is moved, and read back after it."""
    gone: list[AirgapError] = []

    def moved(line: Change) -> Change:
        if line.outcome is not ChangeOutcome.MOVED:
            return line
        try:
            if gone:
                raise gone[0]
            [(now, old)] = plan_tags([line], repository, 1)
            if now.outcome is not ChangeOutcome.MOVED or old is None:
                return now
            place = repository(line.at)
            place.publish({line.name: old})
            found = str(place.holds(line.name))
        except UnconfirmedError as error:
            return line.ended(ChangeOutcome.UNCONFIRMED, error)
        except AirgapError as error:
            if isinstance(error, UnreachableError):
                gone.append(error)
            return line.ended(ChangeOutcome.FAILED, error)
        if found != line.digest:
            return line.ended(ChangeOutcome.FAILED, read_back(found, line))
        return replace(line, outcome=ChangeOutcome.WRITTEN)

    return parallel(jobs, moved, plan, "rollback")


def _whole(place: GraphPlace, digest: str) -> Descriptor:
    """The node with this digest. Raises `NotFoundError` if it, or anything that it reaches, is missing."""
    root = place.node(Digest(digest))
    for found in walk(place, root):
        if not isinstance(found, Node) and not place.has(found):
            raise NotFoundError("blob-missing", f"{found.digest} is missing in the repository")
    return root
