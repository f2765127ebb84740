"""What deliveries brought to each destination, over all time, by the receipts of this Sovereign: and what left since.

A lock of a delivery continues the earlier locks of the same *series*: those of the same stream, with the same name but
for a date at its end. The newest delivery of a series says what belongs inside; what only earlier ones brought is
removed, unless that delivery says that it lacks it (`Receipt.findings`): it is still wanted, and was in quarantine or
gone upstream. A selection (`Receipt.only`) speaks of its own items alone. A delivery that was rolled back says nothing
until all of it is imported again. Receipts of earlier versions name no locks: any later delivery of their stream
continues them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.content.forms import Change, ChangeOutcome
from airgap.content.removal import RemovalOutcome
from airgap.destinations.base import Key
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import Accepted, AcceptedState
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Receipt
from airgap.statements.prune import Prune
from airgap.statements.rollback import Rollback
from airgap.statements.statement import Statement
from airgap.statements.trust import unverified
from airgap.station import receipts
from airgap.station.names import NamesFile

_DATE = re.compile(r"[-_.]?(?:19|20)[0-9]{2}(?:[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?[0-3][0-9])?|[-_.]?[Ww][0-5][0-9])?\Z")
NEVER = datetime.min.replace(tzinfo=UTC)
NOT_BROUGHT = (ChangeOutcome.REFUSED, ChangeOutcome.WITHHELD)
"""Outcomes of lines whose name does not hold what the delivery brought."""
KINDS = (Receipt.kind, Rollback.kind)
"""The kinds of statements that say what is inside."""
Series = tuple[str, str | None]
"""A stream, and the name that its locks share; `None` for receipts that name no lock."""
Place = tuple[str, str]
"""The URL and the form of a destination."""


def series_name(lock: str) -> str:
    """The name of a lock without a date at its end: `platform-2026-11` is in the series `platform`."""
    return _DATE.sub("", lock)


def spot(form: str, change: Change) -> Key:
    """Where a line of a receipt is, as `Destination.contents` names it: content without a name is at its digest."""
    if form != "tree":
        return change.at, change.name or change.digest
    bucket, slash, prefix = change.at.partition("/")
    return bucket, f"{prefix}{slash}{change.name}"


@dataclass(frozen=True, slots=True)
class Brought:
    """One delivery, by its receipts."""

    digest: Digest
    stream: str
    sequence: int
    at: datetime
    """When the first of its receipts was signed."""
    last: datetime
    """When the last of them was."""
    whole: datetime
    """When the last of them was by which everything was in place; `NEVER` if there is none."""
    series: frozenset[str]
    """The series of its locks. Empty if no receipt of the delivery names locks."""
    of_items: Mapping[str, frozenset[str]]
    """By item: the series of its locks; empty if there is only one series, which then is that of all items."""
    lacks: frozenset[str] = frozenset()
    """The items that its locks name and do not have."""
    only: frozenset[str] | None = None
    """All items that a selection brought; `None` for a delivery of all items of its locks."""

    def __str__(self) -> str:
        return f"delivery {self.sequence} of stream {self.stream!r}"

    def series_of(self, item: str) -> Collection[Series]:
        """The series of an item in this delivery."""
        names = self.of_items.get(item, frozenset()) if self.of_items else self.series
        return {(self.stream, name) for name in names} or {(self.stream, None)}

    def speaks_of(self, item: str) -> bool:
        """True if it says whether an item belongs inside: one that it lacks, or that it left out, may do so."""
        return item not in self.lacks and (self.only is None or item in self.only)

    def every_series(self) -> Collection[Series]:
        """Every series that the delivery continues."""
        return [(self.stream, None), *((self.stream, name) for name in self.series)]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a receipt: what a delivery brought to one spot. `brought` is false if its name did not get it."""

    delivery: int
    digest: str
    item: str
    brought: bool
    ours: bool = False
    """True for a signature or attestation of this Sovereign."""
    bare: bool = False
    """True for content without a name."""


