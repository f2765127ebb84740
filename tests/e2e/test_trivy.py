"""Real Trivy, in both versions: what it finds, what it cannot read, and that content cannot silence it."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import threading
import time
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from airgap.base.errors import AirgapError
from airgap.content.scan_finding import FindingKind, Severity
from airgap.scanning.scanner import REPORT_FILE, SBOM_FILE
from airgap.scanning.trivy.sbom import cyclonedx
from airgap.signatures.scanner_report import Report
from tests.parts.images import digest_of, tar_layer
from tests.parts.trivy import Trivy
from tests.worlds.trivy_sbom import comparable
from tests.worlds.trivy_station import ALPINE, KEY, SECRET, TrivyStation, ids, the, tree, work_folder

pytestmark = pytest.mark.e2e
ODD = "user@host: a,b"
"""The name of the station's folder."""
DPKG = b"Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2.13.dfsg-1\nArchitecture: amd64\n"
LINKED = ALPINE["lib/apk/db/installed"].replace(b"o:apk-tools\n", b"o:apk-tools\nL:GPL2\nD:musl\nC:Q1aWFya+P3GXn/\n")
"""The packages of Alpine, of which one needs the other."""
LANGUAGES = {
    **{
        f"{top}/site-packages/PyYAML-5.3.dist-info/METADATA": b"Metadata-Version: 2.1\nName: PyYAML\nVersion: 5.3\n"
        for top in ("usr/lib/python3", "opt/venv")
    },
    "app/node_modules/@x/y/package.json": b'{"name": "@x/y", "version": "4.1", "license": "(MIT OR Apache-2.0)"}',
    "app/vendor/composer/installed.json": b"""{"packages": [
        {"name": "a/http", "version": "7.1.0", "license": ["MIT"], "require": {"b/log": "^1"}},
        {"name": "b/log", "version": "1.1.0"}
    ]}""",
}
"""Packages of languages: one that is there twice, one with a group, and two of one file that need each other."""
CHART = {
    "app/Chart.yaml": b"apiVersion: v2\nname: app\nversion: 1.0.0\n",
    "app/values.yaml": b"image: nginx\nprivileged: true\n",
    "app/templates/pod.yaml": b"""\
{{- if .Values.privileged }}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}
spec:
  #trivy:ignore:KSV-9001
  securityContext: #trivy:ignore:KSV-9001
    runAsUser: 0 #trivy:ignore:AVD-KSV-9001
  containers:
  - name: app
    image: {{ .Values.image }}
{{- end }}
""",
}


@pytest.fixture(scope="module")
def station(any_trivy: Trivy, tmp_path_factory: pytest.TempPathFactory) -> TrivyStation:
    return TrivyStation.of(tmp_path_factory.mktemp(ODD), any_trivy)


@pytest.fixture(scope="module")
def newer(trivy: Trivy, tmp_path_factory: pytest.TempPathFactory) -> TrivyStation:
    """Where both versions do the same."""
    return TrivyStation.of(tmp_path_factory.mktemp(ODD), trivy)


def test_vulnerabilities_and_secrets_with_their_layers(station: TrivyStation, tmp_path: Path) -> None:
    image = station.image(ALPINE, SECRET, config={"config": {"Env": ["AWS_ACCESS_KEY_ID=" + KEY.decode()]}})
    scanner = station.scanner()
    before = _temporary()
    with work_folder(tmp_path / "work") as work:
        result = scanner.scan(image, work)
        left = {path.name for path in work.iterdir()}
        sbom, report = (work / SBOM_FILE).read_bytes(), (work / REPORT_FILE).read_bytes()
    base, top = (json.loads(station.layout.read(image.digest))["layers"][at]["digest"] for at in (0, 1))
    assert ids(result) == ["CVE-2020-28928", "CVE-2021-36159"]
    found = the(result, "CVE-2021-36159")
    assert (found.severity, found.source, found.package) == (Severity.CRITICAL, "nvd", "apk-tools")
    assert (found.installed, found.fixed, found.layer) == ("2.10.4-r2", "2.10.7-r0", base)
    assert found.purl.startswith("pkg:apk/alpine/apk-tools@2.10.4-r2")
    secrets = [(one.path, one.layer) for one in result.findings if one.kind is FindingKind.SECRET]
    assert sorted(secrets) == [("app/settings.ini", top), ("config", None)]
    assert ids(result, FindingKind.COVERAGE) == ["os-end-of-life"]
    assert result.packages == 2
    # No document has the secret, and each is about the image of the store.
    assert KEY not in result.encode() + sbom + report
    assert digest_of(sbom) == result.sbom
    about = json.loads(sbom)["metadata"]["component"]
    assert about["name"] == f"{image.title}@{image.digest}"
    assert {one["name"] for one in json.loads(sbom)["components"]} >= {"apk-tools", "musl"}
    assert b"CVE-2021-36159" in Report.read(image.digest, report, "report").data
    assert str(tmp_path).encode() not in sbom + report
    assert str(station.folder).encode() not in sbom + report
    # Nothing is left behind, but what is kept and what was shown to the scanner.
    assert left - {"caches"} == {"image", SBOM_FILE, REPORT_FILE}
    assert _temporary() == before


