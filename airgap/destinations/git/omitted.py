"""What a delta omits, at a Git server: its repository has what an omitted bundle brought, and LFS objects by id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import CHUNK, Digest
from airgap.base.errors import AbsentError, IntegrityError, NotFoundError, OmittedError, PrerequisiteError
from airgap.base.streams import read_limited
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.content.graph import Descriptor
from airgap.content.ref_name import SERVERS_OWN
from airgap.destinations.base import Spot
from airgap.destinations.git.place import LFS_PREFIX, GitPlace, Listing
from airgap.tools.git_content import Named, unpack_bundles
from airgap.tools.git_repository import BareRepository


def unpack_on_held(
    refs: Refs, carried: Sequence[Descriptor], place: GitPlace, repository: BareRepository, path: Path
) -> Named:
    """Fetches what the place has into `repository`, and unpacks the bundles that are `carried` onto that.

    Returns the refs of the form: everything that they reach is there. `path` as for `unpack_bundles`. Raises
    `OmittedError`, and the errors of `unpack_bundles` and of fetching.
    """
    listing = place.look(to_write=False) or Listing()
    repository.fetch(
        place.remote, {name: oid for name, oid in listing.refs.items() if not name.startswith(SERVERS_OWN)}
    )
    try:
        unpack_bundles(refs.source, carried, repository, path)
    except PrerequisiteError as error:
        raise _lacking(refs, place, error.what) from error
    lacking = repository.lacking(refs.refs.values())
    if lacking:
        raise _lacking(refs, place, lacking)
    return refs.refs.items()


def _lacking(refs: Refs, place: GitPlace, why: str) -> OmittedError:
    return OmittedError(
        "omitted-missing",
        f"{refs.item}: this delta omits a bundle, and {place.at} lacks what that brought: {why}",
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
