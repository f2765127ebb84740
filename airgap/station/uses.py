"""Which locks a store is kept for: when each was used last, which were removed, and which deliveries are being cut.

`airgap/uses/<hex of the lock>.json` is written by every command that uses a lock, and by `airgap store gc`.
`airgap/cutting/<hex>.json` names a delivery whose last file is not written yet; it is removed when the delivery is
whole. The lock itself is in `airgap/locks/`, for good: statements are about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder, mode_in, write_durably
from airgap.base.errors import AirgapError, StoreError
from airgap.base.inputs import read_plain
from airgap.base.json_fields import Fields
from airgap.base.times import utc_text
from airgap.content.lock import Lock
from airgap.station.files import Records

USES = "uses"
CUTTING = "cutting"
MAX_USE = 1 << 20
"""Bytes of one file."""


@dataclass(frozen=True, slots=True)
class Use:
    """When a lock was used last, and by which command."""

    lock: Digest
    name: str
    at: datetime
    by: str
    whole: bool = False
    """True if all of it was in the store at some time: then what is missing was lost, and is not still to come."""
    removed: datetime | None = None
    """When `airgap store gc` removed its content; `None` if it did not, or if the lock was used again since."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        made = {"lock": str(self.lock), "name": self.name, "used": utc_text(self.at), "by": self.by}
        removed = {} if self.removed is None else {"removed": utc_text(self.removed)}
        return {**made, "whole": self.whole, **removed}


@dataclass(frozen=True, slots=True)
class Cutting:
    """A delivery that is being cut, or was left unfinished."""

    folder: Path
    sovereign: str
    locks: tuple[Digest, ...]
    since: datetime

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        locks = [str(lock) for lock in self.locks]
        return {"to": str(self.folder), "sovereign": self.sovereign, "locks": locks, "since": utc_text(self.since)}


@dataclass(frozen=True, slots=True)
class Uses:
    """The uses in `folder`, a store's `airgap/`. Raises `StoreError`."""

    folder: Path

    def note(self, locks: Sequence[Lock], by: str, now: datetime, *, whole: bool) -> None:
        """Keeps these locks, and notes that `by` uses them now.

        A command that brings content calls it before, and with `whole` afterwards.
        """
        before = self.all()
        for lock in locks:
            Records(self.folder).save_lock(lock)
            known = before.get(lock.digest)
            kept = known is not None and known.whole and known.removed is None
            self._write(Use(lock.digest, lock.name, now, by, whole or kept))

    def remove(self, use: Use, now: datetime) -> None:
        """Notes that the content of a lock is being removed."""
        self._write(replace(use, whole=False, removed=now))

    def all(self) -> dict[Digest, Use]:
        """Every lock that was used here, with its last use. Raises `StoreError` (`bad-record`)."""
        found = [_use(path) for path in _files(self.folder / USES)]
        return {one.lock: one for one in found}

    def cutting(self) -> list[Cutting]:
        """The deliveries that are not whole yet. Raises `StoreError` (`bad-record`)."""
        return [_cutting(path) for path in _files(self.folder / CUTTING)]

    @contextmanager
    def cut(self, order: Cutting, journal: str) -> Iterator[None]:
        """Notes a delivery while it is cut. The note stays if the block fails after its `journal` was begun."""
        path = self.folder / CUTTING / f"{Digest.of(str(order.folder).encode()).hex[:16]}.json"
        self._save(path, order.as_dict())
        try:
            yield
        finally:
            begun = True
            with suppress(OSError):
                begun = (order.folder / journal).exists()
            if not begun:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _write(self, use: Use) -> None:
        self._save(self.folder / USES / f"{use.lock.hex}.json", use.as_dict())

    @staticmethod
    def _save(path: Path, document: dict[str, Any]) -> None:
        make_folder(path.parent)
        with disk_errors(path):
            mode = mode_in(path.parent)
        write_durably(path, json.dumps(document, ensure_ascii=False).encode(), mode)


def _files(folder: Path) -> list[Path]:
    with disk_errors(folder):
        return sorted(folder.glob("[0-9a-f]*.json"))


def _read(path: Path, names: frozenset[str], maybe: frozenset[str] = frozenset()) -> Fields:
    with disk_errors(path):
        data = read_plain(path, MAX_USE)
    return Fields.parse(data or b"", names, str(path), _bad, maybe)


def _use(path: Path) -> Use:
    fields = _read(path, frozenset({"lock", "name", "used", "by", "whole"}), frozenset({"removed"}))
    removed = fields.time("removed") if fields.has("removed") else None
    lock, name, by = fields.digest("lock"), fields.text("name"), fields.text("by")
    return Use(lock, name, fields.time("used"), by, fields.flag("whole"), removed)


def _cutting(path: Path) -> Cutting:
    fields = _read(path, frozenset({"to", "sovereign", "locks", "since"}))
    locks = tuple(fields.digests("locks"))
    return Cutting(Path(fields.text("to")), fields.text("sovereign"), locks, fields.time("since"))


def _bad(what: str) -> AirgapError:
    return StoreError("bad-record", what, "restore it from a backup, or remove it and use the lock again")