def _temporary() -> set[str]:
    """What Trivy leaves in the machine's own folder for temporary files; others work there, too."""
    return {name for name in os.listdir("/tmp") if re.match(r"(trivy|image-layers|analyzer|layers|fanal|test-)", name)}


def test_content_cannot_silence_the_scanner(newer: TrivyStation) -> None:
    silent = {
        ".trivyignore": b"CVE-2021-36159\nCVE-2020-28928\naws-access-key-id\n",
        "trivy.yaml": b"severity: [LOW]\nscan:\n  scanners: [vuln]\n",
        "trivy-secret.yaml": b"disable-rules: [aws-access-key-id]\n# aws_access_key_id = " + KEY + b"\n",
    }
    history = [{"created_by": "ADD"}, {"created_by": "CMD sh", "empty_layer": True}, {"created_by": "COPY"}]
    image = newer.image({**ALPINE, **silent, **SECRET}, {"x": b"x"}, config={"history": history})
    (found,) = newer.scan(image)
    assert ids(found) == ["CVE-2020-28928", "CVE-2021-36159"]
    paths = {one.path for one in found.findings if one.kind is FindingKind.SECRET}
    assert paths == {"app/settings.ini", "trivy-secret.yaml"}


def test_the_config_cannot_hide_a_layer(newer: TrivyStation) -> None:
    base, base_id = newer.layer(ALPINE)
    top, top_id = newer.layer(SECRET)
    honest = newer.odd_image([base, top], [base_id, top_id])
    lies = [
        newer.odd_image([base, top], [base_id, base_id]),
        newer.odd_image([base, top], [base_id, digest_of(b"other")]),
        newer.odd_image([base, top], [base_id]),
    ]
    clean, *found = newer.scan(honest, *lies)
    assert "config-contradicts-layers" not in ids(clean, FindingKind.COVERAGE)
    for one in found:
        assert ids(one, FindingKind.SECRET) == ["aws-access-key-id"]
        assert "config-contradicts-layers" in ids(one, FindingKind.COVERAGE)


def test_layers_in_other_forms(newer: TrivyStation) -> None:
    """Zstandard, not packed, and gzip in two parts; the manifest says the same of each."""
    zstandard = pytest.importorskip("zstandard", reason="needs airgap[zstd]")
    base, top, last = (tar_layer(files) for files in (ALPINE, SECRET, {"etc/x.ini": SECRET["app/settings.ini"]}))
    forms = zstandard.compress(base), top, gzip.compress(last[:700]) + gzip.compress(last[700:])
    layers = [newer.layout.blob(data, "application/vnd.docker.image.rootfs.diff.tar.gzip") for data in forms]
    (result,) = newer.scan(newer.odd_image(layers, [digest_of(tar) for tar in (base, top, last)]))
    assert ids(result) == ["CVE-2020-28928", "CVE-2021-36159"]
    assert ids(result, FindingKind.SECRET) == ["aws-access-key-id"] * 2
    assert ids(result, FindingKind.COVERAGE) == ["os-end-of-life"]


