"""`TrivyScanner`: Trivy behind the interface of all scanners."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import check_free, disk_errors, make_private
from airgap.base.errors import StoreError
from airgap.content.scan_finding import FindingKind
from airgap.content.scan_result import ScannerIdentity, ScanResult, ordered
from airgap.content.scan_subject import ScanSubject, SubjectForm
from airgap.resources.station import TrivyConfig
from airgap.scanning.databases.unpacked import Databases
from airgap.scanning.table import ScannerSetup
from airgap.scanning.trivy import coverage
from airgap.scanning.trivy.caches import Caches
from airgap.scanning.trivy.documents import write_cosign_report, write_sbom
from airgap.scanning.trivy.image import ShownImage, read_image, show
from airgap.scanning.trivy.layers import JAVA, Layers
from airgap.scanning.trivy.report import Expected, TrivyReport, findings, read_report
from airgap.scanning.trivy.tree import write_tree
from airgap.tools.sandbox import SandboxRun
from airgap.tools.trivy import Trivy, TrivyLimits, failure

RULES = 5
"""Changes whenever the answers do, so that results of older rules are not taken."""
CHART = "chart"
_IMAGE_KINDS = frozenset({FindingKind.VULNERABILITY, FindingKind.SECRET, FindingKind.COVERAGE})
_TREE_KINDS = frozenset({FindingKind.SECRET})
_CHART_KINDS = frozenset({FindingKind.SECRET, FindingKind.MISCONFIGURATION, FindingKind.COVERAGE})
_SPARE = 256 << 20
"""Bytes that are free beside the largest layer."""


class TrivyScanner:
    """Vulnerabilities and secrets of images; misconfigurations and secrets of charts; secrets of other trees."""

    name = "trivy"

    def __init__(self, config: TrivyConfig, setup: ScannerSetup) -> None:
        self._config, self._setup = config, setup
        self._trivy: Trivy | None = None
        self._databases: Databases | None = None
        self._identity: ScannerIdentity | None = None
        self._caches: Caches | None = None
        self._layers = Layers(setup.station.archives.size)
        self._lock = threading.Lock()

    def identity(self) -> ScannerIdentity:
        """The program, its version and its databases. Raises as `Trivy.open` and `Databases.open`."""
        with self._lock:
            if self._identity is None:
                self._identity = self._open()
            return self._identity

    def _open(self) -> ScannerIdentity:
        config, folder = self._config, self._setup.folder
        limits = TrivyLimits(config.time_limit.total_seconds(), config.memory_limit)
        make_private(folder)
        with disk_errors(folder), tempfile.TemporaryDirectory(dir=folder.absolute(), prefix="trivy-") as work:
            self._trivy = Trivy.open(config.program, config.sha256, config.refuse, limits, Path(work))
        self._databases = open_databases(self._setup)
        route = "none" if self._trivy.isolated else "not separated: offline by its options only"
        return ScannerIdentity(
            name=self.name,
            version=self._trivy.version,
            digest=self._trivy.digest,
            databases=self._databases.records,
            options=f"rules {RULES}; network {route}",
        )

    def takes(self, subject: ScanSubject) -> bool:
        """Images, and every tree of files."""
        return subject.form is SubjectForm.IMAGE or subject.files is not None

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        """Finds out which layers images share."""
        if self._databases is None:
            return
        caches = Caches(self._databases, self._layers, work.absolute())
        caches.plan([one for one in subjects if one.form is SubjectForm.IMAGE])
        self._caches = caches

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        """Scans one subject. Raises the error for a scan that did not run, with its code."""
        work = work.absolute()  # Trivy runs in it
        identity, trivy, databases = self.identity(), self._trivy, self._databases
        if trivy is None or databases is None:
            raise RuntimeError("identity() did not open the scanner")
        with self._lock:
            caches = self._caches = self._caches or Caches(databases, self._layers, work / "caches")
        run = _Run(
            identity,
            trivy,
            caches,
            self._layers,
            subject,
            work,
            java=bool(self._setup.station.databases.java),
            now=self._setup.now,
        )
        return run.image() if subject.form is SubjectForm.IMAGE else run.tree()

    def sbom(self, subject: Digest, data: bytes, work: Path) -> ScanResult:
        """Compares the packages of an image's SBOM with the database, without the image: vulnerabilities only.

        Raises the error for a scan that did not run, with its code.
        """
        work = work.absolute()
        identity, trivy, databases = self.identity(), self._trivy, self._databases
        if trivy is None or databases is None:
            raise RuntimeError("identity() did not open the scanner")
        file, cache = work / "sbom.json", work / "cache"
        with disk_errors(file):
            file.write_bytes(data)
        databases.link_into(cache)
        run = trivy.sbom(file, cache, work)
        failed = failure(run, "sbom")
        if failed is not None:
            raise failed
        report = read_report(run.stdout, Expected("cyclonedx", str(file)))
        found = ordered(findings(report, {}, str))
        kinds = frozenset({FindingKind.VULNERABILITY})
        return ScanResult(subject, identity, found, report.packages, form=SubjectForm.IMAGE, looked_for=kinds)


class _Run:
    """One scan of one subject."""

    def __init__(
        self,
        identity: ScannerIdentity,
        trivy: Trivy,
        caches: Caches,
        layers: Layers,
        subject: ScanSubject,
        work: Path,
        *,
        java: bool,
        now: datetime,
    ) -> None:
        self._identity, self._trivy, self._caches, self._layers = identity, trivy, caches, layers
        self._subject, self._work, self._java, self._now = subject, work, java, now

    def image(self) -> ScanResult:
        """An image: 1. read all of it; 2. analyse what it shares with others; 3. scan it; 4. write its documents."""
        subject = self._subject
        # 1.
        facts = read_image(subject, self._layers)
        self._check_room(facts.largest)
        # 2.
        while self._caches.needs(facts.layers):
            with self._caches.batch(facts.layers) as batch:
                shown = batch.show(self._layers, self._work / "shared")
                if shown is not None:
                    self._analyse(shown, batch.cache)
                    _remove(shown.folder)
        # 3.
        shown = show(facts, subject.source, self._work / "image")
        with self._caches.cache() as cache:
            diff_ids = tuple(one.diff_id for one in facts.layers)
            expected = Expected("container_image", shown.name, shown.config, diff_ids)
            options = (*self._image_options(), "--input", shown.name)
            report, log = self._scanned("image", expected, options, facts.largest, cache)
        # 4.
        sbom = write_sbom(report, subject, facts, self._trivy, self._work, self._now)
        write_cosign_report(report, subject, facts, self._trivy, self._work)
        layers = {str(one.diff_id): one.digest for one in facts.layers}
        found = findings(report, layers, lambda path: _image_path(path, shown))
        found += coverage.of_image(report, facts, log.noted, java=self._java)
        found += coverage.of_log(log.more_noted)
        return ScanResult(
            subject.digest,
            self._identity,
            ordered(found),
            report.packages,
            sbom,
            form=subject.form,
            looked_for=_IMAGE_KINDS,
        )

    def tree(self) -> ScanResult:
        """A tree of files."""
        subject, chart = self._subject, self._subject.kind == CHART
        tree = write_tree(subject, self._work / "tree", chart=chart)
        scanners = "misconfig,secret" if chart else "secret"
        with self._caches.cache() as cache:
            report, log = self._scanned(
                "fs",
                Expected("filesystem", str(tree.folder)),
                ("--scanners", scanners, str(tree.folder)),
                tree.largest,
                cache,
            )
        found = findings(report, {}, tree.name)
        if chart:
            found += coverage.of_chart(
                log.noted, tree.lists, rendered=not tree.templates or _configurations(report) > 0
            )
        found += coverage.of_log(log.more_noted)
        kinds = _CHART_KINDS if chart else _TREE_KINDS
        return ScanResult(
            subject.digest, self._identity, ordered(found), report.packages, form=subject.form, looked_for=kinds
        )

    def _scanned(
        self, what: str, expected: Expected, options: Sequence[str], largest: int, cache: Path
    ) -> tuple[TrivyReport, SandboxRun]:
        run = self._trivy.scan(what, options, cache, self._work, self._trivy.limits.sandbox(largest + _SPARE))
        failed = failure(run, what)
        if failed is not None:
            raise failed
        return read_report(run.stdout, expected), run

    def _analyse(self, shown: ShownImage, cache: Path) -> None:
        """Fills the cache. What goes wrong is said when the images are scanned, each for itself."""
        largest = max(layer.unpacked for layer in shown.layers)
        options = (*self._image_options(), "--input", shown.name)
        self._trivy.scan("image", options, cache, self._work, self._trivy.limits.sandbox(largest + _SPARE, 2))

    def _image_options(self) -> tuple[str, ...]:
        jobs = os.cpu_count() or 1  # in each scan: while another one starts or ends, a processor is free
        scanners = ("--scanners", "vuln,secret", "--image-config-scanners", "secret", "--parallel", str(jobs))
        if self._java:
            return scanners
        # In any case: Trivy takes `.JAR` for one, too.
        anyhow = ("".join(f"[{char}{char.upper()}]" if char != "." else char for char in end) for end in JAVA)
        return (*scanners, "--skip-files", ",".join(f"**/*{end}" for end in anyhow))

    def _check_room(self, size: int) -> None:
        try:
            check_free(self._work, size + _SPARE, "the largest layer, unpacked,")
        except StoreError as error:
            hint = "free space, or set `workDir` of the Station resource to another disk"
            raise StoreError("scan-disk-full", error.what, hint) from error


def open_databases(setup: ScannerSetup) -> Databases:
    """The databases that the Station names, from the store. Raises as `Databases.open`."""
    names = setup.station.databases.by_type
    return Databases.open(setup.store, names, setup.folder / "databases", setup.progress)


def _image_path(path: str, shown: ShownImage) -> str:
    """Where something is in an image, for what the report says: the config has the name of the image there."""
    return "config" if path.startswith(shown.name) else path.lstrip("/")


def _configurations(report: TrivyReport) -> int:
    return sum(1 for one in report.results if one.get("Class") == "config")


def _remove(folder: Path) -> None:
    with disk_errors(folder):
        shutil.rmtree(folder)
