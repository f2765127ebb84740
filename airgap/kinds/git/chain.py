"""The bundles of a repository as a chain: what is new since the last pull goes into new ones, and the others stay.

Every object in every bundle is in the history of a locked ref: a bundle with something else, such as a commit that was
rewritten upstream, leaves the chain, with all that build on it. So that this is seldom the large first one, what only
branches other than HEAD's reach, which come and go, is packed apart (`passing`), and no other bundle builds on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from airgap.base.digest import CHUNK
from airgap.base.errors import IntegrityError, NotFoundError
from airgap.content.graph import Descriptor, Source
from airgap.content.item import Item
from airgap.content.verified import verified
from airgap.kinds.git.graph import PASSING, git_refs
from airgap.tools.git_bundle import Header, header_of
from airgap.tools.git_refs import object_format
from airgap.tools.git_repository import BareRepository

MAX_LINKS = 50
"""Bundles of one sort. Each costs a process when it is unpacked, and a file in the store. After a year of weekly pulls
they become one."""


@dataclass(frozen=True, slots=True)
class Link:
    """One bundle of a chain, and its header."""

    bundle: Descriptor
    header: Header

    @property
    def passing(self) -> bool:
        """True for a bundle of branches that come and go."""
        return PASSING in self.bundle.annotations

    @property
    def tips(self) -> Iterable[str]:
        """The ids of its refs."""
        return self.header.refs.values()


@dataclass(frozen=True, slots=True)
class Last:
    """What a store has of a repository since the last pull of it."""

    refs: Mapping[str, str]
    links: Sequence[Link]
    source: Source


@dataclass(frozen=True, slots=True)
class Increment:
    """A bundle to be written: what `refs` reach and `without` do not. `head` as for `write_bundle`."""

    refs: Mapping[str, str]
    head: str
    without: frozenset[str]
    passing: bool


def last_pull(item: Item, source: Source) -> Last | None:
    """The repository to which the item's name points in a store; `None` if there is none, or if it is damaged.

    All bundles are hashed. Raises `StoreError`.
    """
    root = dict(source.roots()).get(item.name)
    if root is None or not item.refs:
        return None
    try:
        found = git_refs(item.name, root, source)
        if object_format(found.refs.values()) != object_format(item.refs.values()):
            return None
        return Last(found.refs, [Link(bundle, _header(bundle, source)) for bundle in found.bundles], source)
    except (IntegrityError, NotFoundError):
        return None


def in_order(bundles: Iterable[Descriptor]) -> list[Descriptor]:
    """Bundles as a graph has them: those of passing branches come last, because they build on the others."""
    return sorted(bundles, key=lambda bundle: PASSING in bundle.annotations)


def _header(bundle: Descriptor, source: Source) -> Header:
    with verified(source.open(bundle), bundle) as stream:
        while stream.read(CHUNK):
            pass
    return header_of(bundle, source)


def extend(item: Item, last: Last, repository: BareRepository) -> tuple[list[Link], list[Increment]]:
    """The links that stay, and what is to be written after them. `repository` has everything that the item needs.

    What only links had that end is written again apart from what is new: a delta leaves it out, because its refs are
    those of the last pull. Raises `IntegrityError`, `ToolError`.
    """
    tips = item.refs.values()
    gone = repository.unreached({oid for link in last.links for oid in link.tips}.union(last.refs.values()), tips)
    lasting = _few(list(_before_a_break(last.links, gone, passing=False)))
    whole = lasting == [link for link in last.links if not link.passing]
    # Bundles of passing branches build on all the others, so they end with any of them.
    passing = list(_before_a_break(last.links, gone, passing=True)) if whole else []
    kept = [*lasting, *(passing if len(passing) < MAX_LINKS else [])]
    moving = {name for link in last.links for name, oid in link.header.refs.items() if oid in gone}
    steady = {oid for name, oid in item.refs.items() if _stays(name, item.head, moving)}
    before = {ref for ref in last.refs.items() if ref[1] not in gone}
    apart = repository.unreached({oid for _, oid in before}.union(tips), steady)
    made: list[Increment] = []
    for coming in (False, True):
        there = [link for link in kept if coming or not link.passing]
        named = {ref for link in there for ref in link.header.refs.items()}
        without = {oid for _, oid in named}
        for one in made:
            named |= one.refs.items()
            without |= set(one.refs.values())
        for refs in (before, item.refs.items()):
            new = {ref for ref in refs - named if coming or ref[1] not in apart}
            if new:
                head = "" if coming else item.head
                made.append(Increment(dict(sorted(new)), head, frozenset(without), passing=coming))
            named |= new
            without |= {oid for _, oid in new}
    return kept, made


def _stays(name: str, head: str, moving: Set[str]) -> bool:
    """True for HEAD's branch, and for a tag that has not moved: these are seldom gone. For all refs without a HEAD."""
    return name == head or (name not in moving and (not head or name.startswith("refs/tags/")))


def _before_a_break(links: Sequence[Link], gone: set[str], *, passing: bool) -> Iterator[Link]:
    for link in links:
        if link.passing is passing:
            if gone.intersection(link.tips):
                return
            yield link


def _few(links: list[Link]) -> list[Link]:
    """`links`; if they are many, the first alone, because the others become one; or none, if these are larger."""
    if len(links) < MAX_LINKS:
        return links
    first, *others = (link.bundle.size for link in links)
    return links[:1] if sum(others) < first else []
