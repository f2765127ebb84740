"""The SBOM that is written out of Trivy's report. tests/e2e/test_trivy.py compares it with Trivy's own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from airgap.base.errors import ToolError
from airgap.scanning.trivy.sbom import cyclonedx
from tests.parts.need import require_part

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DEB = "pkg:deb/debian/{0}?arch=amd64&distro=debian-12&epoch=1"


def package(name: str, version: str = "1", purl: str = "", **more: Any) -> dict[str, Any]:
    return {"Name": name, "Version": version, "Identifier": {"PURL": purl} if purl else {}, **more}


DEBIAN = {
    "Class": "os-pkgs",
    "Type": "debian",
    "Target": "app (debian 12)",
    "Packages": [
        package(
            "bash", "5", DEB.format("bash@5-1"), ID="bash@5", DependsOn=["libc@2", "no"], Maintainer="M", SrcEpoch=1
        ),
        package("libc", "2", DEB.format("libc@2-1"), ID="libc@2", Digest="sha1:" + "0" * 40, SrcName="glibc"),
    ],
}
GO = {
    "Class": "lang-pkgs",
    "Type": "gobinary",
    "Target": "bin/app",
    "Packages": [
        package("app", "", ID="app", Relationship="root", DependsOn=["lib@1"]),
        package("lib", "1", "pkg:golang/x/lib@1", ID="lib@1", Relationship="direct"),
    ],
}
LOOSE = {
    "Class": "lang-pkgs",
    "Type": "node-pkg",
    "Target": "Node.js",
    "Packages": [
        package("@x/y", "1", "pkg:npm/%40x/y@1", FilePath="a/package.json", Licenses=["MIT", ""]),
        package("twice", "1", "pkg:npm/twice@1", FilePath="a"),
        package("twice", "1", "pkg:npm/twice@1", FilePath="b"),
        package("local", "2", Release="3", Epoch=4),
    ],
}


def bom(*results: dict[str, Any]) -> dict[str, Any]:
    metadata = {"ImageID": "sha256:1", "Size": 9, "DiffIDs": ["sha256:2"], "OS": {"Family": "debian", "Name": "12"}}
    report = {"SchemaVersion": 2, "ArtifactName": "app@sha256:3", "Metadata": metadata, "Results": list(results)}
    return cyclonedx(report, "9.9.9", NOW)


def test_components_and_what_they_need() -> None:
    made = bom(DEBIAN, GO, LOOSE)
    by_name = {(one["name"], one.get("version")): one for one in made["components"]}
    refs = {one["bom-ref"]: one["name"] for one in (made["metadata"]["component"], *made["components"])}
    needs = {refs[one["ref"]]: sorted(map(refs.__getitem__, one["dependsOn"])) for one in made["dependencies"]}
    assert needs == {
        "app@sha256:3": ["bin/app", "debian", "local", "twice", "twice", "y"],
        "debian": ["bash"],
        "bash": ["libc"],
        "bin/app": ["app"],
        "app": ["lib"],
        **{name: [] for name in ("libc", "lib", "y", "twice", "local")},
    }
    assert by_name["bash", "1:5-1"]["supplier"] == {"name": "M"}
    assert by_name["libc", "1:2-1"]["hashes"] == [{"alg": "SHA-1", "content": "0" * 40}]
    assert by_name["y", "1"]["group"] == "@x"
    assert by_name["y", "1"]["licenses"] == [{"license": {"name": "MIT"}}]
    assert by_name["local", "4:2-3"]["type"] == "library"
    assert len(refs) == 11, "what is there twice has two references"
    assert made["metadata"]["timestamp"] == "2026-11-30T12:00:00+00:00"


@pytest.mark.part("cyclonedx-schema")
def test_it_is_as_the_schema_says() -> None:
    folder = require_part("cyclonedx-schema")
    others = [json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_bytes()) for name in ("spdx", "jsf-0.82")]
    registry = Registry[Any]().with_resources((one["$id"], Resource.from_contents(one)) for one in others)
    validator = Draft7Validator(json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_bytes()), registry=registry)
    for made in (bom(DEBIAN, GO, LOOSE), bom()):
        assert [one.message for one in validator.iter_errors(made)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"Name": 1},
        {"Licenses": "MIT"},
        {"DependsOn": [1]},
        {"Identifier": []},
        {"Layer": "sha256:1"},
    ],
)
def test_fields_that_are_something_else(wrong: dict[str, Any]) -> None:
    with pytest.raises(ToolError) as raised:
        bom(LOOSE | {"Packages": [package("a") | wrong]})
    assert raised.value.code == "scanner-garbage"
