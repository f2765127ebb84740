"""A station with a real Trivy, and content to scan: a store, its databases, a work folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.base.progress import Silent
from airgap.content.graph import Descriptor as Node
from airgap.content.scan_finding import FindingKind, ScanFinding
from airgap.content.scan_result import ScanResult
from airgap.content.scan_subject import ScanSubject, SubjectFile, SubjectForm
from airgap.resources.station import ScannerDatabases, Station, TrivyConfig
from airgap.scanning.table import ScannerSetup
from airgap.scanning.trivy.scanner import TrivyScanner
from airgap.store.layout import Layout as Store
from airgap.store.memory import Memory
from tests.parts.images import CONFIG, LAYER, MANIFEST, Descriptor, Layout, digest_of, tar_layer, zipped
from tests.parts.trivy import DATABASE, Trivy
from tests.worlds import scanner_databases
from tests.worlds.attacks import World, make_world
from tests.worlds.scanner_databases import WHEN
from tests.worlds.site import HEAD

APK = b"P:apk-tools\nV:2.10.4-r2\nA:x86_64\no:apk-tools\n\nP:musl\nV:1.1.22-r2\nA:x86_64\no:musl\n\n"
ALPINE = {"etc/alpine-release": b"3.10.0\n", "lib/apk/db/installed": APK}
"""Alpine 3.10 with two packages, of which the database knows CVE-2021-36159 and CVE-2020-28928."""
KEY = b"AKIAIOSFODNN7EXAMPL2"
"""Looks like a key of AWS."""
SECRET = {"app/settings.ini": b"aws_access_key_id = " + KEY + b"\n"}


@dataclass(frozen=True, slots=True)
class TrivyStation:
    """A station on which content is scanned by one Trivy. `layout` is its store, as the images are made in it."""

    folder: Path
    layout: Layout
    config: TrivyConfig
    _opened: dict[str, TrivyScanner] = field(default_factory=dict, compare=False)
    """Scanners by their settings: to open one, its program of 250 MB is hashed."""

    @classmethod
    def of(cls, folder: Path, trivy: Trivy) -> TrivyStation:
        """A station whose store has the database of the tests."""
        layout = Layout(folder / "store")
        layout.tag(scanner_databases.DB, database_of_tests(layout))
        sha256 = sha256_of(trivy.program)
        return cls(folder, layout, TrivyConfig(program=trivy.program, sha256=sha256, time_limit=timedelta(minutes=2)))

    def scanner(self, **station: Any) -> TrivyScanner:
        """The scanner as the table makes it."""
        databases = ScannerDatabases(vulnerabilities=scanner_databases.DB)
        made = Station(name="dmz", trivy=self.config, **({"databases": databases} | station))
        return TrivyScanner(
            self.config, ScannerSetup(made, Store(self.layout.folder), self.folder / "kept", Silent(), WHEN)
        )

    def checks(self) -> ScannerDatabases:
        """One check for misconfigurations beside the vulnerabilities: those in the program take seconds."""
        checks = scanner_databases.artifact(self.layout, scanner_databases.CHECKS_LAYER, scanner_databases.CHECK_FILES)
        self.layout.tag(scanner_databases.CHECKS, checks)
        return ScannerDatabases(vulnerabilities=scanner_databases.DB, checks=scanner_databases.CHECKS)

    def other(self, **config: Any) -> TrivyStation:
        """The same with another program, or other limits."""
        return replace(self, config=replace(self.config, **config))

    def subject(self, image: Descriptor, title: str = "docker.io/library/app:1") -> ScanSubject:
        """An image of the store."""
        node = Node(image["mediaType"], Digest(image["digest"]), image["size"])
        return ScanSubject(
            digest=node.digest,
            kind="image",
            form=SubjectForm.IMAGE,
            title=title,
            source=Store(self.layout.folder),
            node=node,
            size=image["size"],
        )

    def scan(self, *subjects: ScanSubject, **station: Any) -> tuple[ScanResult, ...]:
        """What the scanner says, as the run asks it. Nothing is left in its folders."""
        key = repr((self.config, sorted(station.items())))
        scanner = self._opened[key] = self._opened.get(key) or self.scanner(**station)
        identity = scanner.identity()
        with work_folder(self.folder / "all") as shared:
            scanner.prepare(subjects, shared)
            found = []
            for subject in subjects:
                with work_folder(self.folder / "work") as work:
                    try:
                        found.append(scanner.scan(subject, work))
                    except AirgapError as error:
                        found.append(ScanResult.failed(subject.digest, identity, error.code, error.what))
        return tuple(found)

    def image(self, *layers: Mapping[str, bytes] | bytes, **more: Any) -> ScanSubject:
        """A new image of these layers."""
        return self.subject(self.layout.image(*layers, **more))

    def odd_image(
        self, layers: list[Descriptor], diff_ids: list[str], config: Mapping[str, Any] | None = None
    ) -> ScanSubject:
        """An image whose config says what it likes."""
        said = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        described = self.layout.document(said | dict(config or {}), CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": layers}
        return self.subject(self.layout.document(manifest, MANIFEST))

    def layer(self, files: Mapping[str, bytes]) -> tuple[Descriptor, str]:
        """A layer, and its diff id."""
        tar = tar_layer(files)
        return self.layout.blob(zipped(tar), LAYER), digest_of(tar)


def database_of_tests(layout: Layout) -> Descriptor:
    """The artifact of `tests/parts/trivy-db`."""
    files = {path.name: path.read_bytes() for path in DATABASE.iterdir() if path.suffix in (".db", ".json")}
    return scanner_databases.artifact(layout, scanner_databases.DB_LAYER, files)


def station_resource(trivy: Trivy, database: str = scanner_databases.DB) -> str:
    """A Station resource with this program and a database of vulnerabilities."""
    program = f"{{program: '{trivy.program}', sha256: {sha256_of(trivy.program)}}}"
    spec = f"{{trivy: {program}, databases: {{vulnerabilities: '{database}'}}}}"
    return f"{HEAD}kind: Station\nmetadata: {{name: dmz}}\nspec: {spec}\n"


def vulnerable_world(folder: Path, trivy: Trivy, name: str) -> World:
    """A station whose store has an image with a critical vulnerability, in a lock `r`, and the database that knows it.

    Its Sovereign requires a verdict.
    """
    made = make_world(folder, None)
    made.trust(require="pull, verdict, delivery")
    layout = Layout(made.folder / "made")
    layout.tag("app", layout.image(ALPINE))
    layout.tag("db", database_of_tests(layout))
    made.lock("db", **{scanner_databases.DB: "db"})
    made.lock("r", **{name: "app"})
    made.write("station.yaml", station_resource(trivy))
    return made


def tree(kind: str, files: Mapping[str, bytes]) -> ScanSubject:
    """A tree of files of one kind of content."""

    def each() -> Iterator[SubjectFile]:
        for path, data in files.items():
            yield SubjectFile(path, len(data), lambda data=data: BytesIO(data))  # type: ignore[misc]

    digest = Digest.of(repr(sorted(files.items())).encode())
    node = Node(MANIFEST, digest, 1)
    form = SubjectForm.FILES
    return ScanSubject(digest=digest, kind=kind, form=form, title=kind, source=Memory(), node=node, size=1, files=each)


def sha256_of(path: Path) -> str:
    """As a Station names a program."""
    info = path.stat()
    return _sha256_of(path, info.st_ino, info.st_mtime_ns)


@cache
def _sha256_of(path: Path, _number: int, _changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def ids(result: ScanResult, kind: FindingKind = FindingKind.VULNERABILITY) -> list[str]:
    """The ids of the findings of one kind, sorted."""
    assert not result.not_run, result
    return sorted(one.id for one in result.findings if one.kind is kind)


def the(result: ScanResult, name: str) -> ScanFinding:
    """The one finding of this id."""
    (found,) = [one for one in result.findings if one.id == name]
    return found


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """A private folder that is gone afterwards."""
    import shutil

    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
