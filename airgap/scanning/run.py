"""`scan_content`: every unique subject once for each scanner that takes it. Answers are kept, and not asked again."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from airgap.base.amounts import count
from airgap.base.digest import Digest
from airgap.base.disk import check_free, disk_errors
from airgap.base.errors import (
    AirgapError,
    DiskFullError,
    InputError,
    IntegrityError,
    PolicyError,
    StoreError,
    TrustError,
)
from airgap.base.inputs import read_plain
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.base.text import one_line
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.content.scan_result import MAX_SBOM, ScannerIdentity, ScanResult, ordered
from airgap.content.scan_subject import ScanSubject
from airgap.kinds.table import kind_of
from airgap.resources.station import Station
from airgap.scanning.scanner import REPORT_FILE, SBOM_FILE, Scanner
from airgap.scanning.table import ScannerSetup, scanners_of
from airgap.scanning.work import remove_tree, scan_folder
from airgap.signatures.scanner_report import MAX_REPORT, Report
from airgap.statements.gate import Gate
from airgap.statements.scan_answers import database_age
from airgap.statements.scan_run import SubjectScans
from airgap.statements.scans import Scan, sort_scans
from airgap.station.files import Records
from airgap.station.scans import ScanRecords
from airgap.store.layout import Layout

MAX_DETAIL = 4000
"""Characters of the reason of a not-run."""
WORK = "scanning"
"""The folder in the records for work and for what scanners keep, where the Station names none."""


@dataclass(frozen=True, slots=True)
class ScannedSubject:
    """One subject, and each scanner's answer about it by its digest. The answers themselves are in the records."""

    digest: Digest
    title: str
    """For people: the item's name, and its platform where there are several."""
    scans: tuple[Scan, ...]
    """Sorted by the scanner's name; empty if no scanner takes it."""


@dataclass(frozen=True, slots=True)
class ScannedContent:
    """A `ScanRun`: what the scanners of a station said about the items of some locks."""

    scanners: tuple[ScannerIdentity, ...]
    """Those that were asked, sorted by name; one that may not run has an unknown identity."""
    items: Mapping[Digest, tuple[ScannedSubject, ...]] = field(hash=False)
    """The subjects of each item, by its pin."""
    started: int
    """How many scans ran."""
    kept: int
    """How many answers are of an earlier run."""
    records: ScanRecords

    def subjects(self, item: Item) -> tuple[ScannedSubject, ...]:
        """The subjects of an item; none if it was not scanned."""
        return self.items.get(item.pin, ())

    def scans(self, item: Item) -> Sequence[Scan]:
        """See `ScanRun.scans`."""
        return [scan for subject in self.subjects(item) for scan in subject.scans]

    def answers(self, item: Item) -> Iterator[SubjectScans]:
        """See `ScanRun.answers`."""
        for subject in self.subjects(item):
            yield SubjectScans(subject.digest, subject.title, tuple(map(self._result, subject.scans)))

    def _result(self, scan: Scan) -> ScanResult:
        found = self.records.result(scan.subject, scan.scanner, scan.result)
        if found is None:
            what = f"the result {scan.result} about {scan.subject} is missing or damaged"
            raise IntegrityError("bad-scan-result", what, "run `airgap scan` again")
        return found


def scan_content(
    roots: Sequence[tuple[Item, Descriptor]],
    store: Layout,
    station: Station,
    records: Records,
    progress: Progress,
    now: datetime,
    gate: Gate | None = None,
) -> ScannedContent:
    """Scans items with the roots of their graphs. The caller has compared them with the store.

    1. Each scanner says who it is; one that may not run, or whose databases are too old for the gate, makes every
    subject that it takes not-run. 2. Each kind names
    its subjects; one that several items have counts once. 3. Answers of an earlier run by the same scanner are taken. A
    not-run is none. 4. The rest is scanned, several at once. Each answer is kept at once, so that an interrupted run
    goes on where it was.

    Raises `StoreError` (`scan-disk-full`, `folder-open`, …), and any error of reading manifests.
    """
    base = work_base(station, records)
    with scan_folder(base / "work") as folder:
        run = _Run(station, store, records, progress, folder)
        # 1.
        scanners = scanners_of(ScannerSetup(station, store, base / "kept", progress, now))
        asked = [_Asked.of(one, gate, now) for one in scanners]
        # 2.
        items = {item.pin: run.subjects(item, root) for item, root in roots}
        # 3. and 4.
        run.answer(asked)
    named = tuple(one.identity for one in asked)
    return ScannedContent(
        scanners=named,
        items={pin: tuple(run.scanned(one, named) for one in found) for pin, found in items.items()},
        started=run.started,
        kept=run.kept,
        records=run.results,
    )


def work_base(station: Station, records: Records) -> Path:
    """Where scans unpack: absolute, because a scanner may run in another folder. Raises `InputError`."""
    base = (records.folder / WORK if station.work_dir is None else station.work_dir).absolute()
    if base.exists() and not base.is_dir():
        raise InputError(
            "bad-resource", f"{base}: got a file, expected a folder", "correct `workDir` of the Station resource"
        )
    return base


