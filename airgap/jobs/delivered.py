"""What was delivered, for `rescan`: locks with their verdicts, from files, deliveries or the store; and who has it.

Nothing here is believed for a decision about what comes in: a verdict says what was found when it was signed. But what
it let pass, and the SBOM that it names, stand for content that is gone. So it counts only if a Trust resource verifies
it, or if this store has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from airgap.acceptance.open import evidence_files
from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError, TrustError
from airgap.base.zstd import unpacked_as
from airgap.bundling.gate import kept_verdicts
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.scan_result import MAX_RESULT, MAX_SBOM, ScanResult
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.read import open_index, open_media
from airgap.delivery.seal import Identities, no_identities
from airgap.jobs.named_files import read_lock
from airgap.jobs.receiving_side import FOLDER
from airgap.jobs.surroundings import Surroundings
from airgap.resources.load import load_trust
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Receipt
from airgap.statements.scans import PACKED, SBOMS, SCANS, Scan
from airgap.statements.statement import Statement, article
from airgap.statements.trust import Known, authenticate, authorise, key_ring, unverified
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
        return unpacked_as(digest, self.files.get(name), limit)


@dataclass(frozen=True, slots=True)
class Holder:
    """A Sovereign that has a delivery, by its receipt."""

    file: Path
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


@dataclass(frozen=True, slots=True)
class Believed:
    """Who may sign verdicts and receipts: Trust resources that were passed, and those in the store."""

    trusts: tuple[Trust, ...]
    strict: bool
    """True if a Trust resource was passed: then what none of them verifies counts for nothing."""
    records: Records
    now: datetime
    note: Callable[[str], None]
    identities: Identities = no_identities

    @classmethod
    def of(cls, trusts: Sequence[Trust], records: Records, surroundings: Surroundings) -> Believed:
        """With those that the store has."""
        known = [load_trust(path) for path in sorted((records.folder / FOLDER).glob("*.yaml"))]
        about = (surroundings.clock(), surroundings.note, surroundings.identities)
        return cls((*trusts, *known), bool(trusts), records, *about)

    def verdict(self, data: bytes | None, where: str, *, ours: bool) -> Statement | None:
        """A verdict that counts; else a note says why it counts for nothing.

        It is verified by a Trust resource; where none was passed, one that the store has (`ours`) counts, too, as
        `bundle` takes it. A key that expired since is good enough, a revoked one is not.
        """
        if data is None:
            return None
        if ours and not self.strict:
            return unverified(data, where)
        why = f"{where}: the store's records do not contain this verdict; pass --trust FILE"
        for trust in self.trusts:
            try:
                authentic = authenticate(data, key_ring(trust), where, MAX_EVIDENCE_BUNDLE)
                return authorise(authentic, where, now=self.now, known=Known.SUBJECT).statement
            except TrustError as error:
                why = f"{error.what} [{error.code}]"
        self.note(f"note: {why}: it counts for nothing")
        return None


def read_delivered(things: Sequence[Path], held: Sequence[Holder], believed: Believed) -> list[Delivered]:
    """The locks in `things`, each once: lock files, and folders of deliveries.

    Without any: of each series the newest lock that passed in this store, and all locks that receipts name. Raises
    `InputError` (`not-delivered`, …), `StoreError` (`bad-statement`).
    """
    passed = _passed(believed.records)
    found: dict[Digest, Delivered] = {}
    for path in things:
        for one in _delivery(path, believed) if path.is_dir() else [_recorded(read_lock(path), passed, believed)]:
            found.setdefault(one.lock.digest, one)
    for lock in _newest(passed, believed.records) if not things else ():
        found[lock.digest] = _recorded(lock, passed, believed)
    for holder in held:
        for digest in sorted(holder.locks - found.keys()):
            if things:
                believed.note(f"note: {holder.file}: lock {digest} is none of those that are scanned again")
            else:
                found[digest] = _recorded(_received(digest, holder, believed), passed, believed)
    if not found:
        what = f"no lock that passed is in the store {believed.records.folder.parent}"
        raise InputError("not-delivered", what, "name locks, or folders of deliveries")
    return list(found.values())


_Passed = Mapping[Digest, tuple[datetime, bytes]]
"""By lock: when the newest verdict was signed that lets all of it pass, and that verdict."""


def _passed(records: Records) -> _Passed:
    """A lock that was scanned again, and failed, was delivered by an earlier verdict: what is new is new since that."""
    found: dict[Digest, tuple[datetime, bytes]] = {}
    for statement, verdict, _, data in kept_verdicts(records):
        before = found.get(statement.subject)
        if verdict.outcome == YES and (before is None or before[0] < statement.signed_at):
            found[statement.subject] = (statement.signed_at, data)
    return found


def _newest(passed: _Passed, records: Records) -> Iterable[Lock]:
    """Of each series the lock that passed last."""
    newest: dict[str, Lock] = {}
    for digest, _ in sorted(passed.items(), key=lambda one: one[1][0]):
        lock = records.lock(digest)
        if lock is None:
            what = f"the records of {records.folder.parent} have a verdict about lock {digest}, not the lock"
            raise InputError("not-delivered", what, "name locks, or folders of deliveries")
        newest[series_name(lock.name)] = lock
    return newest.values()


def _recorded(lock: Lock, passed: _Passed, believed: Believed) -> Delivered:
    """A lock with the newest verdict in the store that lets it pass; if there is none, with the newest one."""
    data = passed[lock.digest][1] if lock.digest in passed else believed.records.statement(Verdict.kind, lock.digest)
    statement = believed.verdict(data, f"the verdict in the store about lock {lock.name!r}", ours=True)
    return Delivered(lock, _about(statement, lock))


def _received(digest: Digest, holder: Holder, believed: Believed) -> Lock:
    lock = believed.records.lock(digest)
    if lock is None:
        what = f"{holder.file}: the store's records do not contain its lock {digest}"
        raise InputError("not-delivered", what, "name the delivery, or the lock, to which this receipt belongs")
    return lock


def _about(statement: Statement | None, lock: Lock) -> Verdict | None:
    if statement is None or statement.subject != lock.digest or not isinstance(statement.body, Verdict):
        return None
    return statement.body


def _delivery(folder: Path, believed: Believed) -> list[Delivered]:
    if not (folder / INDEX_NAME).exists():
        raise InputError(
            "unknown-thing", f"{folder}: not a delivery: it has no {INDEX_NAME}", "name a lock, or a delivery"
        )
    files = evidence_files(*open_index(open_media([folder]), believed.identities))
    about: dict[Digest, Statement] = {}
    for name, data in files.items():
        said = unverified(data, name) if name.startswith("statements/") else None
        if said is None or said.kind != Verdict.kind:
            continue
        ours = believed.records.statement(said.kind, said.subject) == data
        found = believed.verdict(data, f"{folder}: {name}", ours=ours)
        if found is not None and (said.subject not in about or about[said.subject].signed_at < found.signed_at):
            about[said.subject] = found
    locks = [Lock.decode(data, name) for name, data in files.items() if name.startswith("locks/")]
    return [Delivered(lock, _about(about.get(lock.digest), lock), files) for lock in locks]


def holders(paths: Sequence[Path], believed: Believed) -> list[Holder]:
    """Who has what, by receipts. One that no Trust resource verifies is taken, and a note says so.

    Raises `InputError` for a file that is no receipt.
    """
    found = []
    for path in paths:
        statement, name = None, ""
        for trust in believed.trusts:
            with suppress(TrustError):
                state = partial(AcceptedState, trust.sovereign)
                statement, name = receipts.read(path, trust, believed.now, state).statement, trust.sovereign
                break
        if statement is None:
            statement = unverified(receipts.read_signed(path), str(path))
            believed.note(f"note: {path}: no Trust resource verifies this receipt; pass --trust FILE")
        if not isinstance(statement.body, Receipt):
            raise InputError(
                "no-receipt", f"{path}: got {article(statement.kind)} statement, expected a receipt", "name a receipt"
            )
        found.append(_holder(path, statement.body, name))
    return found


def _holder(path: Path, receipt: Receipt, sovereign: str) -> Holder:
    names: dict[str, dict[str, None]] = {}
    for place in receipt.destinations:
        for line in place.items:
            if line.signs is None and line.outcome in receipts.DONE:
                where = f"{place.url}/{line.at}" if line.at else place.url
                names.setdefault(line.item, {})[f"{where}:{line.name}" if line.name else where] = None
    first = receipt.destinations[0].url if receipt.destinations else "unknown"
    return Holder(
        path,
        sovereign or first,
        bool(sovereign),
        receipt.stream,
        receipt.sequence,
        frozenset(lock.digest for lock in receipt.locks),
        {item: tuple(some) for item, some in names.items()},
    )
