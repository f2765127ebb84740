"""A month of a station with real Trivy: a waiver until Friday, an old database and a newer one, an older verdict.

Thursday is today; the database of that day does not know yet what the one of next month does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.base.times import utc_text
from tests.parts import images
from tests.parts.system import NetworkNamespace
from tests.parts.trivy import Trivy
from tests.parts.trivy_db import advisories, trivy_db
from tests.worlds import scanner_databases
from tests.worlds.attacks import World, make_world
from tests.worlds.clock import later
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.site import CHECKED, GAP, HEAD
from tests.worlds.trivy_station import ALPINE, APK, sha256_of

pytestmark = [pytest.mark.e2e, pytest.mark.part("trivy", "iproute2")]

APP, DB = "docker.io/acme/app:1", scanner_databases.DB
HIGH, NEW = "CVE-2021-28831", "CVE-2021-36159"
BUSYBOX = b"P:busybox\nV:1.30.1-r2\nA:x86_64\no:busybox\n\n"
SATURDAY, MONTH = 3, 30
POLICY = """\
kind: Policy
metadata: {name: p}
spec:
  findings: {coverage: inform, rules: [{findings: [vulnerability], severity: {high: block}}]}
  rules:
  - match: ["**"]
    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}
"""
LOOK = ("--store", "store", "--policy", "policy.yaml", "--station", "station.yaml")
SCAN = ("scan", "r.lock.json", *LOOK, "--key", "station.key", *CHECKED)
RESCAN = ("rescan", *LOOK, *CHECKED)
BANK = ("--receipt", "media.receipt")


def database(layout: images.Layout, tag: str, made: datetime, *without: str) -> None:
    """A database of that time that does not know some advisories yet."""
    said = advisories()
    for package in said["alpine 3.10"].values():
        for name in without:
            package.pop(name, None)
    files = scanner_databases.vulnerabilities(made, trivy_db(said))
    layout.tag(tag, scanner_databases.artifact(layout, scanner_databases.DB_LAYER, files, created=made))


def until(days: int) -> str:
    """The end of a day in some days."""
    return utc_text((datetime.now(UTC) + timedelta(days=days)).replace(hour=23, minute=59, second=0, microsecond=0))


def waive(world: World, name: str, days: int, *findings: str) -> str:
    """A waiver of these findings that ends in some days, approved."""
    named = ", ".join(f"{{id: {one}}}" for one in findings)
    spec = f"match: [docker.io/acme/*], findings: [{named}], approver: A, reason: r, expires: {until(days)}"
    world.write(f"{name}.yaml", f"{HEAD}kind: Waiver\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
    world.run("sign", f"{name}.yaml", "--key", "officer.key", "--role", "security-officer")
    return f"{name}.yaml"


def renew(world: World, was: str, now_is: str) -> None:
    """A month later, another database is locked and pulled."""
    text = (world.folder / "db.request.yaml").read_text()
    world.write("db.request.yaml", text.replace(f"made:{was}'", f"made:{now_is}'"))
    later(world, MONTH, "lock", "db.request.yaml", "--update")
    later(world, MONTH, "pull", "db.lock.json", "--store", "store", "--key", "exporter.key")


def cut(world: World, media: str, days: int = 0, expect: int = 0) -> Any:
    line = ("bundle", "r.lock.json", "--store", "store", "--to", media, "--for", "bank", "--role", "station", *CHECKED)
    return later(world, days, *line, "--key", "station.key", expect=expect)


def ids(found: Any) -> list[str]:
    return [one["id"] for one in found]


@pytest.fixture
def world(trivy: Trivy, tmp_path: Path, netns: NetworkNamespace) -> World:
    """An image with a high vulnerability, and two databases of which the station has the first."""
    made = replace(make_world(tmp_path / "world", None), netns=netns)
    made.trust(require="pull, verdict, delivery")
    layout, now = images.Layout(made.folder / "made"), datetime.now(UTC)
    layout.tag("app", layout.image(ALPINE | {"lib/apk/db/installed": APK + BUSYBOX}))
    database(layout, "today", now - timedelta(hours=1), NEW)
    database(layout, "next-month", now + timedelta(days=MONTH, hours=-1))
    made.lock("db", **{DB: "today"})
    made.lock("r", **{APP: "app"})
    program = f"trivy: {{program: '{trivy.program}', sha256: {sha256_of(trivy.program)}}}"
    spec = f"{{{program}, databases: {{vulnerabilities: '{DB}'}}}}"
    made.write("station.yaml", f"{HEAD}kind: Station\nmetadata: {{name: dmz}}\nspec: {spec}\n")
    made.write("policy.yaml", HEAD + POLICY)
    return made


def test_a_month_of_a_station(world: World) -> None:
    # Thursday: a high vulnerability blocks, and the command to explain it is there. A waiver lets it in until Friday.
    said = run_airgap([*SCAN, "--dry-run"], world.folder, PASSWORD)
    assert (said.code, f"{HIGH} is high: busybox 1.30.1-r2" in said.out) == (3, True)
    assert "--explain NAME" in said.out
    friday = waive(world, "friday", 1, HIGH)
    world.run(*SCAN, "--waiver", friday)
    cut(world, "media")
    world.take("media")
    assert world.run(*RESCAN, *BANK)["blocked"] == []
    # Saturday: neither scan nor bundle takes it any longer. What is inside blocks, until somebody waives it again.
    assert later(world, SATURDAY, *SCAN, "--waiver", friday, expect=2)["code"] == "waiver-expired"
    assert cut(world, "never", SATURDAY, expect=3)["code"] == "waiver-expired"
    [item] = later(world, SATURDAY, *RESCAN, *BANK, expect=3)["items"]
    assert (ids(item["blocks"]), item["new"], item["notRun"]) == ([HIGH], [], [])
    assert item["ended"] == [f"{HIGH} was waived until {until(1)}"]
    longer = ("--waiver", waive(world, "longer", 60, HIGH))
    assert later(world, SATURDAY, *RESCAN, *BANK, *longer)["blocked"] == []
    later(world, SATURDAY, *SCAN, *longer)
    # A month later, the database is too old to judge with.
    [judged] = later(world, MONTH, *SCAN, *longer, expect=3)["locks"][0]["items"]
    assert "database-old" in {one.get("reason") for one in judged["checks"]}
    [item] = later(world, MONTH, *RESCAN, *longer, expect=3)["items"]
    assert (item["blocks"], "[database-old]" in item["notRun"][0]) == ([], True)
    # The one of that day knows one more advisory: exactly that is new, and the receipt says who has it.
    renew(world, "today", "next-month")
    [item] = later(world, MONTH, *RESCAN, *BANK, *longer, expect=3)["items"]
    assert (item["item"], ids(item["new"]), ids(item["blocks"]), item["notRun"]) == (APP, [NEW], [NEW], [])
    assert [(one["sovereign"], one["sequence"]) for one in item["holders"]] == [("bank", 1)]
    # It is scanned, waived and delivered again. Then a station that has the older database, and a policy that takes it,
    # signs later that all is well: this verdict does not take the place of the other one.
    later(world, MONTH, *SCAN, *longer, "--waiver", waive(world, "new", 60, NEW))
    cut(world, "next", MONTH)
    line = (*GAP, "--key", "sovereign.key")
    later(world, MONTH, "import", "next", *line)
    renew(world, "next-month", "today")
    world.write("policy.yaml", HEAD + POLICY.replace("{coverage", "{databaseMaxAge: 60d, coverage"))
    later(world, MONTH + 1, *SCAN, *longer)
    cut(world, "older", MONTH + 1)
    before = world.seen()
    refused = later(world, MONTH + 1, "import", "older", *line, expect=4)
    assert (refused["code"], "with trivy-db of" in refused["error"]) == ("verdict-replaced", True)
    assert world.seen() == before
