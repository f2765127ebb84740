"""What a delta omits, at a Git server: its repository has what an omitted bundle brought, and LFS objects by id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import BinaryIO

from airgap.base.digest import CHUNK, Digest
from airgap.base.errors import AbsentError, IntegrityError, NotFoundError
from airgap.base.streams import read_limited
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.content.graph import Descriptor
from airgap.destinations.base import Spot
from airgap.destinations.git.place import LFS_PREFIX, GitPlace
from airgap.tools.git_repository import BareRepository


def held_refs(refs: Refs, place: GitPlace, repository: BareRepository) -> dict[str, str]:
    """Fetches what the place has into `repository`; returns the refs of the form whose objects are there then."""
    listing = place.look(to_write=False)
    if listing is None:
        return {}
    repository.fetch(place.remote, listing.refs)
    there = repository.has(refs.refs.values())
    return {name: oid for name, oid in refs.refs.items() if oid in there}


def check_held(refs: Refs, found: Mapping[str, str], place: GitPlace, repository: BareRepository) -> None:
    """Checks that what the place had and what was carried is all. Raises `NotFoundError` (`omitted-missing`)."""
    lacking = sorted(name for name in refs.refs if name not in found)
    if not lacking:
        try:
            repository.check_whole(refs.refs.values(), place.at)
        except IntegrityError:
            lacking = sorted(refs.refs)
    if lacking:
        raise NotFoundError(
            "omitted-missing",
            f"{refs.item}: this delta omits a bundle, and {place.at} lacks what that brought: {lacking[0]} cannot be "
            "made of what is there",
            "run `airgap want` for what is missing, and have it cut with `airgap bundle --want`",
            side="destination",
        )


def omitted_of(
    refs: Refs,
    plan: Sequence[Change],
    omitted: Collection[Digest],
    unpacked: Callable[[], AbstractContextManager[BareRepository]],
) -> Iterator[tuple[Descriptor, bool]]:
    """See `Destination.omitted`. A bundle counts as in place if the repository can be made with what the place has."""
    bundles = [one for one in refs.bundles if one.digest in omitted]
    if bundles:
        there = True
        try:
            with unpacked():
                pass
        except AbsentError:  # what is carried is on another disc: that run says it
            pass
        except (IntegrityError, NotFoundError):
            there = False
        yield from ((one, there) for one in bundles)
    stored = {change.name for change in plan if change.outcome is ChangeOutcome.PRESENT}
    for one in refs.lfs:
        if one.digest in omitted:
            yield one, LFS_PREFIX + one.digest.hex in stored


def lfs_spots(url: str, places: Callable[[str], GitPlace], blob: Descriptor, ats: Collection[str]) -> Iterator[Spot]:
    """The repositories among `ats` that have an LFS object."""
    for at in ats:
        place = places(at)
        if blob.digest.hex in place.lfs_present([blob]):
            yield Spot(url, at, partial(_open, place, blob))


def _open(place: GitPlace, blob: Descriptor, offset: int) -> BinaryIO:
    stream = place.lfs_open(blob)
    while offset > 0 and (piece := read_limited(stream, min(offset, CHUNK))):
        offset -= len(piece)
    return stream
