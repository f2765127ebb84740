"""The files that a station keeps beside its store.

In a store: `airgap/log.jsonl` (the hash-chained log), `airgap/statements/` (the newest statement of its own of a kind
about a lock, a delivery or a waiver), `airgap/received/` (statements that came in with deliveries), `airgap/locks/`
(locks that came in), `airgap/waivers/`, `airgap/roots/` and `airgap/reports/` (those that verdicts name),
`airgap/streams/` (sequence counters), `airgap/work/` (temporary and resumable work of kinds).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, locked, make_folder, write_durably
from airgap.base.errors import StoreError
from airgap.base.strict_json import decode_json
from airgap.content.lock import Item, Lock

if TYPE_CHECKING:
    from airgap.statements.log import StationLog


STATEMENTS = "statements"
RECEIVED = "received"
ACCEPTED = "accepted.sigstore.json"
"""The newest list of accepted deliveries that this station signed."""


def pin_name(item: Item) -> str:
    """The store's name for a Git item as it was locked: its root is known only after packing."""
    return f"airgap.git/{item.pin.hex}"


@dataclass(frozen=True, slots=True)
class Records:
    """The files of a station in `folder` (a store's `airgap/`, or a Sovereign's stateDir)."""

    folder: Path

    def log(self) -> StationLog:
        """The station's log."""
        from airgap.statements.log import StationLog  # signing is not what every command does

        return StationLog(self.folder / "log.jsonl")

    def work(self) -> Path:
        """A folder for work that may go on in a later run."""
        return self._made("work")

    def save_statement(self, kind: str, subject: Digest, bundle: bytes) -> Path:
        """Keeps the newest statement of this station of a kind about a subject."""
        path = self._made(STATEMENTS) / f"{kind}-{subject.hex}.sigstore.json"
        write_durably(path, bundle)
        return path

    def save_accepted(self, bundle: bytes) -> None:
        """Keeps the newest signed list of accepted deliveries."""
        write_durably(self.folder / ACCEPTED, bundle, 0o600)

    def statement(self, kind: str, subject: Digest) -> bytes | None:
        """The newest statement of a kind about a subject: this station's own, else one that came in, else `None`."""
        own = self.folder / STATEMENTS / f"{kind}-{subject.hex}.sigstore.json"
        with disk_errors(own):
            if own.exists():
                return own.read_bytes()
        return next(iter(self.received(kind, subject)), None)

    def receive(self, kind: str, subject: Digest, bundles: Sequence[bytes], *, replace: bool) -> None:
        """Keeps statements that came in with a delivery, the newest first; those of earlier ones with `replace` too.

        Without `replace` they are kept only where there are none. Their names tell their order.
        """
        folder, stem = self._made(RECEIVED), f"{kind}-{subject.hex}"
        kept = self.received(kind, subject)
        if kept and not replace:
            return
        ordered = list(dict.fromkeys([*bundles, *kept]))
        # The last first: the newest, which has the first name, is always one that was whole before.
        for number, bundle in reversed([*enumerate(ordered)]):
            write_durably(folder / f"{stem}.{number:04d}.sigstore.json", bundle)

    def received(self, kind: str, subject: Digest) -> list[bytes]:
        """The statements of a kind about a subject that came in with deliveries, the newest first."""
        folder = self.folder / RECEIVED
        with disk_errors(folder):
            found = sorted(folder.glob(f"{kind}-{subject.hex}.*.sigstore.json"))
            return [path.read_bytes() for path in found]

    def save_lock(self, lock: Lock) -> Path:
        """Keeps a lock that came in, under its name and the beginning of its digest."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", lock.name)[:100].lstrip(".") or "lock"
        path = self._made("locks") / f"{plain}-{lock.digest.hex[:12]}.json"
        write_durably(path, lock.encode())
        return path

    def has(self, kind: str) -> bool:
        """True when this station made a statement of this kind, whatever its subject."""
        folder = self.folder / STATEMENTS
        with disk_errors(folder):
            return any(folder.glob(f"{kind}-*.sigstore.json"))

    def save_waiver(self, data: bytes) -> None:
        """Keeps the file of a waiver, under its digest."""
        write_durably(self._made("waivers") / f"{Digest.of(data).hex}.yaml", data)

    def waiver(self, digest: Digest) -> bytes | None:
        """The file of a waiver, if it is there and unchanged."""
        return self._kept(self.folder / "waivers" / f"{digest.hex}.yaml", digest)

    def save_root(self, data: bytes) -> None:
        """Keeps a trust root that a verdict names, under its digest."""
        write_durably(self._made("roots") / f"{Digest.of(data).hex}.json", data)

    def root(self, digest: Digest) -> bytes | None:
        """A trust root, if it is there and unchanged."""
        return self._kept(self.folder / "roots" / f"{digest.hex}.json", digest)

    def save_report(self, data: bytes) -> None:
        """Keeps a scanner's report that a verdict names, under its digest."""
        write_durably(self._made("reports") / f"{Digest.of(data).hex}.json", data)

    def report(self, digest: Digest) -> bytes | None:
        """A scanner's report, if it is there and unchanged."""
        return self._kept(self.folder / "reports" / f"{digest.hex}.json", digest)

    def next_sequence(self, sovereign: str, stream: str) -> int:
        """Counts up the stream's sequence, durably: a number is never given twice."""
        folder = self._made("streams")
        name = Digest.of(f"{sovereign}\n{stream}".encode()).hex[:16]
        path = folder / f"{name}.json"
        with locked(folder / ".lock"):
            try:
                last = int(decode_json(path.read_bytes())["sequence"]) if path.exists() else 0
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    "bad-counter",
                    f"{path}: unreadable: {error}",
                    "restore it from a backup, or write the last delivered sequence number into it",
                ) from error
            document = {"sovereign": sovereign, "stream": stream, "sequence": last + 1}
            write_durably(path, json.dumps(document).encode())
        return last + 1

    @staticmethod
    def _kept(path: Path, digest: Digest) -> bytes | None:
        with disk_errors(path):
            data = path.read_bytes() if path.exists() else b""
        return data if Digest.of(data) == digest else None

    def _made(self, name: str) -> Path:
        path = self.folder / name
        make_folder(path)
        return path


def store_records(store: Path) -> Records:
    """The records beside a store."""
    return Records(store / "airgap")
