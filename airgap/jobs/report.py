"""`gather`: everything that a report shows, from a verdict, a delivery or a store. Judges nothing again.

What is missing or differs from what a verdict names is in the result: a report says so, and shows the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from airgap.acceptance.locks import read_waiver
from airgap.acceptance.open import evidence_files
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, EndedKeyError, InputError, IntegrityError
from airgap.base.inputs import read_input, read_plain
from airgap.base.known_files import not_expected
from airgap.base.strict_json import decode_json
from airgap.base.zstd import unpacked
from airgap.bundling.evidence import WAIVERS
from airgap.content.lock import Lock
from airgap.content.scan_result import MAX_RESULT, ScanResult
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import Index
from airgap.delivery.read import Media, open_index, open_media
from airgap.jobs.holding import holding
from airgap.jobs.listing import items
from airgap.jobs.named_files import read_lock
from airgap.jobs.surroundings import Surroundings
from airgap.jobs.verify import check_past, open_verified
from airgap.resources.load import load_trust
from airgap.resources.trust import Trust
from airgap.resources.waiver import Waiver
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, open_bundle
from airgap.statements.scans import PACKED, SCANS, Scan
from airgap.statements.statement import Statement
from airgap.statements.trust import VerifiedStatement, verify_bundle
from airgap.statements.verdict import YES, Verdict
from airgap.station.files import SUFFIX, Records, made_of, store_records
from airgap.station.scans import ScanRecords
from airgap.store.layout import Layout

MAX_RESULTS = 1 << 30
"""Bytes of all results of a report together."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report is about, and whose signatures are accepted."""

    thing: Path
    """A signed verdict, a delivery, or a store."""
    volumes: tuple[Path, ...] = ()
    """For a delivery: other folders with its files."""
    trust: Path | None = None
    """The Trust resource that says whose signatures are accepted; without one, none is checked."""
    unverified: bool = False
    """True to report on a delivery without checking who signed it."""
    at: datetime | None = None
    """Check signatures as of this past time; `None` for now."""
    locks: tuple[Path, ...] = ()
    """For a verdict and a store: the locks that were judged."""
    results: Path | None = None
    """For a verdict: the store, or a folder, that has its scan results."""

    @property
    def store(self) -> Path:
        """The folder with the results."""
        return self.results or self.thing


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement, the digest of its file, and its key: a name of the Trust resource, or the hint of the signature."""

    statement: Statement
    digest: Digest
    key: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What is missing, or differs from what a verdict names."""

    code: str
    what: str


@dataclass(frozen=True, slots=True)
class ReportMaterial:
    """What a report is made from."""

    what: str
    """`verdict`, `delivery` or `store`."""
    path: Path
    statements: tuple[SignedStatement, ...]
    trust: str = ""
    """The Trust resource that the signatures were verified with; empty if none was."""
    locks: tuple[Lock, ...] = ()
    results: Mapping[Digest, ScanResult] = field(default_factory=dict, hash=False)
    """By their digests; those that verdicts name, as far as they are there and match."""
    waivers: Mapping[Digest, Waiver] = field(default_factory=dict, hash=False)
    sizes: Mapping[tuple[str, str], int] = field(default_factory=dict, hash=False)
    """Bytes of items, by name and root."""
    index: Index | None = None
    """Of a delivery."""
    digest: Digest | None = None
    """Of AIRGAP.json."""
    faults: tuple[Fault, ...] = ()

    @property
    def judged(self) -> dict[Digest, SignedStatement]:
        """The newest verdict about each lock. Of two of the same second, one that says fail counts, as in an import."""
        found = [
            (one.statement.signed_at, one.statement.body.outcome != YES, index)
            for index, one in enumerate(self.statements)
            if isinstance(one.statement.body, Verdict)
        ]
        return {self.statements[index].statement.subject: self.statements[index] for *_, index in sorted(found)}

    @property
    def verdicts(self) -> dict[Digest, Verdict]:
        """What the newest verdict about each lock says."""
        found = ((lock, one.statement.body) for lock, one in self.judged.items())
        return {lock: body for lock, body in found if isinstance(body, Verdict)}


Reader = Callable[[Scan], bytes | None]
"""Gives the result of a scan as it is stored, compressed, or `None`."""


