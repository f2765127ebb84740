"""Whether what was published is found: a name holds what it should, and a referrer is listed at its subject."""

from __future__ import annotations

from collections.abc import Sequence

from airgap.base.digest import Digest
from airgap.base.errors import RaceError
from airgap.content.forms import Change
from airgap.content.graph import Descriptor, Source, read_node
from airgap.content.item import Attached
from airgap.destinations.graph.place import GraphPlace


def look(repository: GraphPlace, change: Change, wanted: Descriptor, subject: Digest | None) -> None:
    """Raises `RaceError` unless the name holds what it should, and unless a referrer is found at its subject."""
    found = repository.holds(change.name or wanted.digest)
    if found != change.digest:
        what = f"{change.at}:{change.name}: read back {found}, expected {change.digest}"
        raise RaceError("tag-differs", what, "another client writes the same tag", side="destination")
    if subject is not None and not repository.lists(wanted.digest, subject):
        what = (
            f"{change.at}: {wanted.digest} is there, but a referrers query on its subject {subject} does not return it"
        )
        raise RaceError("not-listed", what, "run the same command again", side="destination")


def refer(attached: Sequence[Attached], source: Source, repository: GraphPlace) -> dict[Digest, Digest]:
    """Adds referrers that name no subject to the index of referrers here. The source listed them in its own index.

    Returns the others, each with its subject: every registry must find them there.
    """
    found = {}
    for one in attached:
        if one.how == "referrer":
            node = read_node(source, one.descriptor)
            if node.subject is None:
                repository.refer(node, one.subject)
            else:
                found[node.descriptor.digest] = node.subject.digest
    return found
