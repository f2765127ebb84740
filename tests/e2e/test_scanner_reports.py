"""What users of Trivy report on its issue tracker, on a real one: none of it passes for "no vulnerabilities".

The numbers are those of issues of github.com/aquasecurity/trivy. Each is tried with both versions where they differ.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import resource
import tarfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from airgap.content.scan_finding import FindingKind, Severity
from airgap.content.scan_result import ScanResult
from airgap.resources.station import ScannerDatabases
from tests.parts.images import LAYER, tar_members
from tests.parts.trivy import Trivy
from tests.parts.trivy_db import advisories, java_db, trivy_db
from tests.worlds import effort, scanner_databases
from tests.worlds.trivy_station import KEY, TrivyStation, ids, the

pytestmark = pytest.mark.e2e
DPKG = "Package: {0}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {1}\nSource: {2}\n\n"
STATUS = (DPKG.format("zlib1g", "1:1.2.13.dfsg-1", "zlib") + DPKG.format("libssl3", "3.0.8-1", "openssl")).encode()
DEBIAN = {"etc/os-release": b'ID=debian\nVERSION_ID="12"\n', "etc/debian_version": b"12.5\n"}
WHOLE = {**DEBIAN, "var/lib/dpkg/status": STATUS}
FILE, HARD, SYMBOLIC = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE


def files(found: dict[str, bytes]) -> list[tuple[str, bytes, bytes | str]]:
    return [(path, FILE, content) for path, content in found.items()]


def jar(name: str = "") -> bytes:
    """A Java archive, which says what it is if it has a `name`: group, artifact, version."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF"), "Manifest-Version: 1.0\n")
        if name:
            said = dict(zip(("groupId", "artifactId", "version"), name.split(":"), strict=True))
            text = "".join(f"{key}={value}\n" for key, value in said.items())
            made.writestr(zipfile.ZipInfo("META-INF/maven/a/b/pom.properties"), text)
    return buffer.getvalue()


LINE = b"aws_access_key_id = " + KEY + b"\n"
NAMES = ("app/\udcff\udcfe/.env", "app/a\nb\x1b[31m/.env", "x" * 250 + "/" + "y" * 250 + "/.env")
"""Paths that are no text, that act on a terminal, that are long."""
BIG = {
    "app/big.ini": b"x = 1\n" * 2_000_000 + LINE,
    "app/long.ini": b"a" * 2_000_000 + b" " + LINE,
    "app/late.ini": LINE + b"x" * 500 + b"\0",
}
BROKEN = {
    "app/node_modules/a/package.json": b'{"name": "lodash", "version": "4.17.4", "dependencies": []}',
    "app/log4j-core-2.14.0.jar": b"PK\3\4 is not all of it" * 100,
    "app/vendor/composer/installed.json": b"{",
}
PYTHON = {
    "usr/lib/python3/dist-packages/setuptools-65.0.0.dist-info/METADATA": b"Name: setuptools\nVersion: 65.0.0\n\n",
}
LINKED = ("app/node_modules/hard/package.json", "app/node_modules/soft/package.json")
OTHERS = {
    "dpkg": {**DEBIAN, "var/lib/dpkg/status": b"\0garbage\xff" * 100},
    "rpm": {"etc/os-release": b'ID="rocky"\nVERSION_ID="8.9"\n', "var/lib/rpm/Packages": b"garbage" * 999},
    "rolling": {"etc/os-release": b"ID=arch\n", "var/lib/pacman/local/zlib-1-1/desc": b"%NAME%\nzlib\n"},
}
"""More images that nothing is read of, for `--thorough`."""


def all_at_once() -> bytes:
    """A layer with what the scanner leaves out, next to what it finds."""
    lodash = b'{"name": "lodash", "version": "4.17.4"}'
    return tar_members(
        *files({**WHOLE, **BROKEN, **BIG, **PYTHON, **dict.fromkeys(NAMES, LINE)}),
        ("store/ab12", FILE, lodash),
        (LINKED[0], HARD, "store/ab12"),
        (LINKED[1], SYMBOLIC, "../../../store/ab12"),
        ("loop", SYMBOLIC, "loop"),
        ("a/b", SYMBOLIC, "../a"),
        ("var/lib/dpkg/info", SYMBOLIC, "."),
    )


