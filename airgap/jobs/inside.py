"""Everything that is inside, and what deliveries have to do with it: who brought it, and whether it still belongs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from airgap.base.errors import AirgapError
from airgap.base.times import utc_text
from airgap.content.finding import Finding, State, because
from airgap.destinations.accepted_list import RegistryShelf, Shelf
from airgap.destinations.base import AnyDestination, Inside, Key
from airgap.net.origin import Origin
from airgap.resources.sovereign import Declaration, Sovereign
from airgap.station.brought import Entry, Past, Place

FOLDERS = {"graph": "oci", "refs": "git", "tree": "objects"}
"""How names of content in folders begin, by form."""


@dataclass(slots=True)
class Survey:
    """Looks at everything inside one destination after another, and counts what needs no finding."""

    past: Past
    sovereign: Sovereign
    compared: Mapping[Place, Collection[Key]]
    """What an audit has compared already."""
    shelves: Sequence[Shelf] = ()
    """Where airgap keeps lists for itself."""
    declared: Counter[Declaration] = field(default_factory=Counter)
    """How many things each declaration explains."""
    others: int = 0
    """Things that deliveries brought and that belong here, and that nobody compared."""
    partly: bool = False
    """True if something could not be listed."""

    def findings(self, destination: AnyDestination) -> Iterator[Finding]:
        """What no delivery brought, what left the locks, and what could not be listed."""
        place = (destination.url, destination.form)
        compared = self.compared.get(place, ())
        known = {*self.past.places(place), *(at for at, _ in compared)}
        for one in destination.contents(known):
            if one.problem is not None:
                self.partly = True
                yield Finding("", one.at, "", State.UNKNOWN, detail=because(one.problem), destination=destination.url)
                continue
            key = (one.at, one.name or one.digest)
            if key in compared or (not one.name and not one.digest and one.at in known):
                continue
            if self._is_list(one, destination.url):
                continue
            finding = self._judged(destination, one, self.past.entries(place, key))
            if finding is not None:
                yield finding

    def still(self, destination: AnyDestination, one: Inside) -> Finding | None:
        """The finding about a thing that is what `one` says; `None` if it belongs here, is declared or is a list."""
        if self._is_list(one, destination.url, unread=True):
            return None
        place = (destination.url, destination.form)
        return self._judged(destination, one, self.past.entries(place, (one.at, one.name or one.digest)))

    def _judged(self, destination: AnyDestination, one: Inside, entries: Collection[Entry]) -> Finding | None:
        """The finding about one thing; `None` if it belongs here, or is declared."""
        url, form = destination.url, destination.form
        brought = [entry for entry in entries if entry.brought]
        if any(self.past.is_current(entry) for entry in entries):
            self.others += 1
            return None
        if not brought and self.past.named(url, (one.at, one.name)):
            self.others += 1
            return None
        declaration = self._declared(url, form, one)
        digest = one.digest
        if one.name and not digest and (brought or declaration is None):
            try:
                digest = destination.address(one.at, one.name)
            except AirgapError as error:
                what = f"what it holds cannot be read: {because(error)}"
                return Finding("", one.at, one.name, State.UNKNOWN, detail=what, destination=url)
        same = [entry for entry in brought if entry.digest == digest]
        if same:
            return self._removed(url, one, digest, same)
        if declaration is not None:
            self.declared[declaration] += 1
            return None
        detail = "no receipt of this Sovereign lists it"
        if brought:
            before = self.past.deliveries[self.past.last(brought).delivery]
            detail = f"{before} brought the name, but it holds content that no delivery brought"
        return Finding("", one.at, one.name, State.EXTRA, got=digest, detail=detail, destination=url)

    def _removed(self, url: str, one: Inside, digest: str, same: Collection[Entry]) -> Finding | None:
        """What left the locks. A signature of this Sovereign leaves with what it signs, and is not told on its own."""
        last = self.past.last(same)
        if last.ours and not one.name:
            self.others += 1
            return None
        before, left = self.past.deliveries[last.delivery], self.past.left(last)
        detail = f"{before} brought it" + (f"; {left[0]}" if left else "")
        return Finding(
            last.item,
            one.at,
            one.name,
            State.REMOVED,
            got=digest,
            detail=detail,
            destination=url,
            delivery=str(before.digest),
            since=utc_text(left[1]) if left else "",
        )

    def _is_list(self, one: Inside, url: str, *, unread: bool = False) -> bool:
        """True for a list of accepted deliveries, of now or before, in the repository for them.

        `unread` is the answer about what cannot be read.
        """
        for shelf in self.shelves:
            if isinstance(shelf, RegistryShelf) and (shelf.url, shelf.repository.name) == (url, one.at):
                try:
                    return shelf.is_list(one.name or one.digest)
                except AirgapError:
                    return unread
        return False

    def _declared(self, url: str, form: str, one: Inside) -> Declaration | None:
        names = declared_names(url, form, one.at, one.name, one.digest)
        return next((each for each in self.sovereign.declared if each.matches(*names)), None)


def declared_top(url: str, form: str) -> str:
    """What stands before the first `/` of the names of a destination: its host, or its folder."""
    return Origin.of(url).netloc if "://" in url else FOLDERS[form]


def declared_names(url: str, form: str, at: str, name: str, digest: str) -> Collection[str]:
    """The names by which a Sovereign resource may declare a thing inside: its place, and the thing itself."""
    where = f"{declared_top(url, form)}/{at}"
    if form == "tree":
        return [f"{where}/{name}"]
    return [where, f"{where}:{name}" if name else f"{where}@{digest}"]
