"""`rescan`: last month's delivery against today's databases and policy, with real Trivy."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.base.zstd import packed, unpacked
from airgap.content.scan_result import MAX_RESULT, MAX_SBOM, ScanResult
from airgap.statements.trust import unverified
from airgap.statements.verdict import Verdict
from tests.parts.trivy import Trivy
from tests.worlds.attacks import Files, World, make_world
from tests.worlds.site import CHECKED, GAP, HEAD
from tests.worlds.trivy_station import vulnerable_world

pytestmark = pytest.mark.e2e

APP = "docker.io/acme/app:1"
CVE = "CVE-2021-36159"
RULES = (
    '  rules:\n  - match: ["**"]\n'
    "    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}\n"
)
AGE = "databaseMaxAge: 3650d, coverage: inform"
TODAY = ("--policy", "today.yaml", "--station", "station.yaml", "--store", "store")


def write_policy(world: World, name: str, findings: str) -> None:
    """A policy with these findings."""
    head = f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n"
    world.write(name, f"{head}  findings: {{{AGE}{findings}}}\n{RULES}")


@pytest.fixture
def world(trivy: Trivy, tmp_path: Path) -> World:
    """An image with a critical vulnerability and the database that knows it, scanned by a lenient policy, delivered."""
    made = vulnerable_world(tmp_path / "world", trivy, APP)
    write_policy(made, "lenient.yaml", ", rules: [{findings: [vulnerability], effect: warn}]")
    write_policy(made, "today.yaml", "")
    line = ("scan", "r.lock.json", "--store", "store", "--station", "station.yaml", *CHECKED)
    assert made.run(*line, "--policy", "lenient.yaml", "--key", "station.key")["locks"][0]["outcome"] == "pass"
    cut = ("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--role", "station")
    made.run(*cut, "--key", "station.key", *CHECKED)
    made.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "bank.receipt")
    return made


def with_other_packages(world: World, files: Files) -> Files:
    """The evidence with an SBOM in which the vulnerable package is a fixed one, and a stranger's verdict about it."""
    made = {name: data for name, data in files.items() if not name.startswith(("sboms/", "scans/", "statements/"))}
    renamed = {}
    for name, data in files.items():
        if name.startswith("sboms/"):
            sbom = unpacked(data, MAX_SBOM).replace(b"2.10.4-r2", b"2.10.7-r0")
            made[f"sboms/{Digest.of(sbom).hex}.json.zst"] = packed(sbom)
            renamed[Digest(f"sha256:{name[6:70]}")] = Digest.of(sbom)
    for name, data in files.items():
        if name.startswith("scans/"):
            was = ScanResult.decode(unpacked(data, MAX_RESULT), name)
            result = replace(was, findings=(), sbom=renamed[was.sbom] if was.sbom else None)
            made[f"scans/{result.digest.hex}.json.zst"] = packed(result.encode())
            renamed[was.digest] = result.digest
    for name, data in files.items():
        said = unverified(data, name) if name.startswith("statements/") else None
        if said is not None:
            signed = data
            if isinstance(said.body, Verdict):
                scans = tuple(replace(one, result=renamed[one.result]) for one in said.body.scans)
                signed = world.statement(said.subject, replace(said.body, scans=scans), "thief", role="station")
            made[f"statements/{Digest.of(signed).hex}.sigstore.json"] = signed
    return made


def only(answer: Any) -> Any:
    """The one item of the answer."""
    [item] = answer["items"]
    return item


def test_what_blocks_today_is_said_with_who_has_it_with_and_without_the_content(world: World) -> None:
    """By the store's own records, by a lock, and by the delivery alone."""
    receipt = ("--receipt", "bank.receipt", "--trust", "trust.yaml")
    answer = world.run("rescan", *TODAY, *receipt, expect=3)
    item = only(answer)
    assert (item["item"], item["by"], item["new"]) == (APP, "content", [])
    assert [one["id"] for one in item["blocks"]] == [CVE]
    [holder] = item["holders"]
    assert (holder["sovereign"], holder["verified"], holder["sequence"]) == ("bank", True, 1)
    assert any("app" in name for name in holder["names"])
    # The content is gone: the SBOM of the earlier scan says the same.
    for path in (world.folder / "store/blobs/sha256").iterdir():
        if path.stat().st_size and path.name in item["root"]:
            path.unlink()
    without = only(world.run("rescan", "r.lock.json", *TODAY, expect=3))
    assert (without["by"], without["holders"]) == ("sbom", [])
    assert [one["id"] for one in without["blocks"]] == [CVE]
    # Even the records are gone: the delivery has the verdict, the results and the SBOMs.
    shutil.rmtree(world.folder / "store/airgap/scans")
    shutil.rmtree(world.folder / "store/airgap/sboms")
    assert only(world.run("rescan", "media", *TODAY, expect=3))["blocks"] == without["blocks"]
    # An old database gives no answer, and neither does a lost record, whatever the policy says with `notRun`.
    text = (world.folder / "lenient.yaml").read_text()
    world.write("warn.yaml", text.replace("3650d", "1d, notRun: warn"))
    lenient = ("--policy", "warn.yaml", *TODAY[2:])
    old = only(world.run("rescan", "media", *lenient, expect=3))
    assert (old["by"], old["blocks"]) == ("sbom", [])
    assert "[database-old]" in old["notRun"][0]
    lost = only(world.run("rescan", "r.lock.json", *lenient, expect=3))
    assert (lost["by"], lost["blocks"]) == ("nothing", [])
    assert "is missing" in lost["notRun"][0]
    # A delivery whose SBOM says other packages than the image: signed by a stranger, it counts for nothing.
    world.forge("media", "forged", evidence=lambda files: with_other_packages(world, files))
    for trust in ((), CHECKED):
        forged = only(world.run("rescan", "forged", *TODAY, *trust, expect=3))
        assert (forged["by"], "neither its content nor an SBOM" in forged["notRun"][0]) == ("nothing", True)


def test_mistakes_in_its_arguments(tmp_path: Path) -> None:
    """A policy that blocks nothing, a folder that is no delivery, a store in which nothing was judged."""
    world = make_world(tmp_path / "world", None)
    world.lock("r")
    world.write("station.yaml", f"{HEAD}kind: Station\nmetadata: {{name: dmz}}\nspec: {{}}\n")
    world.write("none.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n{RULES}")
    write_policy(world, "today.yaml", "")
    assert world.run("rescan", *TODAY[2:], "--policy", "none.yaml", expect=2)["code"] == "usage"
    assert world.run("rescan", "made", *TODAY, expect=2)["code"] == "unknown-thing"
    assert world.run("rescan", "trust.yaml", *TODAY, expect=2)["code"] == "bad-lock"
    assert world.run("rescan", *TODAY, expect=2)["code"] == "not-delivered"
    line = ("rescan", "r.lock.json", *TODAY, "--receipt", "trust.yaml")
    assert world.run(*line, expect=2)["code"] == "no-receipt"
