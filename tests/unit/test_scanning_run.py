"""A run of scanners: each subject once, answers kept, what fails is not-run, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import DiskFullError, InputError, StoreError, ToolError
from airgap.base.progress import Silent
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.content.scan_subject import ScanSubject
from airgap.resources.load import load_station
from airgap.scanning import run as running
from airgap.scanning import table
from airgap.scanning.run import ScannedContent, scan_content
from airgap.scanning.scanner import SBOM_FILE
from airgap.scanning.work import remove_tree, scan_folder
from airgap.statements.gate import Gate
from airgap.statements.scan_run import SubjectScans
from airgap.station.files import Records
from airgap.station.scans import ScanRecords
from airgap.store.layout import Layout
from tests.worlds.policy import World

NOW = datetime(2026, 11, 30, tzinfo=UTC)
HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: Station\nmetadata: {name: dmz}\n"
BAD = ScanFinding(FindingKind.SECRET, "aws", Severity.CRITICAL, path="a")
SBOM = b'{"bomFormat": "CycloneDX"}'


@dataclass
class Fake:
    """A scanner that finds one secret, and counts how often it is asked."""

    name: str = "fake"
    version: str = "1"
    error: Exception | None = None
    databases: tuple[Database, ...] = ()
    does: Callable[[ScanSubject, Path, ScanResult], ScanResult] = lambda _subject, _work, result: result
    seen: list[str] = field(default_factory=list)
    prepared: list[int] = field(default_factory=list)

    def identity(self) -> ScannerIdentity:
        if self.error is not None:
            raise self.error
        return ScannerIdentity(self.name, self.version, Digest.of(b"program"), self.databases)

    def takes(self, subject: ScanSubject) -> bool:
        return subject.kind == "image"

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        assert not list(work.iterdir())
        self.prepared.append(len(subjects))

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        self.seen.append(subject.title)
        (work / "litter").mkdir(mode=0o500)
        found = ScanResult(subject.digest, self.identity(), (BAD, BAD), packages=3)
        return self.does(subject, work, found)


class Bench:
    """A store with an index of two images, and what scans it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.folder, self.monkeypatch = World(folder), folder, monkeypatch
        self.records = Records(folder / "records")
        self.layout = Layout(self.world.files.folder)

    def scan(self, *scanners: Fake, spec: str = "{parallel: 2}", gate: Gate | None = None) -> ScannedContent:
        made = [lambda _setup, one=one: one for one in scanners]
        self.monkeypatch.setattr(table, "TABLE", tuple(made))
        return self.run(spec, gate)

    def run(self, spec: str = "{parallel: 2}", gate: Gate | None = None) -> ScannedContent:
        item = self.world.item()
        assert item.root is not None
        roots = [(one, item.root) for one in (item, replace(item, name="ghcr.io/acme/same:1"))]
        station = load_station(f"{HEAD}spec: {spec}\n".encode(), base_dir=self.folder)
        return scan_content(roots, self.layout, station, self.records, Silent(), NOW, gate)

    def left(self) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in (self.records.folder / "scanning/work").glob("run-*")]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def only(found: ScannedContent, number: int = 0) -> ScanResult:
    """The answer about the first image, or about another one."""
    (result,) = answers(found)[number].results
    return result


def answers(found: ScannedContent) -> list[SubjectScans]:
    """The answers about the first item."""
    pin = next(iter(found.items))
    return list(found.answers(Named(pin)))  # type: ignore[arg-type]


@dataclass
class Named:
    """An item that has nothing but its pin."""

    pin: Digest


def test_what_two_items_share_is_scanned_once_and_never_again(bench: Bench) -> None:
    fake = Fake()
    found = bench.scan(fake)
    assert (found.started, found.kept, sorted(fake.seen), fake.prepared) == (2, 0, sorted(set(fake.seen)), [2])
    first, second = found.items.values()
    assert [one.digest for one in first] == [one.digest for one in second]
    assert [one.title for one in first] == ["ghcr.io/acme/app:1.0 (linux/amd64)", "ghcr.io/acme/app:1.0 (linux/arm64)"]
    assert only(found).findings == (BAD,)
    again = bench.scan(fake)
    assert (again.started, again.kept, len(fake.seen)) == (0, 2, 2)
    assert again.items == found.items
    assert bench.left() == []


