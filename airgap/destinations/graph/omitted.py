"""What a delta omits, at a registry or in a layout: which of it is in place, and which repository has the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from airgap.base.digest import Digest, hash_stream
from airgap.base.errors import NotFoundError
from airgap.base.parallel import parallel
from airgap.content.graph import Descriptor, Node, Source, walk
from airgap.destinations.base import Run, Spot
from airgap.destinations.graph.place import GraphPlace


def omitted_of(
    tops: Iterable[Descriptor], source: Source, repository: GraphPlace, run: Run
) -> Sequence[tuple[Descriptor, bool]]:
    """The omitted leaves below `tops`, each with whether the repository has it, with `run.deep` without damage."""
    wanted: dict[Digest, Descriptor] = {}
    for top in tops:
        for found in walk(source, top):
            if not isinstance(found, Node) and found.digest in run.omitted:
                wanted[found.digest] = found
    leaves = list(wanted.values())
    there = parallel(run.jobs, lambda leaf: _there(repository, leaf, deep=run.deep), leaves)
    return list(zip(leaves, there, strict=True))


def spots_in(
    url: str, repository: Callable[[str], GraphPlace], blob: Descriptor, ats: Iterable[str], *, deep: bool
) -> Iterator[Spot]:
    """The repositories among `ats` that have a blob, with `deep` without damage."""
    for at in dict.fromkeys(ats):
        place = repository(at)
        if _there(place, blob, deep=deep):
            yield Spot(url, at, partial(place.open, blob))


def _there(place: GraphPlace, blob: Descriptor, *, deep: bool) -> bool:
    if not place.has(blob):
        return False
    if not deep:
        return True
    try:
        with place.open(blob) as stream:
            return hash_stream(stream) == (blob.digest, blob.size)
    except NotFoundError:
        return False