@dataclass(slots=True)
class Past:
    """What all receipts list. Fill it with `add`, then `close` it, then ask."""

    deliveries: list[Brought] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    """Receipts of the state folder that are not trusted."""
    _spots: dict[Place, dict[Key, tuple[Entry, ...]]] = field(default_factory=dict)
    _signed: dict[Place, dict[Key, tuple[int, Change]]] = field(default_factory=dict)
    _ats: dict[Place, set[str]] = field(default_factory=dict)
    _numbers: dict[Digest, int] = field(default_factory=dict)
    _newest: dict[Series, list[int]] = field(default_factory=dict)
    """The deliveries of a series, in the order of their sequence."""
    _rolled: dict[Digest, datetime] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    pruned: dict[tuple[Place, Key], tuple[str, Digest, datetime]] = field(default_factory=dict)
    """What approved prune plans deleted, or was gone when they came to it (a run of the same plan that was interrupted
    may have deleted it): its digest, that of the plan, and when."""
    _named: dict[str, set[Key]] = field(default_factory=dict)
    """By URL: the names that names.json lists, which imports without a key write, too."""
    _accepted: Sequence[Accepted] = ()

    def add(self, subject: Digest, signed_at: datetime, receipt: Receipt) -> None:
        """Adds a receipt. Adding it twice changes nothing."""
        number = self._number(subject, signed_at, receipt)
        for part in receipt.destinations:
            place = (part.url, part.form)
            spots, ats = self._spots.setdefault(place, {}), self._ats.setdefault(place, set())
            for line in part.items:
                # The same texts are in every receipt: each is kept once.
                item, digest = (self._texts.setdefault(text, text) for text in (line.item, line.digest))
                entry = Entry(
                    number, digest, item, line.outcome not in NOT_BROUGHT, line.signs is not None, not line.name
                )
                key = spot(part.form, line)
                ats.add(key[0])
                # What a registry keeps without a name is known by its digest: an earlier content of a tag.
                for one in {key, (line.at, line.digest)} if part.form == "graph" else {key}:
                    spots[one] = self._with(spots.get(one, ()), entry)
                if line.signs is not None and line.outcome in receipts.DONE:
                    before = self._signed.setdefault(place, {}).get(key)
                    if before is None or self._later(number, before[0]):
                        self._signed[place][key] = (number, line)

    def _with(self, entries: tuple[Entry, ...], new: Entry) -> tuple[Entry, ...]:
        """Entries with a new one. Of one digest in the same series, the newest delivery's is enough.

        What a delivery lists that was rolled back is kept apart: the earlier one may count again.
        """
        kept = []
        for one in entries:
            if self._alike(one) != self._alike(new):
                kept.append(one)
                continue
            first, second = (one, new) if self._sequence(one) <= self._sequence(new) else (new, one)
            new = replace(second, brought=first.brought or second.brought, bare=first.bare or second.bare)
        return (*kept, new)

    def _alike(self, entry: Entry) -> tuple[object, ...]:
        rolled = entry.delivery if self.deliveries[entry.delivery].digest in self._rolled else None
        return entry.digest, entry.item, self._series(entry), rolled

    def _series(self, entry: Entry) -> Collection[Series]:
        return self.deliveries[entry.delivery].series_of(entry.item)

    def _sequence(self, entry: Entry) -> int:
        return self.deliveries[entry.delivery].sequence

    def _number(self, subject: Digest, signed_at: datetime, receipt: Receipt) -> int:
        every = frozenset(series_name(lock.name) for lock in receipt.locks)
        of_items: dict[str, frozenset[str]] = {}
        if len(every) > 1:
            shared: dict[frozenset[str], frozenset[str]] = {}
            for lock in receipt.locks:
                for item in lock.items:
                    names = of_items.get(item, frozenset()) | {series_name(lock.name)}
                    of_items[item] = shared.setdefault(names, names)
        number = self._numbers.setdefault(subject, len(self.deliveries))
        lines = (line for part in receipt.destinations for line in part.items)
        whole = signed_at if all(line.outcome in receipts.PUT for line in lines) else NEVER
        there = {item for lock in receipt.locks for item in lock.items}
        lacks = frozenset(one.item for one in receipt.findings) - there
        only = frozenset(there) if receipt.only else None
        made = Brought(
            subject, receipt.stream, receipt.sequence, signed_at, signed_at, whole, every, of_items, lacks, only
        )
        if number == len(self.deliveries):
            self.deliveries.append(made)
            return number
        before = self.deliveries[number]
        known = before if before.series else made
        self.deliveries[number] = replace(
            known, at=min(before.at, signed_at), last=max(before.last, signed_at), whole=max(before.whole, whole)
        )
        return number

    def add_prune(self, one: Statement) -> None:
        """Adds what a prune deleted."""
        if isinstance(one.body, Prune):
            for line in one.body.lines:
                if line.outcome in (RemovalOutcome.DELETED, RemovalOutcome.ABSENT):
                    place = (line.destination, line.form)
                    self.pruned[place, (line.at, line.name or line.digest)] = line.digest, one.subject, one.signed_at

    def roll_back(self, subject: Digest, at: datetime) -> None:
        """Adds a rollback of a delivery. Add all of them before the receipts."""
        self._rolled[subject] = max(at, self._rolled.get(subject, at))

    def rolled_back(self, one: Brought) -> datetime | None:
        """When a delivery was rolled back; `None` if it was not, or was imported again since.

        An import that brought only a part of it again, or nothing, leaves it rolled back.
        """
        at = self._rolled.get(one.digest)
        return at if at is not None and at >= one.whole else None

    def accept(self, accepted: AcceptedState) -> None:
        """Adds which deliveries were accepted: of some there may be no receipt."""
        self._accepted = accepted.deliveries

    def close(self) -> None:
        """Orders what was added."""
        self._newest = {}
        for number, one in enumerate(self.deliveries):
            if self.rolled_back(one) is not None:
                continue
            for series in one.every_series():
                self._newest.setdefault(series, []).append(number)
        for numbers in self._newest.values():
            numbers.sort(key=lambda number: self.deliveries[number].sequence)

    def name(self, url: str, key: Key) -> None:
        """Adds a name that names.json lists."""
        self._named.setdefault(url, set()).add(key)

    # asking

    def places(self, place: Place) -> Collection[str]:
        """The repositories or buckets that receipts list at a destination."""
        return self._ats.get(place, set())

    def entries(self, place: Place, key: Key) -> Collection[Entry]:
        """Everything that receipts list at a spot."""
        return self._spots.get(place, {}).get(key, ())

    def named(self, url: str, key: Key) -> bool:
        """True if names.json lists the name, by which delivery ever."""
        return key in self._named.get(url, ())

    def is_current(self, entry: Entry) -> bool:
        """True if the newest delivery of a series lists it, in whatever way it ended there.

        A delivery that lacks an item says nothing about it: the one before it counts.
        """
        return any(self._counting(series, entry.item) == entry.delivery for series in self._series(entry))

    def _counting(self, series: Series, item: str) -> int:
        """The newest delivery of a series that speaks of the item; -1 if there is none."""
        numbers = self._newest.get(series, ())
        return next((one for one in reversed(numbers) if self.deliveries[one].speaks_of(item)), -1)

    def untold(self, after: Entry | None = None, since: datetime | None = None) -> str:
        """The newest delivery that was accepted and of which no receipt counts here, in words; `""` for none.

        What it brought is not known: an import without a key, one that was interrupted, or a receipt that was lost.
        With `after`, only what was accepted after that entry's delivery; with `since`, after that time.
        """
        order = [one.digest for one in self._accepted]
        first = 0
        if after is not None and self.deliveries[after.delivery].digest in order:
            first = order.index(self.deliveries[after.delivery].digest) + 1
        for one in reversed(self._accepted[first:]):
            if one.digest not in self._numbers and (since is None or one.accepted_at > since):
                return f"delivery {one.sequence} of stream {one.stream!r}"
        return ""

    def is_gone(self, place: Place, key: Key, digest: str, at: datetime) -> bool:
        """True if what a prune deleted at this time does not belong here, and no delivery brought it since."""
        same = [one for one in self.entries(place, key) if one.digest == digest]
        return not any(self.is_current(one) or self.deliveries[one.delivery].last > at for one in same)

    def current(self, place: Place, key: Key) -> Entry | None:
        """What belongs at a spot by the newest delivery that lists it; `None` if nothing does."""
        found = [one for one in self.entries(place, key) if self.is_current(one)]
        return max(found, key=lambda one: self._when(one.delivery), default=None)

    def last(self, entries: Iterable[Entry]) -> Entry:
        """The entry of the newest delivery."""
        return max(entries, key=lambda one: self._when(one.delivery))

    def left(self, entry: Entry) -> tuple[str, datetime] | None:
        """Why what `entry` brought no longer belongs here, and since when: its delivery was rolled back, or the next
        delivery of its series no longer lists it."""
        mine = self.deliveries[entry.delivery]
        at = self.rolled_back(mine)
        if at is not None:
            return "it was rolled back", at
        found: list[Brought] = []
        for series in self._series(entry):
            numbers = self._newest[series]
            later = [self.deliveries[number] for number in numbers[numbers.index(entry.delivery) + 1 :]]
            found += [one for one in later if one.speaks_of(entry.item)][:1]
        last = max(found, key=lambda one: one.at, default=None)
        return None if last is None else (f"{last} no longer has it", last.at)

    def signatures(self, place: Place, items: Collection[str]) -> Iterator[Change]:
        """The signatures of this Sovereign about these items that belong to a destination."""
        for key, (_, line) in self._signed.get(place, {}).items():
            if line.item in items and self.current(place, key) is not None:
                yield line

    def _when(self, number: int) -> tuple[datetime, int]:
        return self.deliveries[number].at, self.deliveries[number].sequence

    def _later(self, one: int, other: int) -> bool:
        return self._when(one) >= self._when(other)


