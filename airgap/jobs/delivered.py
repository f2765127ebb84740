"""What was delivered, for `rescan`: locks with their verdicts, from files, deliveries or the store; and who has it.

Nothing here is believed for a decision about what comes in: a verdict says what was found when it was signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from airgap.acceptance.open import evidence_files
from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, TrustError
from airgap.base.zstd import unpacked
from airgap.bundling.gate import kept_verdicts, recorded
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.scan_result import MAX_RESULT, MAX_SBOM, ScanResult
from airgap.delivery.index import INDEX_NAME, Index
from airgap.delivery.read import open_media
from airgap.jobs.named_files import read_lock
from airgap.jobs.receiving_side import FOLDER
from airgap.resources.load import load_trust
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.predicates import Receipt
from airgap.statements.scans import PACKED, SBOMS, SCANS, Scan
from airgap.statements.statement import article
from airgap.statements.trust import unverified
from airgap.statements.verdict import YES, Verdict
from airgap.station import receipts
from airgap.station.brought import series_name
from airgap.station.files import Records
from airgap.station.scans import ScanRecords


@dataclass(frozen=True, slots=True)
class Delivered:
    """A lock that was delivered, with the newest verdict about it."""

    lock: Lock
    verdict: Verdict | None
    files: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    """The evidence of its delivery, if that was named."""

    def result(self, scan: Scan, records: Records) -> ScanResult | None:
        """A result that the verdict names; `None` if it is missing or damaged."""
        found = ScanRecords(records.folder).result(scan.subject, scan.scanner, scan.result)
        data = self._packed(f"{SCANS}{scan.result.hex}{PACKED}", scan.result, MAX_RESULT) if found is None else None
        with suppress(IntegrityError):
            return found if data is None else ScanResult.decode(data, "scan result")
        return None

    def sbom(self, digest: Digest, records: Records) -> bytes | None:
        """An SBOM; `None` if it is missing or damaged."""
        found = ScanRecords(records.folder).sbom(digest)
        return found if found is not None else self._packed(f"{SBOMS}{digest.hex}{PACKED}", digest, MAX_SBOM)

    def _packed(self, name: str, digest: Digest, limit: int) -> bytes | None:
        with suppress(ValueError):
            data = unpacked(self.files.get(name, b""), limit)
            return data if Digest.of(data) == digest else None
        return None


@dataclass(frozen=True, slots=True)
class Holder:
    """A Sovereign that has a delivery, by its receipt."""

    sovereign: str
    """Its name in the Trust resource that verified the receipt; else the first of its destinations."""
    verified: bool
    stream: str
    sequence: int
    locks: frozenset[Digest]
    names: Mapping[str, tuple[str, ...]] = field(hash=False)
    """By item: the names under which it is inside."""

    def has(self, item: Item, lock: Lock) -> bool:
        """True if its receipt lists the item of this lock."""
        return item.name in self.names and (not self.locks or lock.digest in self.locks)

    def as_dict(self, item: str) -> dict[str, Any]:
        """The JSON shape, with the names of one item."""
        return {
            "sovereign": self.sovereign,
            "verified": self.verified,
            "stream": self.stream,
            "sequence": self.sequence,
            "names": list(self.names.get(item, ())),
        }


def read_delivered(things: Sequence[Path], records: Records) -> list[Delivered]:
    """The locks in `things`, each once: lock files, and folders of deliveries.

    Without any: of each series the newest lock that passed in this store. Raises `InputError` (`not-delivered`, …).
    """
    found: dict[Digest, Delivered] = {}
    for path in things:
        for one in _delivery(path) if path.is_dir() else [_lock(path, records)]:
            found.setdefault(one.lock.digest, one)
    if not things:
        found = _judged_here(records)
    if not found:
        what = f"no lock that passed is in the store {records.folder.parent}"
        raise InputError("not-delivered", what, "name locks, or folders of deliveries")
    return list(found.values())


def _lock(path: Path, records: Records) -> Delivered:
    lock = read_lock(path)
    return Delivered(lock, recorded(records, lock, Verdict))


def _delivery(folder: Path) -> list[Delivered]:
    if not (folder / INDEX_NAME).exists():
        raise InputError(
            "unknown-thing", f"{folder}: not a delivery: it has no {INDEX_NAME}", "name a lock, or a delivery"
        )
    media = open_media([folder])
    files = evidence_files(media, Index.decode(media.index_bytes))
    statements = [unverified(data, name) for name, data in files.items() if name.startswith("statements/")]
    verdicts = sorted((one for one in statements if isinstance(one.body, Verdict)), key=lambda one: one.signed_at)
    about = {one.subject: one.body for one in verdicts if isinstance(one.body, Verdict)}
    locks = [Lock.decode(data, name) for name, data in files.items() if name.startswith("locks/")]
    return [Delivered(lock, about.get(lock.digest), files) for lock in locks]


def _judged_here(records: Records) -> dict[Digest, Delivered]:
    """Of each series the newest lock with a verdict that says pass."""
    newest: dict[str, tuple[datetime, Delivered]] = {}
    for statement, verdict, lock in kept_verdicts(records):
        if verdict.outcome != YES:
            continue
        if lock is None:
            what = f"the records of {records.folder.parent} have a verdict about lock {statement.subject}, not the lock"
            raise InputError("not-delivered", what, "name locks, or folders of deliveries")
        series, before = series_name(lock.name), newest.get(series_name(lock.name))
        if before is None or before[0] < statement.signed_at:
            newest[series] = (statement.signed_at, Delivered(lock, verdict))
    return {one.lock.digest: one for _, one in newest.values()}


def holders(
    paths: Sequence[Path], trusts: Sequence[Trust], records: Records, now: datetime, note: Callable[[str], None]
) -> list[Holder]:
    """Who has what, by receipts. One that no Trust resource verifies is taken, and a note says so.

    Raises `InputError` for a file that is no receipt.
    """
    known = [*trusts, *(load_trust(path) for path in sorted((records.folder / FOLDER).glob("*.yaml")))]
    found = []
    for path in paths:
        statement, name = None, ""
        for trust in known:
            with suppress(TrustError):
                state = partial(AcceptedState, trust.sovereign)
                statement, name = receipts.read(path, trust, now, state).statement, trust.sovereign
                break
        if statement is None:
            statement = unverified(receipts.read_signed(path), str(path))
            note(f"note: {path}: no Trust resource verifies this receipt; pass --trust FILE")
        if not isinstance(statement.body, Receipt):
            raise InputError(
                "no-receipt", f"{path}: got {article(statement.kind)} statement, expected a receipt", "name a receipt"
            )
        found.append(_holder(statement.body, name))
    return found


def _holder(receipt: Receipt, sovereign: str) -> Holder:
    names: dict[str, dict[str, None]] = {}
    for place in receipt.destinations:
        for line in place.items:
            if line.signs is None and line.outcome in receipts.DONE:
                where = f"{place.url}/{line.at}" if line.at else place.url
                names.setdefault(line.item, {})[f"{where}:{line.name}" if line.name else where] = None
    first = receipt.destinations[0].url if receipt.destinations else "unknown"
    return Holder(
        sovereign or first,
        bool(sovereign),
        receipt.stream,
        receipt.sequence,
        frozenset(lock.digest for lock in receipt.locks),
        {item: tuple(some) for item, some in names.items()},
    )
