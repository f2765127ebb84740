"""What a delta omits, at a registry or in a layout: which of it is in place, and which repository has the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial

from airgap.base.digest import Digest
from airgap.base.parallel import parallel
from airgap.content.graph import Descriptor, Node, Source, walk
from airgap.destinations.base import Spot
from airgap.destinations.graph.place import GraphPlace


def omitted_of(
    tops: Iterable[Descriptor], source: Source, omitted: Collection[Digest], repository: GraphPlace, jobs: int
) -> Sequence[tuple[Descriptor, bool]]:
    """The omitted leaves below `tops`, each with whether the repository has it."""
    wanted: dict[Digest, Descriptor] = {}
    for top in tops:
        for found in walk(source, top):
            if not isinstance(found, Node) and found.digest in omitted:
                wanted[found.digest] = found
    leaves = list(wanted.values())
    return list(zip(leaves, parallel(jobs, repository.has, leaves), strict=True))


def spots_in(url: str, repository: Callable[[str], GraphPlace], blob: Descriptor, ats: Iterable[str]) -> Iterator[Spot]:
    """The repositories among `ats` that have a blob."""
    for at in dict.fromkeys(ats):
        place = repository(at)
        if place.has(blob):
            yield Spot(url, at, partial(place.open, blob))
