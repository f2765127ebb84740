"""Which locks stay in a store, and why: the rule of `airgap store gc`, which reads nothing and deletes nothing.

A lock stays if nobody asked to remove any; if it is named, or among the newest of its series; and, unless it is
dropped by name, if it was judged and not delivered since, if the next delta rests on it, if its delivery is being cut
or was left unfinished, and if its import waits for a disc. A promoted lock and its full lock stay and go together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.amounts import count
from airgap.base.digest import Digest, is_digest
from airgap.base.errors import InputError
from airgap.base.text import visible
from airgap.jobs.named_files import read_lock
from airgap.jobs.storing.holdings import HeldLock, Holdings
from airgap.statements.predicates import Receipt
from airgap.station.brought import series_name
from airgap.station.files import made_of

SHORT = 12
"""Hex digits that name a lock, at least."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What people asked for."""

    keep: tuple[str, ...] = ()
    """Locks that stay: files, names, or digests, whole or their beginning."""
    keep_last: int | None = None
    """How many locks of each series stay."""
    drop: tuple[str, ...] = ()
    """Locks that go, whatever else speaks for them."""
    only_tells: bool = False
    """True if all of `keep` are files of locks that were not known: then no other lock goes because of them."""


@dataclass(frozen=True, slots=True)
class Stay:
    """What becomes of one lock."""

    held: HeldLock
    keeps: bool
    why: str


def choose(rules: Rules, holdings: Holdings) -> list[Stay]:
    """The decision about each lock whose content is in the store, oldest use first.

    Raises `InputError`: `no-such-lock`, `which-lock`, `unknown-lock`, `usage` for one that is kept and dropped.
    """
    keep = {digest for text in rules.keep for digest in _named(text, holdings, every=True)}
    drop = {digest for text in rules.drop for digest in _named(text, holdings, every=False)}
    unknown = [digest for digest in holdings.unknown if digest not in drop]
    if unknown:
        raise _unknown(unknown, holdings)
    groups = {held.digest: held.group for held in holdings.locks}
    keep |= {digest for digest, group in groups.items() if group in {groups.get(one, one) for one in keep}}
    drop |= {digest for digest, group in groups.items() if group in {groups.get(one, one) for one in drop}}
    both = keep & drop
    if both:
        what = f"{min(both)}: kept and dropped; a promoted lock and its full lock stay and go together"
        raise InputError("usage", what, "name it only once")
    newest = _newest(rules.keep_last, holdings)
    needed = _needed(holdings)
    made = []
    for held in holdings.locks:
        keeps, why = _decided(held, rules, keep, drop, newest, needed)
        made.append(Stay(held, keeps, why))
    return made


def _decided(
    held: HeldLock,
    rules: Rules,
    keep: set[Digest],
    drop: set[Digest],
    newest: Mapping[Digest, str],
    needed: Mapping[Digest, str],
) -> tuple[bool, str]:
    if held.digest in drop:
        return False, "dropped by name"
    if held.digest in keep:
        return True, "kept by name"
    if held.group in newest:
        return True, newest[held.group]
    if held.group in needed:
        return True, needed[held.group]
    if rules.keep_last is not None:
        return False, f"not among the newest {rules.keep_last} of {series_name(held.lock.name)!r}"
    return (False, "not named with --keep") if rules.keep and not rules.only_tells else (True, "no rule removes locks")


def _newest(last: int | None, holdings: Holdings) -> dict[Digest, str]:
    """The groups that stay because they are the newest of their series. One that is not whole does not count as one."""
    if last is None:
        return {}
    found, taken = dict[Digest, str](), dict[str, set[Digest]]()
    for held in sorted(holdings.locks, key=lambda one: one.order, reverse=True):
        series = series_name(held.lock.name)
        groups = taken.setdefault(series, set())
        if held.group in groups:
            continue
        if len(groups) >= last:
            continue
        if holdings.lacks(held):
            found.setdefault(held.group, f"newer than the newest {last} of {series!r} that are whole")
            continue
        groups.add(held.group)
        found[held.group] = f"among the newest {last} of {series!r}"
    return found


