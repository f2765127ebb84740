"""Promoting a lock: a lock of what passed, which names what was left out.

Everything else is as in the *full* lock, whose name it keeps, so that its series goes on. What pull statements say
about the full lock holds for the items of the promoted one. So the full lock travels along, and acceptance compares the
two.
Format: docs/format.md, "Promoted locks".
"""

from __future__ import annotations

from collections.abc import Mapping

from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import MAX_DETAIL, QUARANTINED, LockFinding

MAX_REASON = MAX_DETAIL - 100
"""Characters of a reason: the digest is not cut off."""


def promote(full: Lock, reasons: Mapping[str, str]) -> Lock:
    """The lock without the items that `reasons` names, each with why it did not pass.

    The same lock if that is none of them. A lock that was promoted before gives one that was promoted from the same
    full lock. Raises `InputError` (`too-many-findings`).
    """
    if not reasons:
        return full
    out = [item for item in full.items if item.name in reasons]
    left = [LockFinding.of(item.name, QUARANTINED, _detail(item, reasons[item.name])) for item in out]
    kept = [item for item in full.items if item.name not in reasons]
    # What kinds find in items that are kept, they find again.
    stay = [one for one in full.findings if one.item not in reasons]
    return Lock.of(full.name, kept, [*stay, *left], full.promoted_from or full.digest)


def difference(promoted: Lock, full: Lock) -> str:
    """What is wrong with a lock that says that it was promoted from `full`; `""` if nothing is.

    Its items and its other findings are those of the full lock, and each item that it lacks is in quarantine.
    """
    if promoted.promoted_from != full.digest or promoted.name != full.name:
        return f"it was promoted from {promoted.promoted_from}, a lock of the name {promoted.name!r:.100}"
    there = {item.name: item for item in full.items}
    odd = next((item.name for item in promoted.items if there.get(item.name) != item), None)
    if odd is not None:
        return f"{odd!r}: the full lock has not the same item"
    missing = there.keys() - {item.name for item in promoted.items}
    named = {one.item for one in promoted.quarantined}
    if missing != named:
        return f"{min(missing ^ named)!r}: the locks differ in it, but not as an item in quarantine"
    stay = {one for one in full.findings if one.item not in named}
    others = {one for one in promoted.findings if not one.quarantined}
    if stay != others:
        return f"{min(stay ^ others).item!r}: the full lock has other findings"
    return ""


def _detail(item: Item, reason: str) -> str:
    """Why, and which content: a later one of that name may pass."""
    short = reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 1]}…"
    return f"{short} ({item.root.digest if item.root is not None else item.pin})"
