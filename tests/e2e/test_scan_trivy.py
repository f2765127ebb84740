"""The whole way with a real Trivy: what it finds stops the image; what may pass comes in where no route leads out."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import images
from tests.parts.system import NetworkNamespace
from tests.parts.trivy import Trivy
from tests.worlds import scanner_databases
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.no_route import Inside
from tests.worlds.site import GAP, HEAD, STATION_TRUST, Site
from tests.worlds.trivy_station import ALPINE, database_of_tests, station_resource

pytestmark = [pytest.mark.e2e, pytest.mark.part("trivy", "iproute2")]

POLICY = """\
kind: Policy
metadata: {name: p}
spec:
  findings:
    databaseMaxAge: 3650d
    coverage: inform
    rules: [RULES]
  rules:
  - match: ["**"]
    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}
"""
APP = "registry.local/team/app:1"
LET = "{findings: [vulnerability], severity: {critical: warn}}"
SCAN = ("scan", "r.lock.json", "--store", "store", "--key", "station.key", "--trust", "trust.yaml", "--policy")
INSIDE = "{stateDir: state, directory: inside}"
LOOK = ("--station", "station.yaml")


@pytest.fixture
def site(tmp_path: Path, trivy: Trivy) -> Site:
    """An Alpine of 2019 and the database of vulnerabilities, pulled by the exporter."""
    made = Site(tmp_path)
    made.run("keys", "generate", "station")
    made.write("trust.yaml", STATION_TRUST)
    made.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {INSIDE}\n")
    layout = images.Layout(tmp_path / "made")
    layout.tag("app", layout.image(ALPINE))
    layout.tag("db", database_of_tests(layout))
    named = {"app": APP, "db": scanner_databases.DB}
    refs = "".join(f"  - {{ref: 'oci:made:{tag}', name: '{name}'}}\n" for tag, name in named.items())
    made.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}")
    made.write("station.yaml", station_resource(trivy))
    made.write("strict.yaml", HEAD + POLICY.replace("RULES", ""))
    made.write("policy.yaml", HEAD + POLICY.replace("RULES", LET))
    made.run("lock", "r.request.yaml")
    made.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    return made


@pytest.fixture
def inside(site: Site) -> Iterator[Inside]:
    netns = NetworkNamespace()
    yield Inside(site, netns)
    netns.remove()


def test_lock_pull_scan_bundle_import(site: Site, inside: Inside) -> None:
    # 1. A critical vulnerability stops the image, and the terminal says which and by what.
    judged = inside.run(*SCAN, "strict.yaml", *LOOK, expect=3)
    scanned = judged["scanned"]
    assert (scanned["known"], scanned["notRun"], scanned["effects"]["block"]) == (0, {}, 1)
    assert scanned["severities"]["critical"] == 1
    (trivy,) = [one for one in scanned["scanners"] if one["name"] == "trivy"]
    assert [base["name"] for base in trivy["databases"]] == ["trivy-db"]
    failed = {one["item"]: one["reason"] for one in judged["locks"][0]["items"] if one["outcome"] != "pass"}
    assert failed == {APP: "finding-blocks"}
    said = run_airgap([*SCAN, "strict.yaml", *LOOK], site.folder, PASSWORD)
    assert said.code == 3
    assert "CVE-2021-36159" in said.out
    assert f"scans: 0 run, {scanned['started']} known" in said.out
    line = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--role", "station")
    assert site.run(*line, "--key", "station.key", "--trust", "trust.yaml", expect=3)["code"] == "verdict-failed"
    # 2. A policy that warns lets it pass; nothing is scanned again.
    judged = inside.run(*SCAN, "policy.yaml", *LOOK)
    assert (judged["scanned"]["started"], judged["scanned"]["effects"].get("block", 0)) == (0, 0)
    assert len(judged["locks"][0]["reports"]) == 1
    # 3. What was found travels, and comes in.
    inside.run(*line, "--key", "station.key", "--trust", "trust.yaml")
    with tarfile.open(site.folder / "media/evidence.tar") as evidence:
        names = evidence.getnames()
    assert sum(name.startswith("scans/") for name in names) == scanned["started"]
    assert sum(name.startswith("sboms/") for name in names) == 1
    inside.run("import", "media", *GAP, "--key", "sovereign.key")
    assert inside.asked() == [0] * 3


def test_a_program_of_another_sha256_scans_nothing(site: Site) -> None:
    spec = (site.folder / "station.yaml").read_text()
    start = spec.index("sha256: ") + 8
    site.write("station.yaml", spec[:start] + 64 * "f" + spec[start + 64 :])
    judged = site.run(*SCAN, "policy.yaml", *LOOK, expect=3)
    assert list(judged["scanned"]["notRun"]) == ["scanner-changed"]
