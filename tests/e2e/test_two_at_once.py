"""Two commands at the same time on one store, or on one Sovereign."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.big_image import LAYER, PULL, request_big_image
from tests.worlds.cli_site import start
from tests.worlds.row import KEY, Row
from tests.worlds.site import CUT, GAP, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("skopeo", "distribution3")]
SLOW = 16 << 20
"""Bytes per second: the first is still at work when the second begins."""


def _ends_well(*processes: subprocess.Popen[bytes]) -> None:
    assert [process.wait() for process in processes] == [0] * len(processes)


def _at_work(process: subprocess.Popen[bytes], seen: Any) -> None:
    while not seen():
        assert process.poll() is None, "it ended before it was seen at work"
        time.sleep(0.01)


def test_two_pulls_of_one_lock_fetch_each_blob_once(tmp_path: Path, start_registry: Any, fault_proxy: Any) -> None:
    site, registry = Site(tmp_path), start_registry()
    proxy = fault_proxy(registry.url)
    request_big_image(site, registry, proxy.host)
    proxy.clear()
    proxy.fault("GET", "/blobs/", bytes_per_second=SLOW)
    first = start(site, *PULL)
    _at_work(first, lambda: proxy.served("/blobs/") > 1 << 20)
    second = start(site, *PULL)
    _ends_well(first, second)
    assert proxy.served("/blobs/") <= 2 * LAYER + (1 << 20)
    site.run(*CUT, "media")
    site.run("verify", "media", "--trust", "trust.yaml")


def test_two_pulls_that_begin_together_make_one_store(tmp_path: Path, start_registry: Any) -> None:
    site, registry = Site(tmp_path), start_registry()
    request_big_image(site, registry, registry.host, 1 << 20)
    _ends_well(*(start(site, *PULL) for _ in range(4)))
    assert len(site.run("ls", "store")["items"]) == 1
    assert not list((tmp_path / "store/blobs/sha256").glob(".*"))
    site.run(*CUT, "media")


def test_a_pull_goes_on_while_a_delivery_is_cut(tmp_path: Path, start_registry: Any, fault_proxy: Any) -> None:
    row, registry = Row(tmp_path), start_registry()
    row.layout.tag("v1", row.layout.image({"a": b"a" * 1_000_000}))
    proxy, gate = fault_proxy(registry.url), threading.Event()
    row.deliver(1, {"demo.local/app:v1": "v1"})
    request_big_image(row.site, registry, proxy.host)
    proxy.clear()
    held = proxy.fault("GET", "/blobs/", skip=1, gate=gate)
    pull = start(row.site, *PULL)
    _at_work(pull, lambda: held.used)
    cut = [word.replace("r.lock.json", "r1.lock.json") for word in CUT]
    row.site.run(*cut, "meanwhile")
    assert pull.poll() is None, "the pull was not at work any more"
    gate.set()
    _ends_well(pull)
    assert len(row.site.run("ls", "store")["items"]) == 2
    row.site.run(*CUT, "after")
    for media in ("meanwhile", "after"):
        row.site.run("verify", media, "--trust", "trust.yaml")


def test_deliveries_that_are_cut_together_have_numbers_of_their_own(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.layout.tag("v1", row.layout.image({"a": b"a"}))
    row.deliver(1, {"demo.local/app:v1": "v1"})
    cut = [word.replace("r.lock.json", "r1.lock.json") for word in CUT]
    folders = [f"together{number}" for number in range(4)]
    _ends_well(*(start(row.site, *cut, folder) for folder in folders))
    found = [row.site.run("verify", folder, "--trust", "trust.yaml") for folder in folders]
    assert sorted(one["sequence"] for one in found) == [2, 3, 4, 5]
    assert len({one["delivery"] for one in found}) == len(folders)


def test_a_second_import_is_told_that_one_is_at_work(tmp_path: Path, start_registry: Any, fault_proxy: Any) -> None:
    row, proxy = Row(tmp_path), fault_proxy(start_registry().url)
    row.inside(f"  registries:\n  - {{url: '{proxy.url}', projects: {{demo.local: in}}}}\n")
    row.layout.tag("v1", row.layout.image({"a": b"a"}))
    media = row.deliver(1, {"demo.local/app:v1": "v1"})
    slow = proxy.fault("PUT", "/manifests/", times=1, delay=12.0)
    first = start(row.site, "import", media, *GAP, *KEY)
    _at_work(first, lambda: slow.used)
    assert row.take(media, expect=5)["code"] == "locked"
    # Who only looks is not kept out.
    row.take(media, "--dry-run")
    assert first.poll() is None, "the first was not at work any more"
    _ends_well(first)
    done = row.take(media)
    assert {change["outcome"] for change in done["changes"]} == {"present"}
    assert row.audit(media) == []


def test_two_imports_into_two_sovereigns_do_not_meet(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.layout.tag("v1", row.layout.image({"a": b"a" * 1_000_000}))
    media = row.deliver(1, {"demo.local/app:v1": "v1"})
    spec = "metadata: {name: bank}\nspec:\n  stateDir: state2\n  directory: inside2\n"
    row.site.write("sovereign2.yaml", f"{HEAD}kind: Sovereign\n{spec}")
    lines = [("--sovereign", f"sovereign{number}.yaml", "--trust", "trust.yaml", *KEY) for number in ("", "2")]
    _ends_well(*(start(row.site, "import", media, *line) for line in lines))
    for folder in ("inside", "inside2"):
        assert len(row.site.run("ls", f"{folder}/oci")["items"]) == 1


def test_two_that_cut_into_one_folder_do_not_spoil_it(tmp_path: Path) -> None:
    row = Row(tmp_path)
    row.layout.tag("v1", row.layout.image(random.Random(1).randbytes(64 << 20)))
    row.deliver(1, {"demo.local/app:v1": "v1"})
    cut = [word.replace("r.lock.json", "r1.lock.json") for word in CUT]
    line = (*cut, "same", "--volume-size", "8MiB")
    first = start(row.site, *line)
    _at_work(first, lambda: list(tmp_path.glob("same/vol-*")))
    second = start(row.site, *line)
    codes = sorted(process.wait() for process in (first, second))
    assert codes[0] == 0
    assert codes[1] in (2, 5)
    row.site.run("verify", "same", "--trust", "trust.yaml")
