"""Databases of scanners the whole way: from their registry to the Sovereign's, where a real Trivy uses them."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airgap.scanning.databases.unpacked import Databases
from airgap.store.layout import Layout as Store
from tests.parts.fixtures import StartRegistry
from tests.parts.images import Layout
from tests.parts.need import run
from tests.parts.system import NetworkNamespace
from tests.parts.trivy import DATABASE, Trivy
from tests.worlds import scanner_databases as world
from tests.worlds.no_route import Inside
from tests.worlds.site import CUT, GAP, HEAD, Site, sovereign_of
from tests.worlds.trivy_station import ALPINE, station_resource

pytestmark = [pytest.mark.e2e, pytest.mark.part("skopeo")]
NAMES = ("trivy-db:2", "trivy-java-db:1", "trivy-checks:2")
PULL = ("pull", "r.lock.json", "--store", "store", "--upstreams", "r.request.yaml")
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {securityContext: {runAsUser: 0}}\n"
WHEN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)


def publish(folder: Path, host: str, **more: Any) -> None:
    """Pushes the three and an image with known vulnerabilities to a real registry, as their makers do."""
    layout = Layout(folder / "made")
    files = {"trivy.db": (DATABASE / "trivy.db").read_bytes(), "metadata.json": world.metadata(WHEN)}
    layout.tag(NAMES[0], world.artifact(layout, world.DB_LAYER, files, created=WHEN, **more))
    layout.tag(NAMES[1], world.artifact(layout, world.JAVA_LAYER, world.java(WHEN), created=WHEN, older=True))
    layout.tag(NAMES[2], world.artifact(layout, world.CHECKS_LAYER, world.CHECK_FILES, created=WHEN))
    layout.tag("alpine:3.10", layout.image(ALPINE))
    for name in (*NAMES, "alpine:3.10"):
        push(layout, name, host)


def push(layout: Layout, name: str, host: str) -> None:
    """Pushes one."""
    run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout.folder}:{name}", f"docker://{host}/up/{name}")


def request(site: Site, host: str) -> None:
    """A request for all of it."""
    refs = "".join(f"  - ref: {host}/up/{name}\n    name: {name}\n" for name in (*NAMES, "alpine:3.10"))
    plain = f"---\n{HEAD}kind: Upstreams\nmetadata: {{name: u}}\nspec: {{hosts: {{'{host}': {{plainHTTP: true}}}}}}\n"
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}{plain}")


def found(trivy: Trivy, netns: NetworkNamespace, folder: Path, *arguments: str) -> set[str]:
    """The vulnerabilities that Trivy finds, where no route leads out."""
    line = [str(trivy.program), "image", "--cache-dir", str(folder), "--format", "json", "--quiet", *arguments]
    environ = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder.parent)}  # /tmp is watched by other tests
    done = subprocess.run([*netns.argv(), *line], capture_output=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr.decode()
    results = json.loads(done.stdout).get("Results") or []
    return {one["VulnerabilityID"] for result in results for one in result.get("Vulnerabilities", [])}


@pytest.mark.part("distribution3", "iproute2", "trivy", "trivy-old")
def test_from_their_registry_to_a_scanner_inside(
    tmp_path: Path, start_registry: StartRegistry, netns: NetworkNamespace
) -> None:
    site = Site(tmp_path)
    inside = Inside(site, netns)
    with netns.entered():
        registry = start_registry(storage="inmemory")
        publish(tmp_path, registry.host)
        request(site, registry.host)
        # lock says what they are, and pull of what date.
        inside.run("lock", "r.request.yaml")
    lock = json.loads((tmp_path / "r.lock.json").read_bytes())
    said = {item["name"]: item.get("database") for item in lock["items"]}
    created = WHEN.isoformat()[:19] + "Z"
    assert said == {name: {"name": name.split(":")[0], "created": created} for name in NAMES} | {"alpine:3.10": None}
    with netns.entered():
        pulled = inside.run(*PULL, "--key", "exporter.key")
    dates = {row["name"]: row.get("database", {}).get("updated") for row in pulled["items"]}
    assert dates == dict.fromkeys(NAMES, created) | {"alpine:3.10": None}
    listed = site.run("ls", "store")["items"]
    assert {row["name"]: row.get("database", {}).get("updated") for row in listed} == dates
    # They cross like everything else.
    site.run(*CUT, "media")
    site.write("sovereign.yaml", sovereign_of(registry.host).replace("{ORIGIN}", registry.host))
    assert {row["name"]: row.get("database", {}).get("created") for row in site.run("ls", "media")["items"]} == dates
    with netns.entered():
        inside.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    # Both versions work from there, and from what extract writes.
    hub = f"{registry.host}/hub/up"
    site.run("extract", "media", *NAMES, "--trust", "trust.yaml", "--to", "cache")
    for part in ("trivy", "trivy-old"):
        trivy = Trivy.of(part)
        online = ("--insecure", "--db-repository", f"{hub}/{NAMES[0]}", "--java-db-repository", f"{hub}/{NAMES[1]}")
        both = {"CVE-2020-28928", "CVE-2021-36159"}
        assert found(trivy, netns, tmp_path / part, *online, f"{hub}/alpine:3.10") == both
        offline = ("--skip-db-update", "--offline-scan", "--insecure")
        assert found(trivy, netns, tmp_path / "cache", *offline, f"{hub}/alpine:3.10") == both


@pytest.mark.part("trivy")
def test_trivy_takes_what_a_station_unpacked(tmp_path: Path, netns: NetworkNamespace) -> None:
    """Through links, because other accounts cannot read it: the checks are those of the artifact, and no others."""
    layout = world.three(tmp_path / "store")
    databases = Databases.open(Store(layout.folder), {"trivy-checks": world.CHECKS}, tmp_path / "databases")
    databases.link_into(tmp_path / "cache")
    (tmp_path / "pod.yaml").write_text(POD)
    line = [str(Trivy.of("trivy").program), "fs", "--cache-dir", str(tmp_path / "cache"), "--skip-check-update"]
    line += ["--scanners", "misconfig", "--format", "json", "--quiet", str(tmp_path / "pod.yaml")]
    environ = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([*netns.argv(), *line], capture_output=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr.decode()
    [result] = json.loads(done.stdout)["Results"]
    assert [one["ID"] for one in result["Misconfigurations"]] == ["KSV-9001"]


@pytest.mark.part("distribution3")
def test_what_lock_says_is_bound(tmp_path: Path, start_registry: StartRegistry) -> None:
    """A lock that calls a database newer than it is does not pass; one that lists another thing as one is no lock."""
    registry = start_registry(storage="inmemory")
    site = Site(tmp_path)
    publish(tmp_path, registry.host)
    request(site, registry.host)
    site.run("lock", "r.request.yaml")
    lock = tmp_path / "r.lock.json"
    text = lock.read_text()
    lock.write_text(text.replace(str(WHEN.isoformat())[:19], str((WHEN + timedelta(hours=1)).isoformat())[:19]))
    assert {row["outcome"] for row in site.run(*PULL, expect=3)["items"] if row["name"] in NAMES} == {"fail"}
    lock.write_text(text.replace('"name":"trivy-db"', '"name":"trivy"'))
    assert site.run(*PULL, expect=2)["code"] == "bad-lock"
    lock.write_text(text)
    assert site.run(*PULL)["items"]
    # `extract` takes databases apart, and only them.
    done = site.run("extract", "store", "trivy-db:2", "--to", "x", "--dry-run")
    assert [file["path"] for file in done["files"]] == ["db/metadata.json", "db/trivy.db"]
    assert not (tmp_path / "x").exists()
    assert site.run("extract", "store", "trivy-db:2", "alpine:3.10", "--to", "both")["as"] == "oci"
    assert site.run("extract", "store", "trivy-db:2", "--to", "a.tar")["as"] == "oci-archive"
    assert site.run("extract", "store", "alpine:3.10", "--as", "files", "--to", "y", expect=2)["code"] == "usage"
    assert site.run("extract", "store", "trivy-db:2", "--to", "both", expect=2)["code"] == "not-empty"


@pytest.mark.part("distribution3")
def test_a_database_that_is_none(tmp_path: Path, start_registry: StartRegistry) -> None:
    """It is carried like any other content, and `pull` says that no station can use it."""
    registry = start_registry(storage="inmemory")
    site = Site(tmp_path)
    publish(tmp_path, registry.host)
    layout = Layout(tmp_path / "made")
    layout.tag(NAMES[0], world.artifact(layout, world.DB_LAYER, b"not a tar.gz"))
    push(layout, NAMES[0], registry.host)
    request(site, registry.host)
    site.run("lock", "r.request.yaml")
    rows = site.run(*PULL)["items"]
    assert {row["name"] for row in rows if "database" in row} == {*NAMES[1:]}
    assert {row["outcome"] for row in rows} == {"pass"}
    assert {row["name"] for row in site.run("ls", "store")["items"] if "database" in row} == {*NAMES[1:]}
    assert site.run("extract", "store", NAMES[0], "--to", "x", expect=4)["code"] == "database-schema"
    assert sorted(path.name for path in tmp_path.glob("*x*")) == ["exporter.key", "exporter.pub"]


POLICY = """\
kind: Policy
metadata: {name: p}
spec:
  rules: [{match: ["**"], digestOnly: {reason: a test, approver: me, expires: 2036-01-01T00:00:00Z}}]
  findings: {required: {image: [vulnerability]}}