def test_another_identity_is_asked_again(bench: Bench) -> None:
    bench.scan(Fake())
    found = bench.scan(Fake(version="2"))
    assert (found.started, only(found).scanner.version) == (2, "2")


def test_a_scanner_gets_a_folder_that_it_finds_from_any_other(bench: Bench) -> None:
    def look(_subject: ScanSubject, work: Path, result: ScanResult) -> ScanResult:
        assert work.is_absolute()
        return result

    bench.monkeypatch.chdir(bench.folder)
    bench.records = Records(Path("records"))
    assert only(bench.scan(Fake(does=look))).not_run == ""


@pytest.mark.parametrize(("age", "started"), [(7, 2), (8, 0)])
def test_a_scanner_whose_database_is_too_old_is_not_started(bench: Bench, age: int, started: int) -> None:
    fake = Fake(databases=(Database("trivy-db", Digest.of(b"db"), NOW - timedelta(days=age)),))
    found = bench.scan(fake, gate=Gate(()))
    assert (found.started, len(fake.seen), only(found).scanner) == (started, started, fake.identity())
    assert only(found).not_run == ("" if started else "database-old")


def test_a_record_that_was_changed_is_no_answer(bench: Bench) -> None:
    bench.scan(Fake())
    for path in (bench.records.folder / "scans").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert bench.scan(Fake()).started == 2


def test_an_answer_that_another_account_may_have_written_is_not_taken(bench: Bench) -> None:
    """A store may be shared with the connected zone, where somebody could write that everything is clean."""
    bench.scan(Fake())
    folder = bench.records.folder / "scans"
    folder.chmod(0o775)
    assert bench.scan(Fake()).started == 2
    folder.chmod(0o755)
    assert bench.scan(Fake()).started == 0
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")
    assert bench.scan(Fake()).started == 2


def test_two_runs_at_once_do_not_disturb_each_other(bench: Bench) -> None:
    both = threading.Barrier(4, timeout=10)

    def meet(_subject: ScanSubject, work: Path, result: ScanResult) -> ScanResult:
        both.wait()
        (work / SBOM_FILE).write_bytes(SBOM)
        return replace(result, sbom=Digest.of(SBOM))

    bench.monkeypatch.setattr(table, "TABLE", (lambda _setup: Fake(does=meet),))
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(bench.run) for _ in range(2)]
        found = [one.result() for one in runs]
    assert [one.started for one in found] == [2, 2]
    assert only(found[0]) == only(found[1])
    assert (bench.run().started, bench.left()) == (0, [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ToolError("scanner-timeout", "it took too long", "raise timeLimit"), "scanner-timeout"),
        (DiskFullError("disk-full", "no space"), "scan-disk-full"),
        (RecursionError("deep"), "scanner-crashed"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad\n"), "scanner-crashed"),
    ],
)
def test_whatever_happens_is_not_run_and_asked_again(bench: Bench, error: Exception, code: str) -> None:
    def fail(_subject: ScanSubject, _work: Path, _result: ScanResult) -> ScanResult:
        raise error

    for _ in range(2):
        fake = Fake(does=fail)
        found = bench.scan(fake)
        result = only(found)
        assert (result.not_run, result.findings, found.started, found.kept) == (code, (), 2, 0)
        assert result.detail.isprintable()
    assert bench.scan(Fake()).started == 2
    assert bench.left() == []