def test_what_is_not_covered_is_said(newer: TrivyStation) -> None:
    expected = {
        ("os-unknown", "packages-none"): {"etc/os-release": b'ID=other\nVERSION_ID="1"\n', "x": b"1"},
        ("os-end-of-life", "packages-none"): {"etc/alpine-release": b"3.19.0\n"},
        ("os-unlisted",): {**ALPINE, "etc/alpine-release": b"3.99.0\n"},
        ("os-end-of-life", "packages-foreign"): {**ALPINE, "var/lib/dpkg/status.d/base": DPKG},
    }
    found = newer.scan(*(newer.image(files) for files in expected.values()))
    assert [tuple(ids(result, FindingKind.COVERAGE)) for result in found] == list(expected)


def test_java_archives_without_their_database(newer: TrivyStation) -> None:
    jar = BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/maven/org.x/y/pom.properties", "groupId=org.x\nartifactId=y\nversion=1.0\n")
    (result,) = newer.scan(newer.image(ALPINE, {"opt/app.jar": jar.getvalue(), "opt/APP.War": jar.getvalue()}))
    assert ids(result) == ["CVE-2020-28928", "CVE-2021-36159"]
    assert ids(result, FindingKind.COVERAGE) == ["java-without-database", "os-end-of-life"]


def test_a_package_that_is_there_twice_is_one_finding(newer: TrivyStation) -> None:
    metadata = b"Metadata-Version: 2.1\nName: PyYAML\nVersion: 5.3\n"
    places = [f"{top}/site-packages/PyYAML-5.3.dist-info/METADATA" for top in ("usr/lib/python3", "opt/venv")]
    (result,) = newer.scan(newer.image({**ALPINE, **dict.fromkeys(places, metadata)}))
    assert ids(result) == ["CVE-2020-14343", "CVE-2020-28928", "CVE-2021-36159"]
    assert the(result, "CVE-2020-14343").path == min(places)


def test_a_chart_is_rendered_and_its_comments_hide_nothing(station: TrivyStation) -> None:
    pod = CHART["app/templates/pod.yaml"]
    listed = b"kind: List\napiVersion: v1\nitems: []\n"
    more = {"app/templates/pod.txt": pod, "app/templates/more": pod, "app/templates/all.yml": listed}
    (chart,) = station.scan(tree("chart", CHART | more), databases=station.checks())
    assert the(chart, "chart-list").path == "app/templates/all.yml"
    assert ids(chart, FindingKind.COVERAGE) == ["chart-list"]
    found = [one for one in chart.findings if one.kind is FindingKind.MISCONFIGURATION]
    where = [(one.path, one.id, one.severity) for one in found]
    names = ("more", "pod.txt", "pod.yaml")
    assert where == [(f"app/templates/{name}", "KSV-9001", Severity.HIGH) for name in names]


def test_a_chart_that_does_not_render_was_not_checked(newer: TrivyStation) -> None:
    broken = {**CHART, "app/templates/other.yaml": b'{{ fail "no" }}'}
    (result,) = newer.scan(tree("chart", broken), databases=newer.checks())
    assert ids(result, FindingKind.COVERAGE) == ["chart-not-rendered"]


def test_secrets_in_any_folder_of_a_tree(station: TrivyStation) -> None:
    line = b"aws_access_key_id = " + KEY + b"\n"
    paths = ["dev/a.ini", "proc/b.ini", ".git/c.ini", "d" * 300 + ".ini", "trivy-secret.yaml", "ok/e\udcff.ini"]
    # Where Trivy looks for none by default: README.md, what is vendored, what a distribution has in such folders.
    others = ["README.md", "app/vendor/a.ini", "usr/lib/a.ini", "node_modules/a/b.ini", "a.svg", "in .git/c.ini"]
    texts = {**dict.fromkeys([*paths, *others], line), "w.ps1": line.decode().encode("utf-16")}
    (result,) = station.scan(tree("git", {**texts, ".trivyignore": b"aws-access-key-id\n", "dev": b"a file"}))
    found = {one.path for one in result.findings if one.kind is FindingKind.SECRET}
    assert found == {*paths[:5], "ok/e\\udcff.ini", *others, "w.ps1"}
    assert KEY not in result.encode()