"""


@pytest.mark.part("trivy")
def test_a_station_judges_nothing_with_a_bad_database(tmp_path: Path) -> None:
    """Too old, of another format, not there: each says so, and nothing passes. Exit 3."""
    layout, site = Layout(tmp_path / "made"), Site(tmp_path)
    now, content = datetime.now(UTC).replace(microsecond=0), (DATABASE / "trivy.db").read_bytes()
    said = {"good": (0, 2), "old": (-8, 2), "schema": (0, 1)}
    for name, (days, version) in said.items():
        files = {"trivy.db": content, "metadata.json": world.metadata(now + timedelta(days=days), version=version)}
        layout.tag(name, world.artifact(layout, world.DB_LAYER, files))
    clean = b"P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n"
    layout.tag("app", layout.image({"etc/alpine-release": b"3.21.0\n", "lib/apk/db/installed": clean}))
    for lock, names in (("app", ["app"]), ("databases", [*said])):
        refs = "".join(f"  - {{ref: 'oci:made:{name}', name: 'registry.test/{name}:1'}}\n" for name in names)
        site.write(f"{lock}.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: {lock}}}\nspec:\n  images:\n{refs}")
        site.run("lock", f"{lock}.request.yaml")
        site.run("pull", f"{lock}.lock.json", "--store", "store")
    site.write("policy.yaml", HEAD + POLICY)
    found = {}
    for name in (*said, "missing"):
        site.write("station.yaml", station_resource(Trivy.of("trivy"), f"registry.test/{name}:1"))
        scan = ("scan", "app.lock.json", "--store", "store", "--policy", "policy.yaml", "--station", "station.yaml")
        found[name] = json.dumps(site.run(*scan, "--dry-run", expect=3))  # what is local passes by no rule
    codes = {name: f"database-{name}" for name in ("old", "schema", "missing")}
    for name, text in found.items():
        assert [code for code in codes.values() if code in text] == [code for key, code in codes.items() if key == name]