def test_a_scanner_that_may_not_run_makes_all_not_run(bench: Bench) -> None:
    good, bad = Fake(), Fake("other", error=InputError("scanner-changed", "another sha256", "check it"))
    found = bench.scan(good, bad)
    assert [(one.name, one.version) for one in found.scanners] == [("fake", "1"), ("other", "unknown")]
    for subject in answers(found):
        fake, other = subject.results
        assert (fake.not_run, other.not_run, other.detail) == ("", "scanner-changed", "another sha256; next: check it")
    assert bad.seen == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"subject": Digest.of(b"another")}, "scanner-mismatch"),
        ({"scanner": ScannerIdentity.unknown("fake")}, "scanner-mismatch"),
        ({"sbom": Digest.of(b"no such file")}, "scanner-garbage"),
        ({"findings": (replace(BAD, id="two\nlines"),)}, "scanner-garbage"),
        ({"findings": (replace(BAD, title="x" * 5000),)}, "scanner-garbage"),
        ({"not_run": "scanner-memory"}, "scanner-memory"),
    ],
)
def test_an_answer_that_is_not_one_is_not_run(bench: Bench, changed: dict[str, object], code: str) -> None:
    found = bench.scan(Fake(does=lambda _subject, _work, result: replace(result, **changed)))  # type: ignore[arg-type]
    result = only(found)
    assert (result.not_run, result.findings, bool(result.detail)) == (code, (), True)


def test_an_sbom_is_kept_and_one_that_is_lost_is_made_again(bench: Bench) -> None:
    def describe(_subject: ScanSubject, work: Path, result: ScanResult) -> ScanResult:
        (work / SBOM_FILE).write_bytes(SBOM)
        return replace(result, sbom=Digest.of(SBOM))

    found = bench.scan(Fake(does=describe))
    records = ScanRecords(bench.records.folder)
    assert only(found).sbom == Digest.of(SBOM)
    assert records.sbom(Digest.of(SBOM)) == SBOM
    assert records.sbom(Digest.of(b"other")) is None
    (path,) = (bench.records.folder / "sboms").iterdir()
    path.write_bytes(b"damaged")
    assert bench.scan(Fake(does=describe)).started == 2


def test_scans_run_at_once_and_no_more_than_the_station_allows(bench: Bench) -> None:
    both, alone = threading.Barrier(2, timeout=5), threading.Lock()

    def meet(_subject: ScanSubject, _work: Path, result: ScanResult) -> ScanResult:
        both.wait()
        return result

    def exclude(_subject: ScanSubject, _work: Path, result: ScanResult) -> ScanResult:
        assert alone.acquire(blocking=False)
        alone.release()
        return result

    assert not only(bench.scan(Fake(does=meet))).not_run
    found = bench.scan(Fake(version="2", does=exclude), spec="{parallel: 1, workDir: elsewhere}")
    assert [only(found, number).not_run for number in (0, 1)] == ["", ""]
    assert list((bench.folder / "elsewhere/work").glob("run-*")) == []


def test_an_interrupted_run_goes_on_where_it_was(bench: Bench) -> None:
    ended = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs behind

    def interrupt(_subject: ScanSubject, _work: Path, result: ScanResult) -> ScanResult:
        if len(fake.seen) > 1:
            os.kill(os.getpid(), signal.SIGINT)  # to the process, whose main thread waits
            ended.wait(5)
            raise ToolError("scanner-crashed", "it was ended")
        return result

    fake = Fake(does=interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.scan(fake, spec="{parallel: 1}")
    finally:
        signal.signal(signal.SIGINT, before)
    ended.set()
    found = bench.scan(Fake())
    assert (found.started, found.kept, bench.left()) == (1, 1, [])


def test_free_space_is_asked_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()

    def full(folder: Path, _needed: int, _what: str) -> None:
        raise DiskFullError("disk-full", f"{folder.name[:4]}: too small", "free space")

    monkeypatch.setattr(running, "check_free", full)
    with pytest.raises(StoreError, match="run-: too small") as caught:
        bench.scan(fake)
    assert (caught.value.code, fake.seen, bench.left()) == ("scan-disk-full", [], [])


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    with scan_folder(tmp_path) as running_now:
        (tmp_path / "run-dead" / "a" / "b").mkdir(parents=True)
        (tmp_path / "run-dead" / "a" / "b" / "file").touch()
        (tmp_path / "run-dead" / "link").symlink_to(tmp_path)
        (tmp_path / "run-dead" / "a").chmod(0o500)
        (tmp_path / "run-dead.lock").touch()
        with scan_folder(tmp_path) as another:
            assert not (tmp_path / "run-dead").exists()
            assert running_now.is_dir()
            assert another.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("a", dir_fd=folder)
        deeper = os.open("a", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    remove_tree(top)
    remove_tree(top)
    assert not top.exists()
