"""What the receipts of this Sovereign list, over all time: at each destination, whatever was ever brought there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from airgap.base.errors import InputError, TrustError
from airgap.content.forms import Change
from airgap.destinations.base import Key
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.predicates import Receipt
from airgap.station import receipts

Listed = dict[tuple[str, str], set[Key]]
"""At each destination, by its URL and form: where content is, as `spot` gives it."""


def spot(form: str, change: Change) -> Key:
    """Where a line of a receipt is, as `Destination.contents` names it: content without a name is at its digest."""
    if form != "tree":
        return change.at, change.name or change.digest
    bucket, slash, prefix = change.at.partition("/")
    return bucket, f"{prefix}{slash}{change.name}"


def add(listed: Listed, url: str, form: str, changes: Iterable[Change]) -> None:
    """Adds lines. What a registry keeps without a name is known by its digest, too: an earlier content of a tag."""
    spots = listed.setdefault((url, form), set())
    for change in changes:
        spots.add(spot(form, change))
        if form == "graph":
            spots.add((change.at, change.digest))


def listed(folder: Path, trust: Trust, now: datetime, state: Callable[[], AcceptedState]) -> Listed:
    """What all receipts in a state folder list. `state` is what was accepted. One receipt is in memory at a time.

    A receipt that is not trusted does not count.
    """
    found: Listed = {}
    for path in receipts.all_of(folder):
        try:
            receipt: Receipt = receipts.receipt_of(receipts.read(path, trust, now, state))
        except (TrustError, InputError):
            continue
        for part in receipt.destinations:
            add(found, part.url, part.form, part.items)
    return found