def images() -> dict[str, tuple[dict[str, bytes] | bytes, ...]]:
    """The layers of each image, by its name."""
    hidden = tar_members(*files(DEBIAN), ("x", FILE, STATUS), ("var/lib/dpkg/status", HARD, "x"))
    unstable = {"etc/debian_version": b"trixie/sid\n", "etc/os-release": b"ID=debian\n"}
    ended = {"etc/debian_version": b"9.1\n", "etc/os-release": b'ID=debian\nVERSION_ID="9"\n'}
    return {
        "all": (all_at_once(),),
        "hidden": (hidden,),
        "removed": (WHOLE, tar_members(("var/lib/dpkg/.wh.status", FILE, b""))),
        "scratch": ({"app": b"\x7fELF" + b"x" * 100},),
        "unstable": ({**WHOLE, **unstable},),
        "ended": ({**WHOLE, **ended},),
        **{name: (found,) for name, found in OTHERS.items() if effort.cases(0, 1)},
    }


def scanned(folder: Path, trivy: Trivy, names: Sequence[str] = ()) -> dict[str, ScanResult]:
    """What a station says of the images, in one run."""
    station = TrivyStation.of(folder, trivy)
    said = advisories()
    said["debian 12"]["zlib"]["CVE-2021-38561"] = {"FixedVersion": "1:9"}
    content = {"trivy.db": trivy_db(said), "metadata.json": scanner_databases.metadata()}
    database = scanner_databases.artifact(station.layout, scanner_databases.DB_LAYER, content)
    station.layout.tag(scanner_databases.DB, database)
    wanted = {name: layers for name, layers in images().items() if not names or name in names}
    results = station.scan(*(station.image(*layers) for layers in wanted.values()))
    for result in results:
        assert not result.not_run, result
        ScanResult.decode(result.encode(), "result")
    return dict(zip(wanted, results, strict=True))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ScanResult]:
    """Of the newer version."""
    return scanned(tmp_path_factory.mktemp("reported"), Trivy.of("trivy"))


@pytest.fixture(scope="module", params=["trivy", "trivy-old"])
def mixed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ScanResult:
    """The image that has everything, of both versions."""
    if request.param == "trivy":
        found: dict[str, ScanResult] = request.getfixturevalue("results")
    else:
        found = scanned(tmp_path_factory.mktemp("reported"), Trivy.of("trivy-old"), ("all",))
    return found["all"]


def unread(result: ScanResult) -> set[str]:
    return {one.path for one in result.findings if one.id == "file-unread"}


@pytest.mark.part("trivy", "trivy-old")
def test_package_files_that_cannot_be_parsed_and_links_are_said(mixed: ScanResult) -> None:
    """2054, 8557, 8424: the packages are missing, and at most the debug output says why. In images links are skipped,
    always: a store of hard links hides every package in it."""
    assert "CVE-2019-10744" not in ids(mixed)
    assert unread(mixed) == {*BROKEN, *LINKED}


@pytest.mark.part("trivy", "trivy-old")
def test_severities_of_every_source_are_kept(mixed: ScanResult) -> None:
    """794, 3381, 6714: which source counts differs between versions, and is no fact. The policy chooses."""
    found = the(mixed, "CVE-2022-40897")
    assert (found.severity, found.source) == (Severity.HIGH, "ghsa")
    assert found.severities == {"ghsa": Severity.HIGH, "nvd": Severity.MEDIUM}
    debian = the(mixed, "CVE-2023-0464")
    assert (debian.severity, debian.severities["nvd"]) == (Severity.MEDIUM, Severity.HIGH)
    # Nobody has given one: it is not low.
    assert the(mixed, "CVE-2021-38561").severity is Severity.UNKNOWN
    # Not fixed, and why: `--ignore-unfixed` of Trivy leaves all of it out without a word.
    unfixed = the(mixed, "CVE-2023-45853")
    assert (unfixed.fixed, unfixed.status, unfixed.severity) == ("", "will_not_fix", Severity.CRITICAL)


@pytest.mark.part("trivy", "trivy-old")
def test_odd_names_circles_and_texts_of_any_size(mixed: ScanResult) -> None:
    """9254, 968, 3168, 7085, and anchore/stereoscope 206: the scan comes to its end, and finds what is there."""
    secrets = [one.path for one in mixed.findings if one.kind is FindingKind.SECRET]
    assert len(secrets) == len(NAMES) + len(BIG)
    assert set(BIG) < set(secrets)
    assert all(one.path.isprintable() for one in mixed.findings)