@holding
def gather(options: ReportOptions, surroundings: Surroundings) -> ReportMaterial:
    """Collects what a report shows.

    Raises `InputError` (`unknown-thing`, `no-trust`, `no-store`), and with a Trust resource what `open_verified` or
    `verify_bundle` raise: a signature that does not count makes no report.
    """
    check_past(options.at, surroundings.clock())
    if options.thing.is_dir():
        delivery = any((folder / INDEX_NAME).exists() for folder in (options.thing, *options.volumes))
        return _delivery(options, surroundings) if delivery else _store(options, surroundings)
    _refuse(options, "a verdict", volumes=options.volumes, unverified=options.unverified)
    data = read_input(options.thing, MAX_EVIDENCE_BUNDLE, "unknown-thing")
    trust = None if options.trust is None else load_trust(options.trust)
    try:
        signed = _signed(data, str(options.thing), trust, options.at or surroundings.clock())
    except AirgapError as error:
        if trust is not None and not isinstance(error, InputError) and _is_bundle(data):
            raise
        what = not_expected(str(options.thing), data, "a signed verdict, a delivery or a store", error.what)
        raise InputError("unknown-thing", what, "name a verdict that `airgap scan` signed, or a folder") from error
    if not isinstance(signed.statement.body, Verdict):
        what = not_expected(str(options.thing), data, "a signed verdict, a delivery or a store")
        raise InputError("unknown-thing", what, "name a verdict that `airgap scan` signed, or a folder")
    return _verdicts(options, (signed,), _records_of(options))


def _is_bundle(data: bytes) -> bool:
    try:
        return "dsseEnvelope" in decode_json(data)
    except (ValueError, TypeError):
        return False


def _refuse(options: ReportOptions, what: str, **given: object) -> None:
    """Raises `InputError` (`usage`) for flags that say nothing about this sort of thing."""
    for name, value in given.items():
        if value:
            raise InputError(
                "usage", f"{options.thing} is {what}: --{name} says nothing about it", f"leave out --{name}"
            )


def _signed(data: bytes, where: str, trust: Trust | None, now: datetime) -> SignedStatement:
    if trust is None:
        envelope = open_bundle(data, where, MAX_EVIDENCE_BUNDLE)
        return SignedStatement(Statement.parse(envelope.payload, where), Digest.of(data), envelope.hint, verified=False)
    try:
        return _verified(verify_bundle(data, trust, where, now=now, limit=MAX_EVIDENCE_BUNDLE))
    except EndedKeyError as error:
        raise error.with_hint(f"{error.hint}; for a verdict from an archive, pass --at TIME") from error


def _verified(one: VerifiedStatement) -> SignedStatement:
    return SignedStatement(one.statement, Digest.of(one.raw), one.key.name, verified=True)


# A verdict or a store


def _records_of(options: ReportOptions) -> Path | None:
    """The store, or the folder, that has the results of a verdict: the named one, or that in whose records it lies."""
    if options.results is not None:
        if not options.results.is_dir():
            raise InputError(
                "usage", f"--results {options.results}: not a folder", "name a store, or a folder of results"
            )
        return options.results
    folders = options.thing.resolve().parents
    return folders[2] if len(folders) > 2 and [one.name for one in folders[:2]] == ["statements", "airgap"] else None


def _store(options: ReportOptions, surroundings: Surroundings) -> ReportMaterial:
    layout, records = Layout(options.thing), store_records(options.thing)
    _refuse(options, "a store", volumes=options.volumes, unverified=options.unverified, results=options.results)
    trust = None if options.trust is None else load_trust(options.trust)
    now = options.at or surroundings.clock()
    wanted = {read_lock(path).digest for path in options.locks}
    found = []
    for path in _newest(records, wanted):
        data = read_input(path, MAX_EVIDENCE_BUNDLE, "bad-statement")
        found.append(_signed(data, str(path), trust, now))
    return _verdicts(options, found, layout.path)


def _newest(records: Records, wanted: set[Digest]) -> Iterable[Path]:
    """The newest verdict about each lock, or about those that are wanted. Earlier ones have a number in their name."""
    for path in made_of(records.folder, "verdict"):
        subject = path.name.removeprefix("verdict-").removesuffix(SUFFIX)
        if "." not in subject and (not wanted or any(one.hex == subject for one in wanted)):
            yield path


def _verdicts(options: ReportOptions, signed: Sequence[SignedStatement], place: Path | None) -> ReportMaterial:
    """A report about verdicts, with what the records in `place` have about them."""
    about = {one.statement.subject for one in signed}
    locks = {lock.digest: lock for lock in map(read_lock, options.locks)}
    records = None if place is None else store_records(place)
    if records is not None:
        locks |= {lock.digest: lock for lock in _kept_locks(records) if lock.digest in about}
    bodies = [one.statement.body for one in signed if isinstance(one.statement.body, Verdict)]
    faults: list[Fault] = [
        Fault("verdict-mismatch", f"no verdict is about lock {lock.name!r}, {digest}")
        for digest, lock in locks.items()
        if digest not in about
    ]
    results = _results(bodies, lambda scan: _read_from(place, scan), faults)
    waivers = _waivers(bodies, lambda digest: None if records is None else records.waiver(digest), faults)
    is_store = options.thing.is_dir()
    return ReportMaterial(
        "store" if is_store else "verdict",
        options.thing,
        tuple(signed),
        str(options.trust or ""),
        tuple(lock for digest, lock in locks.items() if digest in about),
        results,
        waivers,
        _sizes(place),
        faults=tuple(faults),
    )


