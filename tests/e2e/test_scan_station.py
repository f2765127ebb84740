"""`scan --station` from the command line: what is scanned, what is kept, what a mistake in an argument says."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from copy import copy
from pathlib import Path

import pytest

from tests.parts import images
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.git_sources import Work
from tests.worlds.site import GAP, HEAD, STATION_TRUST, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("git")]

RULES = (
    '  rules:\n  - match: ["**"]\n'
    "    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}\n"
)
FINDINGS = "  findings: {required: {image: [], git: [], file: []}}\n"
SCAN = ("scan", "r.lock.json", "--store", "store", "--key", "station.key", "--trust", "trust.yaml", "--policy")
INSIDE = "{stateDir: state, directory: inside}"
LOOK = ("policy.yaml", "--station", "station.yaml")
APP, CODE = "registry.local/team/app:1", "git.local/acme/shop"


def policy(spec: str) -> str:
    """A Policy resource."""
    return f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n{spec}{RULES}"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An image for two platforms, a repository and a file, pulled by the exporter."""
    tmp_path = tmp_path_factory.mktemp("station")
    made = Site(tmp_path)
    made.run("keys", "generate", "station")
    made.write("trust.yaml", STATION_TRUST)
    made.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {INSIDE}\n")
    made.write("station.yaml", f"{HEAD}kind: Station\nmetadata: {{name: dmz}}\nspec: {{parallel: 2}}\n")
    made.write("policy.yaml", policy(FINDINGS))
    made.write("hello.txt", "Hello.\n")
    layout = images.Layout(tmp_path / "made")
    layout.tag("v1", layout.index(layout.image({"a": b"1"}), layout.image({"b": b"2"}, platform="linux/arm64")))
    Work(tmp_path / "shop").commit()
    sha = hashlib.sha256(b"Hello.\n").hexdigest()
    spec = (
        f"  images: [{{ref: 'oci:made:v1', name: '{APP}'}}]\n"
        f"  git: [{{url: '{tmp_path}/shop', name: {CODE}}}]\n"
        f"  files: [{{file: hello.txt, sha256: {sha}, path: hello.txt}}]\n"
    )
    made.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{spec}")
    made.run("lock", "r.request.yaml")
    made.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    return made


@pytest.fixture
def site(base: Site, tmp_path: Path) -> Site:
    """A copy of it."""
    made = copy(base)
    made.folder = tmp_path / "site"
    shutil.copytree(base.folder, made.folder)
    return made


def text(site: Site, *arguments: str) -> str:
    """What the scan prints."""
    return text_of(site, *SCAN, *arguments)


def text_of(site: Site, *line: str) -> str:
    """What a command prints."""
    return run_airgap(line, site.folder, PASSWORD).out


def test_everything_is_scanned_once_and_the_verdict_names_it(site: Site) -> None:
    judged = site.run(*SCAN, *LOOK)
    assert (judged["scanned"]["known"], judged["scanned"]["notRun"]) == (0, {})
    checks = [check for item in judged["locks"][0]["items"] for check in item["checks"] if check["check"] == "scan"]
    # Two manifests of the image, the repository and the file.
    assert [check["detail"].split()[0] for check in checks].count("coverage") == 4
    started = judged["scanned"]["started"]
    assert judged["locks"][0]["outcome"] == "pass"
    kept = len(list((site.folder / "store/airgap/scans").iterdir()))
    again = site.run(*SCAN, *LOOK)["scanned"]
    assert (again["started"], again["known"], kept) == (0, started, started)
    assert f"scans: 0 run, {started} known" in text(site, *LOOK)
    assert not list((site.folder / "store/airgap/scanning/work").glob("run-*"))


def test_a_policy_decides_whether_anybody_looks(site: Site) -> None:
    refused = site.run(*SCAN, "policy.yaml", expect=2)
    assert (refused["code"], "--station" in refused["hint"]) == ("usage", True)
    assert site.run(*SCAN, "policy.yaml", "--station", "trust.yaml", expect=2)["code"] == "bad-resource"
    assert site.run(*SCAN, "policy.yaml", "--station", "nowhere.yaml", expect=2)["code"] == "resource-file"
    site.write("plain.yaml", policy(""))
    for more in ((), ("--station", "station.yaml")):
        assert site.run(*SCAN, "plain.yaml", *more)["scanned"] is None
        assert "nobody looked into the content" in text(site, "plain.yaml", *more)
    assert not (site.folder / "store/airgap/scans").exists()


def test_what_nobody_looked_for_stops_the_image(site: Site) -> None:
    """By default, somebody must look for vulnerabilities in an image: a Station without such a scanner does not do."""
    site.write("policy.yaml", policy("  findings: {required: {git: [], file: []}}\n"))
    judged = site.run(*SCAN, *LOOK, expect=3)
    failed = [one["item"] for one in judged["locks"][0]["items"] if one["outcome"] != "pass"]
    assert failed == [APP]
    assert "not-scanned" in text(site, *LOOK)
    # A scanner that cannot start is said once, whole, with what to do.
    spec = f"{{trivy: {{program: no-trivy, sha256: '{'0' * 64}'}}, databases: {{vulnerabilities: db}}}}"
    site.write("station.yaml", f"{HEAD}kind: Station\nmetadata: {{name: dmz}}\nspec: {spec}\n")
    said = text(site, *LOOK)
    assert said.count("not-run, ") == 1
    assert "correct `program` in the Station resource\n  next: airgap help scanner-missing\n" in said
    assert "--station station.yaml --explain NAME" in said


def test_it_goes_the_whole_way(site: Site) -> None:
    started = site.run(*SCAN, *LOOK)["scanned"]["started"]
    line = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--role", "station")
    site.run(*line, "--key", "station.key", "--trust", "trust.yaml")
    site.run("verify", "media", "--trust", "trust.yaml")
    with tarfile.open(site.folder / "media/evidence.tar") as evidence:
        carried = [name for name in evidence.getnames() if name.startswith("scans/")]
    assert len(carried) == started
    report = json.loads(text_of(site, "report", "media", "--trust", "trust.yaml", "--format", "json"))
    assert (report["outcome"], report["problems"], len(report["items"])) == ("pass", [], 3)
    assert {one["statement"]: one["verified"] for one in report["signers"]}["verdict"]
    assert all(one["bytes"] and one["subjects"] for one in report["items"])
    assert sum(one["subjects"] for one in report["scanners"]) == started
    assert site.run("report", "media", expect=2)["code"] == "no-trust"
    site.run("import", "media", *GAP, "--key", "sovereign.key")


def test_what_a_verdict_stands_on_must_be_there(site: Site) -> None:
    """A result that was lost or damaged stops the delivery; scanning again asks the scanner again."""
    site.run(*SCAN, *LOOK)
    line = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--role", "station")
    lost, damaged, *_ = sorted((site.folder / "store/airgap/scans").iterdir())
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-4])
    assert site.run(*line, "--key", "station.key", expect=3)["code"] == "scan-missing"
    assert site.run(*SCAN, *LOOK)["scanned"]["started"] == 2
    site.run(*line, "--key", "station.key")