@pytest.mark.part("trivy")
def test_no_vulnerabilities_because_nothing_was_read(results: dict[str, ScanResult]) -> None:
    """8, 59, 173, 577, 897, 2299: no list of packages that can be read, no operating system, or one without advisories;
    images that were made smaller lose the list, and keep the packages."""
    said = {name: set(ids(result, FindingKind.COVERAGE)) for name, result in results.items()}
    assert said["hidden"] == {"packages-none", "file-unread"}
    assert unread(results["hidden"]) == {"var/lib/dpkg/status"}
    assert said["removed"] == {"packages-none"}
    assert said["scratch"] == {"os-unknown", "packages-none"}
    assert said["unstable"] == {"os-unlisted"}
    assert said["ended"] == {"os-end-of-life"}
    for name in OTHERS.keys() & said.keys():
        assert "packages-none" in said[name], name


@pytest.mark.part("trivy")
def test_java_archives_by_two_sources_and_by_digest(tmp_path: Path) -> None:
    """984, 3274, 5796: one finding for one package and advisory, whoever says so and wherever it is."""
    station = TrivyStation.of(tmp_path, Trivy.of("trivy"))
    named, bare = jar("com.fasterxml.jackson.core:jackson-databind:2.9.10.3"), jar()
    known = {hashlib.sha1(bare).digest(): ("org.springframework", "spring-beans", "5.3.17")}
    content = scanner_databases.java(content=java_db(tmp_path / "x.db", known))
    database = scanner_databases.artifact(station.layout, scanner_databases.JAVA_LAYER, content)
    station.layout.tag(scanner_databases.JAVA, database)
    both = ScannerDatabases(vulnerabilities=scanner_databases.DB, java=scanner_databases.JAVA)
    image = station.image({**WHOLE, "a/jackson.jar": named, "b/jackson.jar": named, "opt/app.jar": bare})
    (result,) = station.scan(image, databases=both)
    java = [
        (one.id, one.path) for one in result.findings if one.kind is FindingKind.VULNERABILITY and ":" in one.package
    ]
    assert sorted(java) == [
        ("CVE-2020-9548", "a/jackson.jar"),
        ("CVE-2021-20190", "a/jackson.jar"),
        ("CVE-2022-22965", "opt/app.jar"),
    ]


@pytest.mark.part("trivy")
@pytest.mark.skipif(not effort.cases(0, 1), reason="minutes: --thorough")
def test_a_layer_of_400_000_files(tmp_path: Path) -> None:
    """1295 and others. What it takes: docs/performance.md."""
    station = TrivyStation.of(tmp_path, Trivy.of("trivy"))
    many = (f"usr/lib/p{number // 100}/f{number}.js" for number in range(400_000))
    image = station.image(tar_members(*files(WHOLE), *((path, FILE, b"x = 1;\n") for path in many)))
    began = time.monotonic()
    (result,) = station.scan(image)
    assert "CVE-2023-0464" in ids(result)
    assert time.monotonic() - began < 600
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 << 20, "KiB"


@pytest.mark.part("trivy")
@pytest.mark.skipif(not effort.cases(0, 1), reason="a minute: --thorough")
def test_an_image_of_15_gib(tmp_path: Path) -> None:
    """1796, 1834: it comes to its end, in bounded memory, with room on the disk for its largest file."""
    station = TrivyStation.of(tmp_path, Trivy.of("trivy"))
    zeros, hasher = io.BytesIO(), hashlib.sha256()
    with gzip.GzipFile(fileobj=zeros, mode="wb", compresslevel=1, mtime=0) as packed:
        for _ in range(1024):
            packed.write(bytes(1 << 20))
    first = tar_members(*files(WHOLE)).rstrip(b"\0")
    first += bytes(-len(first) % 512)
    parts = []
    for head in (first, *(_head(f"data/{number}.bin", 1 << 30) for number in range(15)), bytes(1024)):
        parts.append(gzip.compress(head, 1, mtime=0))
        hasher.update(head)
        if head[:5] == b"data/":
            parts.append(zeros.getvalue())
            for _ in range(1024):
                hasher.update(bytes(1 << 20))
    blob = station.layout.blob(b"".join(parts), LAYER)
    (result,) = station.scan(station.odd_image([blob], [f"sha256:{hasher.hexdigest()}"]))
    assert "CVE-2023-0464" in ids(result)
    assert ids(result, FindingKind.COVERAGE) == []
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 << 20, "KiB"


def _head(name: str, size: int) -> bytes:
    """The header of a file in a tar."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)