def _needed(holdings: Holdings) -> dict[Digest, str]:
    """The groups that something unfinished needs, whatever their age, and why."""
    groups = {held.digest: held.group for held in holdings.locks}
    found = dict[Digest, str]()
    judged = {
        path.name.removeprefix("verdict-").partition(".")[0] for path in made_of(holdings.records.folder, "verdict")
    }
    delivered = _delivered(holdings)
    for held in holdings.locks:
        if held.digest.hex in judged and held.group not in delivered:
            found[held.group] = "judged, and not in a delivery yet"
    for lock, why in _baselines(holdings):
        found[groups.get(lock, lock)] = why
    for cutting in holdings.cutting:
        for lock in cutting.locks:
            found[groups.get(lock, lock)] = f"its delivery to {visible(str(cutting.folder))} is not finished"
    for index in holdings.arriving.values():
        for lock in index.contents.locks:
            found[groups.get(lock, lock)] = f"delivery {index.journey.id}, which brings it, waits for a disc"
    return found


def _baselines(holdings: Holdings) -> Iterator[tuple[Digest, str]]:
    """The locks on whose manifests the next delta of each stream rests, and why they stay.

    They are those of the newest delivery, and of the newest of which a receipt came back. A selection counts together
    with what came before it.
    """
    whole, proven = set[tuple[str, str]](), set[tuple[str, str]]()
    for one in reversed(holdings.deliveries):
        journey = one.index.journey
        stream = journey.sovereign, journey.stream
        back = bool(holdings.records.received(Receipt.kind, one.digest))
        if stream in whole and (stream in proven or not back):
            continue
        if not one.index.contents.only:
            whole.add(stream)
            proven |= {stream} if back else set()
        for lock in one.index.contents.locks:
            what = f"delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign}"
            yield lock, f"the next delta rests on {what}"


def _delivered(holdings: Holdings) -> set[Digest]:
    """The groups of which a delivery has every item of a lock."""
    known = {held.digest: held for held in holdings.locks}
    found = set[Digest]()
    for contents in (one.index.contents for one in holdings.deliveries):
        carried = {root.item for root in contents.roots}
        for held in (known[lock] for lock in contents.locks if lock in known):
            if all(item.name in carried for item in held.lock.items):
                found.add(held.group)
    return found


def named_locks(texts: Iterable[str], holdings: Holdings) -> list[HeldLock]:
    """The locks that people named, in their order, each once. Raises as `choose`."""
    wanted = dict.fromkeys(digest for text in texts for digest in _named(text, holdings, every=False))
    known = {held.digest: held for held in holdings.locks}
    for digest in wanted:
        if digest not in known:
            raise _no_such(str(digest), holdings)
    return [known[digest] for digest in wanted]


def _named(text: str, holdings: Holdings, *, every: bool) -> Sequence[Digest]:
    """The locks that `text` names: with `every`, all of one name.

    A lock's file may name one that is not in the records.
    """
    known = {held.digest: held.lock.name for held in holdings.locks}
    path = Path(text)
    if path.is_file():
        return [read_lock(path).digest]
    beginning = text.removeprefix("sha256:")
    plain = len(beginning) >= SHORT and all(char in "0123456789abcdef" for char in beginning)
    found = [digest for digest in known if (plain and digest.hex.startswith(beginning)) or known[digest] == text]
    if not found and is_digest(text) and Digest(text) in holdings.unknown:
        return [Digest(text)]
    if not found:
        raise _no_such(text, holdings)
    if len(found) > 1 and not every:
        listed = ", ".join(digest.short for digest in found)
        raise InputError(
            "which-lock", f"{text!r:.100} names {len(found)} locks: {listed}", "name one of them by its digest"
        )
    return found


def _no_such(text: str, holdings: Holdings) -> InputError:
    many = count(len(holdings.locks), "lock")
    return InputError(
        "no-such-lock",
        f"{text!r:.300}: no lock of the store {holdings.layout.path}, which has {many}, and no file",
        "`airgap store ls` lists them; name a lock by its file, its name or its digest",
    )


def _unknown(unknown: Sequence[Digest], holdings: Holdings) -> InputError:
    return InputError(
        "unknown-lock",
        f"{holdings.layout.path}: records here are about {count(len(unknown), 'lock')} whose content is not known, "
        f"the first is {unknown[0]}: its file in airgap/locks/ is lost or damaged, or an earlier version of airgap did "
        "not keep what it pulled",
        "name the files of all such locks with --keep FILE, and nothing else: that keeps them here, and removes no "
        "other; or give one up with --drop DIGEST",
    )