def test_limits_of_a_real_run(newer: TrivyStation) -> None:
    image = newer.image(ALPINE)
    (hungry,) = newer.other(memory_limit=320 << 20).scan(image)
    assert hungry.not_run == ""
    with pytest.raises(AirgapError) as raised:
        newer.other(memory_limit=48 << 20).scan(image)
    assert raised.value.code == "scanner-memory"


def test_a_real_run_that_is_killed(newer: TrivyStation, tmp_path: Path) -> None:
    """As the kernel does it when memory is short. The next scan is not concerned."""
    image = newer.image(ALPINE)
    scanner = newer.scanner()
    scanner.identity()
    watcher = threading.Thread(target=_kill_scan, args=(str(tmp_path),))
    watcher.start()
    with work_folder(tmp_path / "work") as work, pytest.raises(AirgapError) as raised:
        scanner.scan(image, work)
    watcher.join()
    assert raised.value.code == "scanner-crashed"
    with work_folder(tmp_path / "work2") as work:
        assert scanner.scan(image, work).packages == 2


def _kill_scan(mark: str) -> None:
    for _ in range(5000):
        for number in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                line = Path("/proc", number, "cmdline").read_bytes()
                if line.startswith(b"/proc/self/fd/") and b"--input" in line and mark.encode() in line:
                    os.kill(int(number), signal.SIGKILL)
                    return
        time.sleep(0.001)


def test_an_sbom_gives_the_vulnerabilities_of_its_image(
    station: TrivyStation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month later, where the image is no longer there. It is what Trivy would have written."""
    scanner = station.scanner()
    image = station.image({**ALPINE, "lib/apk/db/installed": LINKED}, LANGUAGES)
    scanner.identity()
    reports = list[Any]()

    def seen(report: Any, *rest: Any) -> dict[str, Any]:
        reports.append(report)
        return cyclonedx(report, *rest)

    monkeypatch.setattr("airgap.scanning.trivy.documents.cyclonedx", seen)
    with work_folder(tmp_path / "work") as work:
        first = scanner.scan(image, work)
        data = (work / SBOM_FILE).read_bytes()
    with work_folder(tmp_path / "again") as work:
        again = scanner.sbom(image.digest, data, work)
    report = tmp_path / "report.json"
    report.write_text(json.dumps(reports[0]))
    line = (station.config.program, "convert", "--cache-dir", tmp_path, "--format", "cyclonedx", report)
    theirs = json.loads(subprocess.run(line, capture_output=True, check=True).stdout)
    old = theirs["specVersion"] == "1.6"
    assert comparable(json.loads(data), licenses=old) == comparable(theirs, licenses=old)
    assert ids(again) == ids(first)
    assert "CVE-2020-14343" in ids(again)
    assert again.packages == first.packages
    same = [
        [
            (one.id, one.package, one.purl, one.installed, one.fixed, one.severity)
            for one in found.findings
            if one.kind is FindingKind.VULNERABILITY
        ]
        for found in (first, again)
    ]
    assert same[0] == same[1]


def test_what_images_share_does_not_change_their_answers(newer: TrivyStation) -> None:
    """Also where a shared layer is damaged, and where one image calls a layer with a secret part of its base."""
    base, base_id = newer.layer(ALPINE)
    top, top_id = newer.layer(SECRET)
    bad, bad_id = newer.layer({"x": b"damaged"})
    path = newer.layout.path(bad["digest"])
    path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    history = [
        {"created_by": "ADD"},
        {"created_by": "ADD"},
        {"created_by": "CMD x", "empty_layer": True},
        {"created_by": "x"},
    ]
    images = [
        newer.odd_image([base, top, base], [base_id, top_id, base_id], {"history": history}),
        newer.odd_image([base, top], [base_id, top_id]),
        newer.odd_image([base, bad], [base_id, bad_id]),
        newer.odd_image([bad, top], [bad_id, top_id]),
    ]
    first, second, *damaged = newer.scan(*images)
    assert [one.not_run for one in damaged] == ["digest-mismatch"] * 2
    for result in (first, second):
        assert ids(result) == ["CVE-2020-28928", "CVE-2021-36159"]
        assert the(result, "aws-access-key-id").layer == top["digest"]
    (alone,) = newer.scan(images[1])
    assert alone.findings == second.findings
