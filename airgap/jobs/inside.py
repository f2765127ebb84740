"""Everything that is inside, and which of it no delivery ever brought."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from airgap.base.errors import AirgapError
from airgap.content.finding import Finding, State, because
from airgap.destinations.accepted_list import record_name
from airgap.destinations.base import AnyDestination, Inside, Key
from airgap.resources.sovereign import Sovereign
from airgap.station.brought import Listed


@dataclass(slots=True)
class Beyond:
    """Looks at everything inside one destination after another. `listed` is what receipts and the subject list."""

    listed: Listed
    own: Collection[tuple[str, Key]] = ()
    """What airgap keeps there for itself: URL and spot."""

    def findings(self, destination: AnyDestination) -> Iterator[Finding]:
        """What no receipt lists, and what could not be listed."""
        listed: Collection[Key] = self.listed.get((destination.url, destination.form), ())
        places = {at for at, _ in listed}
        for one in destination.contents(places):
            if one.problem is not None:
                yield _finding(one, State.UNKNOWN, because(one.problem))
            elif not self._known(one, destination.url, listed, places):
                yield self._extra(destination, one)

    def _known(self, one: Inside, url: str, listed: Collection[Key], places: Collection[str]) -> bool:
        if not one.name and not one.digest:
            return one.at in places
        key = (one.at, one.name or one.digest)
        return key in listed or (url, key) in self.own

    def _extra(self, destination: AnyDestination, one: Inside) -> Finding:
        detail = "no receipt of this Sovereign lists it"
        digest = one.digest
        if one.name and not digest:
            try:
                digest = destination.address(one.at, one.name)
            except AirgapError as error:
                detail += f"; what it holds cannot be read: {error}"
        return Finding("", one.at, one.name, State.EXTRA, got=digest, detail=detail)


def _finding(one: Inside, state: State, detail: str) -> Finding:
    return Finding("", one.at, one.name, state, got=one.digest, detail=detail)


def own_records(sovereign: Sovereign) -> Collection[tuple[str, Key]]:
    """Where registries keep the signed list of accepted deliveries. Its earlier versions may have no tag."""
    name = record_name(sovereign.name)
    return {(one.url, (one.records, name)) for one in sovereign.registries if one.records}