def _kept_locks(records: Records) -> Iterable[Lock]:
    """The locks that deliveries brought. One that cannot be read is left out: a report says which are not at hand."""
    for path in sorted((records.folder / "locks").glob("*.json")):
        try:
            yield read_lock(path)
        except AirgapError:
            continue


def _read_from(place: Path | None, scan: Scan) -> bytes | None:
    """A result in a store's records, or in a folder with the files of evidence."""
    if place is None:
        return None
    kept = ScanRecords(store_records(place).folder).packed_result(scan.subject, scan.scanner, scan.result)
    path = place / f"{scan.result.hex}{PACKED}"
    if kept is None and path.is_file() and not path.is_symlink():
        return read_plain(path, MAX_RESULT)
    return kept


def _sizes(place: Path | None) -> dict[tuple[str, str], int]:
    if place is None:
        return {}
    try:
        return {(row.name, row.digest): row.bytes for row in items(place)}
    except AirgapError:
        return {}


# A delivery


def _delivery(options: ReportOptions, surroundings: Surroundings) -> ReportMaterial:
    _refuse(options, "a delivery", lock=options.locks, results=options.results)
    folders = (options.thing, *options.volumes)
    if options.trust is not None:
        opened = open_verified(folders, options.trust, options.at, surroundings)
        signed = [_verified(one) for one in opened.admitted.statements]
        return _evidence(options, opened.media, opened.index, signed)
    if not options.unverified:
        raise InputError(
            "no-trust",
            "--trust is required: without it the delivery's signatures cannot be checked",
            "use --trust FILE; --unverified reports what the delivery says, although nobody may have signed it",
        )
    media, index = open_index(open_media(folders), surroundings.identities)
    now = surroundings.clock()
    files = evidence_files(media, index)
    named = [*((data, name) for name, data in files.items() if name.startswith("statements/")), *_bundles(media)]
    return _evidence(options, media, index, [_signed(data, name, None, now) for data, name in named])


def _bundles(media: Media) -> Iterable[tuple[bytes, str]]:
    return ((data, name) for name, data in sorted(media.signatures.items()))


def _evidence(options: ReportOptions, media: Media, index: Index, signed: Sequence[SignedStatement]) -> ReportMaterial:
    files = evidence_files(media, index)
    bodies = [one.statement.body for one in signed if isinstance(one.statement.body, Verdict)]
    faults: list[Fault] = []
    return ReportMaterial(
        "delivery",
        options.thing,
        tuple(signed),
        str(options.trust or ""),
        tuple(Lock.decode(data, name) for name, data in files.items() if name.startswith("locks/")),
        _results(bodies, lambda scan: files.get(f"{SCANS}{scan.result.hex}{PACKED}"), faults),
        _waivers(bodies, lambda digest: files.get(f"{WAIVERS}{digest.hex}.yaml"), faults),
        _sizes(options.thing),
        index,
        media.digest,
        tuple(faults),
    )


# What verdicts name


def _results(verdicts: Iterable[Verdict], read: Reader, faults: list[Fault]) -> dict[Digest, ScanResult]:
    """The results that verdicts name, each hashed first and read then. What is missing or differs is a fault."""
    found: dict[Digest, ScanResult] = {}
    left = MAX_RESULTS
    for scan in {scan: None for verdict in verdicts for scan in verdict.scans}:
        where = f"scan result {scan.result} about {scan.subject}"
        try:
            packed = read(scan)
            if packed is None:
                raise IntegrityError("scan-missing", "it is not there")
            data = unpacked(packed, min(left, MAX_RESULT))
            left -= len(data)
            found[scan.result] = _result(scan, data)
        except AirgapError as error:
            faults.append(Fault(error.code, f"{where}: {error.what}"))
        except ValueError as error:
            faults.append(Fault("bad-scan-result", f"{where}: {error}"))
    return found


def _result(scan: Scan, data: bytes) -> ScanResult:
    if Digest.of(data) != scan.result:
        raise IntegrityError("scan-mismatch", "its content has another digest")
    result = ScanResult.decode(data, "it")
    if (result.subject, result.scanner.own_digest) != (scan.subject, scan.scanner):
        raise IntegrityError("scan-mismatch", f"it is about {result.subject}, by {result.scanner.name}")
    return result


def _waivers(
    verdicts: Iterable[Verdict], read: Callable[[Digest], bytes | None], faults: list[Fault]
) -> dict[Digest, Waiver]:
    found: dict[Digest, Waiver] = {}
    for digest in {used.digest: None for verdict in verdicts for used in verdict.waivers}:
        data = read(digest)
        try:
            if data is None or Digest.of(data) != digest:
                faults.append(Fault("waiver-missing", f"waiver {digest}: its file is not there, or differs"))
                continue
            found[digest] = read_waiver(data)
        except AirgapError as error:
            faults.append(Fault(error.code, error.what))
    return found
