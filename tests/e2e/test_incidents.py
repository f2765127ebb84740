"""docs/runbooks/incident.md, followed word by word: each section in a world where it has happened."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
import requests

from airgap.base.digest import Digest
from airgap.cli.context import Context
from tests.parts import images
from tests.worlds.countersign import STATION
from tests.worlds.reports import report
from tests.worlds.root_site import OFFICER
from tests.worlds.row import KEY, Row
from tests.worlds.runbook import Section, section, titles
from tests.worlds.site import GAP, HEAD, TRUST

pytestmark = pytest.mark.e2e
PAGE = "incident"
MONTHS = ("2026-09", "2026-10", "2026-11")
POLICY = f"""{HEAD}kind: Policy
metadata: {{name: bank}}
spec:
  rules:
  - match: ["**"]
    digestOnly: {{approver: Amina, reason: for tests, expires: 2036-01-01T00:00:00Z, local: true}}
"""
Follow = Callable[[str], Section]


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Row:
    """A site of before: the keys, and three deliveries in the safe. The first one soon expires."""
    row = Row(tmp_path_factory.mktemp("safe"))
    row.site.run("keys", "generate", "officer")
    row.site.write("sovereign.pw", (row.folder / "password").read_text())
    row.site.write("trust.yaml", TRUST.replace("  require: [pull, delivery]\n", OFFICER.replace(", approval", "")))
    for number, month in enumerate(MONTHS, 1):
        row.layout.tag("app", row.layout.image({"said": Random(number).randbytes(20_000)}))
        names = (f"demo.local/app:{month}", "demo.local/app:latest")
        refs = "".join(f"  - {{ref: 'oci:made:app', name: '{name}'}}\n" for name in names)
        if number == 3:
            row.layout.tag("tool", row.layout.image({"tool": b"tool"}))
            refs += "  - {ref: 'oci:made:tool', name: 'demo.local/tool:1'}\n"
        request = f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}"
        row.site.write(f"r{number}.request.yaml", request)
        row.site.run("lock", f"r{number}.request.yaml")
        row.site.run("pull", f"r{number}.lock.json", "--store", "store", "--key", "exporter.key")
        cut = ("--store", "store", "--to", f"safe/{month}", "--for", "bank", "--key", "exporter.key")
        row.site.run("bundle", f"r{number}.lock.json", *cut, "--expires-in", "1" if number == 1 else "60")
    return row


@pytest.fixture
def row(safe: Row, tmp_path: Path) -> Row:
    """A copy of it, with an embedded Sovereign in which nothing is yet."""
    shutil.copytree(safe.folder, tmp_path, dirs_exist_ok=True)
    made = Row.__new__(Row)
    made.folder, made.site = tmp_path, object.__new__(type(safe.site))
    made.site.folder, made.layout = tmp_path, images.Layout(tmp_path / "made")
    made.inside("  directory: inside\n")
    return made


@pytest.fixture
def follow(row: Row) -> Follow:
    def start(title: str) -> Section:
        places = {"/srv/airgap": "", "/var/lib/airgap": "state", "/safe": "safe"}
        return section(PAGE, title, row.folder, {named: str(row.folder / place) for named, place in places.items()})

    return start


def take(row: Row, *months: str) -> None:
    for month in months or MONTHS:
        row.site.run("import", f"safe/{month}", *GAP, *KEY)


def lose(row: Row, *names: str) -> None:
    for name in names:
        shutil.rmtree(row.folder / name)


def registry_of(row: Row, registry: Any) -> None:
    more = "projects: {demo.local: in}, records: safe/records"
    row.inside(f"  registries:\n  - {{url: '{registry.url}', {more}}}\n")


def tags(registry: Any) -> dict[str, str]:
    """The names in a registry, with what they hold."""
    url = f"{registry.url}/v2/in/app"
    found = {}
    for tag in requests.get(f"{url}/tags/list", timeout=10).json()["tags"]:
        answer = requests.head(f"{url}/manifests/{tag}", headers={"Accept": images.MANIFEST}, timeout=10)
        found[tag] = answer.headers["Docker-Content-Digest"]
    return found


def damage(row: Row, month: str) -> tuple[Path, bytes]:
    """Flips a bit in the layer of a delivery; returns the volume, and what it was."""
    [volume] = (row.folder / "safe" / month).glob("vol-*")
    data = volume.read_bytes()
    layer = max(
        (path.read_bytes() for path in (row.folder / "store/blobs/sha256").iterdir() if path.read_bytes() in data),
        key=len,
    )
    at = data.index(layer)
    volume.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return volume, data


def test_the_state_is_lost(row: Row, follow: Follow) -> None:
    take(row)
    lose(row, "state")
    follow("The state is lost").rest()
    assert [path.name for path in (row.folder / "state").glob("accepted.json")]


@pytest.mark.part("distribution3")
def test_the_registry_is_lost(row: Row, follow: Follow, start_registry: Any, fault_proxy: Any) -> None:
    proxy = fault_proxy(start_registry().url)
    registry_of(row, proxy)
    take(row)
    fresh = start_registry()
    proxy.upstream_host = fresh.host  # the new one has the address of the old one
    page = follow("The registry is lost")
    page.rest()
    assert sorted(tags(fresh)) == [*MONTHS, "latest"]


@pytest.mark.part("distribution3")
def test_registry_and_state_are_lost(row: Row, follow: Follow, start_registry: Any) -> None:
    registry_of(row, start_registry())
    take(row)
    fresh = start_registry()
    registry_of(row, fresh)
    lose(row, "state")
    page = follow("Registry and state are lost")
    now = Context.now

    def later(context: Context) -> datetime:
        return now(context) + timedelta(days=2)

    with mock.patch.object(Context, "now", later):
        page.rest()
    held = tags(fresh)
    assert sorted(held) == [*MONTHS, "latest"]
    assert held["latest"] == held[MONTHS[-1]]


def test_the_disk_is_full(row: Row, follow: Follow, tiny_tmpfs: Any) -> None:
    small = tiny_tmpfs(1 << 20)
    row.inside(f"  directory: {small}/inside\n")
    take(row, *MONTHS[:2])
    filler = small / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as stream:
        for _ in range(1 << 20):
            stream.write(b"x" * 4096)
    page = follow("The disk is full")
    page.go()
    filler.unlink()
    page.rest()


def test_a_wrong_delivery_came_in(row: Row, follow: Follow) -> None:
    take(row)
    page = follow("A wrong delivery came in")
    page.rest()
    found = {item["name"]: item["digest"] for item in row.site.run("ls", "inside/oci")["items"]}
    assert found["demo.local/app:latest"] == found["demo.local/app:2026-10"]


def test_an_import_stopped_half_way(row: Row, follow: Follow) -> None:
    take(row, *MONTHS[:2])
    volume, good = damage(row, MONTHS[2])
    page = follow("An import stopped half-way")
    page.go()
    page.go()
    volume.write_bytes(good)
    page.rest()


def test_a_key_was_stolen(row: Row, follow: Follow) -> None:
    take(row, *MONTHS[:2])
    page = follow("A key was stolen")
    page.go()
    path = row.folder / "trust-new.yaml"
    text = path.read_text()
    head, found, rest = text.partition("    publicKeyFile: exporter.pub\n")
    assert found
    digest = Digest.of((row.folder / "safe" / MONTHS[1] / "AIRGAP.json").read_bytes())
    path.write_text(f"{head}{found}    revoked: {{at: 2026-01-02T00:00:00Z, accept: ['{digest}']}}\n{rest}")
    page.rest()
    # What is listed comes in again, and nothing else.
    row.site.run("import", f"safe/{MONTHS[1]}", *GAP, *KEY)


def test_the_scanner_was_compromised(row: Row, follow: Follow) -> None:
    row.site.run("keys", "generate", "station")
    more = STATION.replace("[pull, verdict, delivery]", "[pull, delivery]")
    trust = (row.folder / "trust.yaml").read_text()
    row.site.write("trust.yaml", trust.replace("  require: [pull, delivery]\n", more))
    row.site.write("policy.yaml", POLICY)
    lock = json.loads((row.folder / "r3.lock.json").read_bytes())
    name = lock["items"][0]["root"]["digest"].replace(":", "-")
    (row.folder / "trivy").mkdir()

    def scanned(version: str) -> None:
        row.site.write(f"trivy/{name}.json", json.dumps(report(version=version)))

    scanned("0.69.4")
    line = ("--store", "store", "--policy", "policy.yaml", "--reports", "trivy", "--trust", "trust.yaml")
    row.site.run("scan", "r3.lock.json", *line, "--key", "station.key")
    cut = ("--store", "store", "--to", "safe/2026-11b", "--for", "bank", "--role", "station", "--key", "station.key")
    row.site.run("bundle", "r3.lock.json", *cut)
    take(row, *MONTHS, "2026-11b")
    page = follow("The scanner was compromised")
    page.go()
    scanned("0.70.1")
    page.rest()


def test_every_section_of_the_page_is_followed() -> None:
    followed = re.findall(r'follow\("(.*?)"\)', Path(__file__).read_text())
    assert sorted(titles(PAGE)) == sorted(followed)