@dataclass(frozen=True, slots=True)
class _Asked:
    """A scanner with its identity; or with the error why it may not run."""

    scanner: Scanner
    identity: ScannerIdentity
    error: AirgapError | None = None

    @classmethod
    def of(cls, scanner: Scanner, gate: Gate | None, now: datetime) -> _Asked:
        try:
            identity = scanner.identity()
        except AirgapError as error:
            return cls(scanner, ScannerIdentity.unknown(scanner.name), error)
        # Nobody waits an hour for answers that then do not count.
        code, what = ("", "") if gate is None else database_age(gate, identity, now)
        return cls(scanner, identity, PolicyError(code, what) if code else None)


@dataclass(frozen=True, slots=True)
class _Task:
    """One scan that is to run. `work` is of this scan alone, `item` of all that scan the same subject."""

    asked: _Asked
    subject: ScanSubject
    work: Path


class _Run:
    """One run: the subjects, what was answered about them, and the folder where they are unpacked."""

    def __init__(self, station: Station, store: Layout, records: Records, progress: Progress, folder: Path) -> None:
        self._station, self._store, self._records = station, store, records
        self._progress, self._folder = progress, folder
        self.results = ScanRecords(records.folder)
        self._subjects = dict[Digest, ScanSubject]()
        self._unpacked = dict[Digest, Path]()
        """Where the kind of a subject unpacks it."""
        self._left = Counter[Path]()
        """How many scans still need a folder in which a kind unpacks."""
        self._answers = dict[Digest, list[_Answer]]()
        self._lock = threading.Lock()
        self.started = self.kept = 0

    def subjects(self, item: Item, root: Descriptor) -> tuple[ScanSubject, ...]:
        """The subjects of an item; one that was named before is that of the other item."""
        folder = self._folder / f"item-{len(self._unpacked)}-{root.digest.hex[:16]}"
        found = tuple(kind_of(item).subjects(item, root, self._store, folder))
        for one in found:
            if self._subjects.setdefault(one.digest, one) is one:
                self._unpacked[one.digest] = folder
        return found

    def answer(self, asked: Sequence[_Asked]) -> None:
        """Takes what is known, and scans the rest."""
        if not self.results.is_trusted:
            self._progress.note("answers of earlier scans are not taken: other accounts may write where they are kept")
        tasks = list[_Task]()
        for subject in self._subjects.values():
            for one in asked:
                if one.scanner.takes(subject):
                    self._take(one, subject, tasks)
        if not tasks:
            return
        self.started = len(tasks)
        tasks.sort(key=lambda task: -task.subject.size)
        jobs = self._station.parallel or len(os.sched_getaffinity(0))
        self._check_room(tasks, jobs)
        for one in asked:
            mine = [task.subject for task in tasks if task.asked is one]
            if mine:
                work = self._new_folder(f"all-{one.scanner.name}")
                one.scanner.prepare(mine, work)
        self._left.update(self._unpacked[task.subject.digest] for task in tasks)
        open_scans = Counter(task.subject.digest for task in tasks)
        self._progress.start("scan", sum(task.subject.size for task in tasks), len(open_scans))
        parallel(jobs, lambda task: self._scan(task, open_scans), tasks, "scan")

    def _take(self, one: _Asked, subject: ScanSubject, tasks: list[_Task]) -> None:
        if one.error is not None:
            self._keep(_failed(subject, one.identity, one.error))
            return
        known = self.results.answer(subject.digest, one.identity)
        if known is not None and self._complete(known[1]):
            self._known(*known)
            self.kept += 1
        else:
            tasks.append(_Task(one, subject, self._folder / f"scan-{len(tasks)}"))

    def _complete(self, known: ScanResult) -> bool:
        """True if what the run left besides its findings is still there."""
        if known.sbom is not None and self.results.sbom(known.sbom) is None:
            return False
        return known.report is None or self._records.report(known.report) is not None

    def _check_room(self, tasks: Sequence[_Task], jobs: int) -> None:
        sizes = list({task.subject.digest: task.subject.size for task in tasks}.values())
        try:
            check_free(self._folder, sum(sizes[:jobs]), "unpacking what is scanned at once")
        except DiskFullError as error:
            hint = "free space, name another disk in `workDir` of the Station resource, or lower its `parallel`"
            raise StoreError("scan-disk-full", error.what, hint) from error

    def _scan(self, task: _Task, open_scans: Counter[Digest]) -> None:
        subject, name = task.subject, task.asked.scanner.name
        self._progress.item(f"{subject.title}: {name}")
        result = self._result(task)
        self._keep(result)
        with disk_errors(task.work):
            remove_tree(task.work)
        with self._lock:
            unpacked = self._unpacked[subject.digest]
            self._left[unpacked] -= 1
            open_scans[subject.digest] -= 1
            last, done = self._left[unpacked] == 0, open_scans[subject.digest] == 0
        if last:
            with disk_errors(unpacked):
                remove_tree(unpacked)
        self._progress.advance(subject.size)
        if done:
            self._progress.done(subject.title, ", ".join(one.outcome for one in self._answers[subject.digest]))

    def _result(self, task: _Task) -> ScanResult:
        """The scanner's answer, whatever happens while it is found."""
        try:
            work = self._new_folder(task.work.name)
            return self._checked(task, task.asked.scanner.scan(task.subject, work))
        except AirgapError as error:
            return _failed(task.subject, task.asked.identity, error)
        except Exception as error:  # noqa: BLE001  (content of strangers must not end the scan of everything else)
            what = f"the scanner ended with {type(error).__name__}: {error}"
            return ScanResult.failed(task.subject.digest, task.asked.identity, "scanner-crashed", _short(what))

    def _checked(self, task: _Task, result: ScanResult) -> ScanResult:
        """The answer as it is kept: about the right subject, in order, readable, and with what belongs to it."""
        subject, identity = task.subject.digest, task.asked.identity
        if (result.subject, result.scanner) != (subject, identity):
            what = f"got an answer of {result.scanner.name} about {result.subject}, expected one about {subject}"
            return ScanResult.failed(subject, identity, "scanner-mismatch", what)
        if result.not_run:
            return ScanResult.failed(subject, identity, result.not_run, _short(result.detail))
        result = replace(result, findings=ordered(result.findings), report=self._report(task), form=task.subject.form)
        try:
            ScanResult.decode(result.encode(), "the scanner's answer")
        except IntegrityError as error:
            return ScanResult.failed(subject, identity, "scanner-garbage", _short(error.what))
        if result.sbom is not None:
            return self._with_sbom(task, result)
        return result

    def _with_sbom(self, task: _Task, result: ScanResult) -> ScanResult:
        """Keeps the SBOM. One that is too large is left out, because nobody could attest it."""
        path = task.work / SBOM_FILE
        data = _left_file(path, MAX_SBOM)
        if data is None and path.is_file():
            self._progress.note(f"{task.subject.title}: its SBOM has more than {MAX_SBOM} bytes, and is left out")
            return replace(result, sbom=None)
        if data is None or Digest.of(data) != result.sbom:
            what = "the SBOM is not the one that the scanner named"
            return ScanResult.failed(result.subject, result.scanner, "scanner-garbage", what)
        self.results.save_sbom(data)
        return result

    def _report(self, task: _Task) -> Digest | None:
        """Keeps the report for cosign, if the scanner made one. Without it the answer is whole, too."""
        data = _left_file(task.work / REPORT_FILE, MAX_REPORT)
        if data is None:
            return None
        try:
            Report.read(task.subject.digest, data, task.subject.title)
        except TrustError as error:
            self._progress.note(f"the scanner's report is left out: {error.what}")
            return None
        self._records.save_report(data)
        return Digest.of(data)

    def _keep(self, result: ScanResult) -> None:
        self._known(self.results.save(result), result)

    def _known(self, digest: Digest, result: ScanResult) -> None:
        with self._lock:
            self._answers.setdefault(result.subject, []).append(_Answer.of(digest, result))

    def _new_folder(self, name: str) -> Path:
        folder = self._folder / name
        with disk_errors(folder):
            folder.mkdir(0o700)
        return folder

    def scanned(self, subject: ScanSubject, scanners: Sequence[ScannerIdentity]) -> ScannedSubject:
        """A subject with what was answered about it."""
        scans = [one.scan for one in self._answers.get(subject.digest, ())]
        return ScannedSubject(subject.digest, subject.title, sort_scans(scans, scanners))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What stays in memory of a result: there may be many findings."""

    scan: Scan
    outcome: str
    """In words, for the progress."""

    @classmethod
    def of(cls, digest: Digest, result: ScanResult) -> _Answer:
        name, found = result.scanner.name, len(result.findings)
        outcome = f"{name} not-run ({result.not_run})" if result.not_run else f"{name} {count(found, 'finding')}"
        return cls(Scan(result.subject, result.scanner.own_digest, digest), outcome)


def _failed(subject: ScanSubject, identity: ScannerIdentity, error: AirgapError) -> ScanResult:
    code = "scan-disk-full" if isinstance(error, DiskFullError) else error.code
    detail = f"{error.what}; next: {error.hint}" if error.hint else error.what
    return ScanResult.failed(subject.digest, identity, code, _short(detail))


def _short(text: str) -> str:
    return one_line(text)[:MAX_DETAIL] or "no reason was given"


def _left_file(path: Path, limit: int) -> bytes | None:
    """A file that a scanner left in its folder; `None` if there is none, or one that is too large."""
    try:
        return read_plain(path, limit)
    except FileNotFoundError:
        return None
