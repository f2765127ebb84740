"""The whole way of the station with a real Trivy, where no route leads out: lock, pull, scan, and scan again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.parts.images import Layout
from tests.parts.system import NetworkNamespace
from tests.parts.trivy import DATABASE, Trivy
from tests.worlds import scanner_databases
from tests.worlds.no_route import Inside
from tests.worlds.site import HEAD, Site
from tests.worlds.trivy_station import ALPINE, SECRET, station_resource

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2")]

DB = "registry.local/trivy-db:2"
RULES = (
    '  rules:\n  - match: ["**"]\n'
    "    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}\n"
)
INFORM = "{rules: [{findings: [vulnerability, secret, coverage], effect: inform}], required: {file: []}}"
SCAN = ("scan", "r.lock.json", "--store", "store", "--policy", "policy.yaml", "--station", "station.yaml", "--dry-run")


def _judge_by(site: Site, spec: str) -> None:
    site.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: policy}}\nspec:\n{spec}")


@pytest.fixture
def inside(tmp_path: Path, netns: NetworkNamespace, trivy: Trivy) -> Inside:
    """An image with vulnerable packages for two platforms, one with a secret on the same layer, and the database."""
    site = Site(tmp_path)
    layout = Layout(tmp_path / "made")
    other = layout.image(ALPINE, {"x": b"1"}, platform="linux/arm64")
    layout.tag("one", layout.index(layout.image(ALPINE), other))
    layout.tag("two", layout.image(ALPINE, SECRET))
    said = scanner_databases.metadata(datetime.now(UTC))
    files = {"trivy.db": (DATABASE / "trivy.db").read_bytes(), "metadata.json": said}
    layout.tag("db", scanner_databases.artifact(layout, scanner_databases.DB_LAYER, files))
    names = {"one": "registry.local/one:1", "two": "registry.local/two:1", "db": DB}
    refs = "".join(f"  - {{ref: 'oci:made:{tag}', name: '{name}'}}\n" for tag, name in names.items())
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}")
    site.write("station.yaml", station_resource(trivy, DB))
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    return Inside(site, netns)


def test_findings_turn_the_verdict_and_nothing_is_asked_twice(inside: Inside) -> None:
    _judge_by(inside.site, f"  findings: {{required: {{file: []}}}}\n{RULES}")
    before = inside.asked()
    first = inside.run(*SCAN, expect=3)
    found = {
        (item["item"], check["finding"]["id"])
        for item in first["locks"][0]["items"]
        for check in item["checks"]
        if check.get("finding")
    }
    assert {("registry.local/one:1", "CVE-2021-36159"), ("registry.local/two:1", "aws-access-key-id")} <= found
    assert first["scanned"]["notRun"] == {}
    # Another policy judges the same answers: no scanner is started.
    _judge_by(inside.site, f"  findings: {INFORM}\n{RULES}")
    again = inside.run(*SCAN)["scanned"]
    assert (again["started"], again["known"]) == (0, first["scanned"]["started"])
    assert inside.asked() == before
    store = inside.site.folder / "store/airgap"
    assert len(list((store / "sboms").iterdir())) == len(list((store / "reports").iterdir())) == 3
    assert not list((store / "scanning/work").glob("run-*"))
