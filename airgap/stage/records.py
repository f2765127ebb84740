"""The files that a station keeps beside its store.

In a store: `airgap/log.jsonl` (the hash-chained log), `airgap/statements/` (the newest statement of a kind about a
lock), `airgap/streams/` (sequence counters), `airgap/work/` (temporary and resumable work of kinds).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.digest import Digest
from airgap.errors import StoreError
from airgap.lock import Item
from airgap.store.files import disk_errors, locked, write_durably

if TYPE_CHECKING:
    from airgap.trust.log import Log


def git_pin_name(item: Item) -> str:
    """The store's name for a Git item as it was locked: its root is known only after packing."""
    return f"airgap.git/{item.pin.hex}"


@dataclass(frozen=True, slots=True)
class Records:
    """The files of a station in `folder` (a store's `airgap/`, or a Sovereign's stateDir)."""

    folder: Path

    def log(self) -> Log:
        """The station's log."""
        from airgap.trust.log import Log  # signing is not what every command does

        return Log(self.folder / "log.jsonl")

    def work(self) -> Path:
        """A folder for work that may go on in a later run."""
        return self._made("work")

    def save_statement(self, kind: str, subject: Digest, bundle: bytes) -> Path:
        """Keeps the newest statement of a kind about a subject."""
        path = self._made("statements") / f"{kind}-{subject.hex}.sigstore.json"
        write_durably(path, bundle)
        return path

    def statement(self, kind: str, subject: Digest) -> bytes | None:
        """The newest statement of a kind about a subject, if there is one."""
        path = self.folder / "statements" / f"{kind}-{subject.hex}.sigstore.json"
        with disk_errors(path):
            return path.read_bytes() if path.exists() else None

    def next_sequence(self, sovereign: str, stream: str) -> int:
        """Counts up the stream's sequence, durably: a number is never given twice."""
        folder = self._made("streams")
        name = Digest.of(f"{sovereign}\n{stream}".encode()).hex[:16]
        path = folder / f"{name}.json"
        with locked(folder / ".lock"):
            try:
                last = int(json.loads(path.read_bytes())["sequence"]) if path.exists() else 0
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    "bad-counter",
                    f"{path}: unreadable: {error}",
                    "restore it from a backup, or write the last sequence number that was delivered into it",
                ) from error
            document = {"sovereign": sovereign, "stream": stream, "sequence": last + 1}
            write_durably(path, json.dumps(document).encode())
        return last + 1

    def _made(self, name: str) -> Path:
        path = self.folder / name
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        return path


def store_records(store: Path) -> Records:
    """The records beside a store."""
    return Records(store / "airgap")