def past(folder: Path, trust: Trust | None, now: datetime, state: Callable[[], AcceptedState]) -> Past:
    """What all receipts in a state folder list, and what names.json names. One receipt is in memory at a time.

    `state` is what was accepted. With `trust`, a receipt that is not trusted does not count; without it, nobody checks
    a signature. The caller may add receipts from elsewhere, and closes it. Raises `StoreError`.
    """
    made = Past()
    made.accept(state())
    for path in (*receipts.all_rollbacks(folder), *receipts.all_of(folder)):
        try:
            found = _read(path) if trust is None else receipts.read(path, trust, now, state, KINDS).statement
        except (TrustError, InputError):
            made.unread.append(path)
            continue
        if isinstance(found.body, Receipt):
            made.add(found.subject, found.signed_at, found.body)
        elif isinstance(found.body, Rollback):
            made.roll_back(found.subject, found.signed_at)
    return made


def add_names(made: Past, names: NamesFile, forms: Mapping[str, str]) -> None:
    """Adds what names.json names. `forms` are the forms of destinations, by URL. Raises `StoreError`."""
    for url, at, name in names.load().names:
        if url in forms:
            made.name(url, spot(forms[url], Change("", at, name, "")))


def _read(path: Path) -> Statement:
    return unverified(read_input(path, MAX_EVIDENCE_BUNDLE, "no-receipt"), str(path))
