"""Real Trivy finds a vulnerability, real cosign signs what the vendor says of it, and the verdict stands on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parts.trivy import Trivy
from tests.worlds.attacks import Files, World
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.cosign import cosign
from tests.worlds.site import CHECKED, GAP, HEAD
from tests.worlds.trivy_station import vulnerable_world

pytestmark = [pytest.mark.e2e, pytest.mark.part("cosign")]

APP, CVE = "docker.io/acme/app:1", "CVE-2021-36159"
POLICY = """\
kind: Policy
metadata: {name: p}
spec:
  keys: [{name: vendor, publicKeyFile: cosign.pub}]
  findings: {databaseMaxAge: 3650d, coverage: inform, vex: [{keys: [vendor], match: [docker.io/acme/*]}]}
  rules:
  - match: ["**"]
    digestOnly: {approver: officer, reason: tests, local: true, expires: 2036-01-01T00:00:00Z}
"""
SCAN = ("scan", "r.lock.json", "--store", "store", "--station", "station.yaml", "--policy", "policy.yaml", *CHECKED)
EXPLAIN = (*SCAN, "--explain", APP)


@pytest.fixture
def world(trivy: Trivy, tmp_path: Path) -> World:
    """An image with a critical vulnerability, and the database that knows it, in the store of a station."""
    made = vulnerable_world(tmp_path / "world", trivy, APP)
    made.write("policy.yaml", HEAD + POLICY)
    assert cosign("generate-key-pair", home=made.folder).returncode == 0
    return made


def text(world: World, *arguments: str) -> str:
    """What the command prints."""
    return run_airgap([*arguments], world.folder, PASSWORD).out


def vex(world: World, root: str) -> None:
    """`vendor.json`, as vexctl writes it."""
    said = {
        "vulnerability": {"name": CVE},
        "products": [{"@id": f"pkg:oci/app@{root}", "subcomponents": [{"@id": "pkg:apk/alpine/apk-tools@2.10.4-r2"}]}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    }
    head = {"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex-1", "author": "acme"}
    document = head | {"timestamp": "2026-04-01T00:00:00Z", "version": 1, "statements": [said]}
    world.write("vendor.json", json.dumps(document))
    line = ("sign-blob", "-y", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false")
    signed = cosign(*line, "--bundle", "vendor.json.sigstore.json", "vendor.json", home=world.folder)
    assert signed.returncode == 0, signed.stderr


def cut(world: World, media: str) -> Any:
    """A delivery by the station."""
    line = ("bundle", "r.lock.json", "--store", "store", "--to", media, "--for", "bank", "--role", "station", *CHECKED)
    return world.run(*line, "--key", "station.key")


def test_what_stops_an_image_is_explained_and_what_its_vendor_says_lets_it_in(world: World) -> None:
    """First the explanation with a waiver to complete, then the vendor's document, which goes along."""
    explained = world.run(*EXPLAIN, expect=3)["explained"]
    [finding] = [one for one in explained["findings"] if one["effect"] == "block"]
    assert (finding["id"], finding["package"], finding["let"]) == (CVE, "apk-tools", "")
    said = text(world, *EXPLAIN)
    assert f"image '{APP}': fail, because: " in said
    assert "take newer content of docker.io/acme/app:1 that has apk-tools 2." in said
    assert "| kind: Waiver" in said
    # The waiver that it proposes is enough. Nobody signs it before it has a name and a reason.
    world.write("w.yaml", explained["waiver"])
    world.run("sign", "w.yaml", "--key", "officer.key", "--role", "security-officer", expect=2)
    world.write("w.yaml", explained["waiver"].replace("approver:", "approver: A").replace("reason:", "reason: B"))
    world.run("sign", "w.yaml", "--key", "officer.key", "--role", "security-officer")
    said = text(world, *EXPLAIN, "--waiver", "w.yaml")
    assert (f"image '{APP}': pass" in said, "let pass: waived until" in said) == (True, True)
    # The vendor says that it is not affected.
    vex(world, explained["judgement"]["root"])
    made = world.run(*SCAN, "--key", "station.key", "--vex", "vendor.json")
    assert [one["counts"] for one in made["vex"]] == [True]
    [check] = [one for one in made["locks"][0]["items"][0]["checks"] if "vex" in one]
    assert "not affected: vulnerable_code_not_in_execute_path" in check["detail"]
    cut(world, "media")

    def without(files: Files) -> Files:
        return {name: data for name, data in files.items() if not name.startswith("vex/")}

    world.forge("media", "forged", evidence=without)
    taken = ("import", "forged", *GAP, "--key", "sovereign.key")
    assert world.run(*taken, expect=4)["code"] == "vex-missing"
    world.run("import", "media", *GAP, "--key", "sovereign.key")
    # A stranger's word counts for nothing, and is reported.
    (world.folder / "cosign.pub").write_bytes((world.folder / "officer.pub").read_bytes())
    answer = world.run(*SCAN, "--dry-run", "--vex", "vendor.json", expect=3)
    assert [(one["counts"], one["detail"].partition(":")[0]) for one in answer["vex"]] == [(False, "wrong-key")]
    assert world.run(*EXPLAIN[:-1], "acme/app", expect=2)["code"] == "no-such-item"
