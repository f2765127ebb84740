"""What is in quarantine: in the store of a station, and stopped by its newest verdict."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError
from airgap.base.inputs import read_input
from airgap.base.times import utc_text
from airgap.content.lock import Lock
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.trust import unverified
from airgap.statements.verdict import Verdict
from airgap.station.brought import series_name
from airgap.station.files import SUFFIX, Records, made_of, store_records


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

    Raises `InputError` (`unknown-thing`) for another folder, `StoreError`.
    """
    if not (store / "oci-layout").exists():
        raise InputError("unknown-thing", f"{store}: not a store", "name the folder of a store, as for --store")
    records = store_records(store)
    newest: dict[str, tuple[datetime, Lock, Verdict]] = {}
    for path in made_of(records.folder, Verdict.kind):
        if path.name.count(".") > SUFFIX.count("."):
            continue  # an earlier one of the same lock
        with suppress(AirgapError):
            statement = unverified(read_input(path, MAX_EVIDENCE_BUNDLE, "bad-statement"), str(path))
            lock = _full(statement.subject, records)
            if lock is not None and isinstance(statement.body, Verdict):
                found = newest.setdefault(series_name(lock.name), (statement.signed_at, lock, statement.body))
                if found[0] < statement.signed_at:
                    newest[series_name(lock.name)] = (statement.signed_at, lock, statement.body)
    rows = (
        Quarantined(item.kind, item.name, lock.name, verdict.items[item.name].root, at, why)
        for at, lock, verdict in newest.values()
        for item in lock.items
        if item.name in verdict.items and (why := verdict.items[item.name].why_not())
    )
    return sorted(rows, key=lambda row: (row.name, row.lock))


def _full(digest: Digest, records: Records) -> Lock | None:
    lock = records.lock(digest)
    return None if lock is None or lock.promoted_from is not None else lock
