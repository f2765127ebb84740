"""What is in quarantine: in the store of a station, and stopped by its newest verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.base.times import utc_text
from airgap.bundling.gate import kept_verdicts
from airgap.content.lock import Lock
from airgap.statements.verdict import Verdict
from airgap.station.brought import series_name
from airgap.station.files import store_records


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An item that did not pass."""

    kind: str
    name: str
    lock: str
    root: Digest
    since: datetime
    """When the verdict was signed that stops it."""
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "kind": self.kind,
            "name": self.name,
            "lock": self.lock,
            "root": str(self.root),
            "since": utc_text(self.since),
            "reason": self.reason,
        }


def quarantined(store: Path) -> list[Quarantined]:
    """What the newest verdict of each series of full locks stops, by name. Verifies no signature.

    Raises `InputError` (`unknown-thing`) for another folder, `StoreError` (`bad-statement`).
    """
    if not (store / "oci-layout").exists():
        raise InputError("unknown-thing", f"{store}: not a store", "name the folder of a store, as for --store")
    records = store_records(store)
    newest: dict[str, tuple[datetime, Lock | None, Verdict]] = {}
    for statement, verdict, lock, _ in kept_verdicts(records):
        if lock is not None and lock.promoted_from is not None:
            continue
        # Without its lock, nobody knows which later one goes on with it.
        series = str(statement.subject) if lock is None else series_name(lock.name)
        if series not in newest or newest[series][0] <= statement.signed_at:
            newest[series] = (statement.signed_at, lock, verdict)
    rows = [
        Quarantined(kinds.get(name, "unknown"), name, lock_name, judged.root, at, why)
        for at, lock, verdict in newest.values()
        for kinds, lock_name in [_names(lock)]
        for name, judged in verdict.items.items()
        if (why := judged.why_not())
    ]
    return sorted(rows, key=lambda row: (row.name, row.lock))


def _names(lock: Lock | None) -> tuple[dict[str, str], str]:
    """The kinds of a lock's items, and its name."""
    return ({}, "unknown") if lock is None else ({item.name: item.kind for item in lock.items}, lock.name)
