"""`airgap store gc` by real processes: beside pulls, deliveries and servers, and killed at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.store.in_use import needed, needing
from tests.worlds.cli_site import start
from tests.worlds.commands import AIRGAP, PASSWORD, run_airgap
from tests.worlds.effort import cases
from tests.worlds.row import Row
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e
STORE = ("--store", "store")
MOMENTS = range(0, 8, cases(5, 1))
"""How many files were renamed or removed when the command is killed."""
KILLED_AFTER = """
import os, sys
from pathlib import Path
left, unlink, replace = int(sys.argv[1]), Path.unlink, Path.replace
def step(real):
    def made(self, *more, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), 9)
        left -= 1
        return real(self, *more, **named)
    return made
Path.unlink, Path.replace = step(unlink), step(replace)
from airgap.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
"""Runs a command, and kills it with SIGKILL before its Nth file is renamed or removed."""


def request(row: Row, name: str, tags: list[str]) -> str:
    refs = "".join(f"  - {{ref: 'oci:made:{tag}', name: 'demo.local/{tag}:v1'}}\n" for tag in tags)
    row.site.write(f"{name}.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: {name}}}\nspec:\n  images:\n{refs}")
    row.site.run("lock", f"{name}.request.yaml")
    return f"{name}.lock.json"


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """Two months, whose images share their first layer; only the older one was pulled."""
    made, noise = Row(tmp_path), random.Random(3)
    for number in range(6):
        made.layout.tag(f"t{number}", made.layout.image({"base": b"base" * 4000}, {"own": noise.randbytes(20_000)}))
    made.site.run("pull", request(made, "m-2026-01", ["t0", "t1", "t2", "t3"]), *STORE, "--key", "exporter.key")
    request(made, "m-2026-02", ["t2", "t3", "t4", "t5"])
    return made


def cut(row: Row, lock: str, media: str) -> None:
    """Cuts a delivery, which hashes every byte that the lock needs."""
    row.site.run("bundle", lock, *STORE, "--to", media, "--for", "bank", "--key", "exporter.key")
    row.site.run("verify", media, "--trust", "trust.yaml")


def test_a_killed_gc_leaves_the_store_whole(row: Row) -> None:
    row.site.run("pull", "m-2026-02.lock.json", *STORE, "--key", "exporter.key")
    shutil.copytree(row.folder / "store", row.folder / "before")
    line = ["store", "gc", *STORE, "--keep-last", "1"]
    for steps in (*MOMENTS, 100):
        shutil.rmtree(row.folder / "store")
        shutil.copytree(row.folder / "before", row.folder / "store")
        ended = subprocess.run(
            [sys.executable, "-c", KILLED_AFTER, str(steps), *line], cwd=row.folder, capture_output=True, check=False
        ).returncode
        assert ended == (0 if steps == 100 else -signal.SIGKILL)
        # What is kept is whole, what has a name is whole, and the log is good.
        found = row.site.run("store", "check", *STORE)
        assert (found["good"], found["names"]) == (True, [])
        row.site.run("log", "verify", *STORE)
        # The next run deletes the rest, and says of which lock it was.
        done = row.site.run(*line)
        assert len(list((row.folder / "store/blobs/sha256").iterdir())) == 13  # 4 × (manifest, config, layer), the base
        assert steps == 100 or set(done["byLock"]) == {str(digest(row, "m-2026-01"))}
        assert not list((row.folder / "store").glob(".index.json.*"))
    cut(row, "m-2026-02.lock.json", "media")
    # A pull takes what a killed run left.
    row.site.run("pull", "m-2026-01.lock.json", *STORE)
    cut(row, "m-2026-01.lock.json", "again")


def digest(row: Row, name: str) -> Digest:
    return Digest.of((row.folder / f"{name}.lock.json").read_bytes())


def test_gc_and_pulls_at_the_same_time(row: Row) -> None:
    """A pull that finds blobs of the old month must not lose them to a gc that lets the old month go."""
    row.site.run("pull", "m-2026-02.lock.json", *STORE, "--key", "exporter.key")
    for _ in range(cases(1, 20)):
        row.site.run("pull", "m-2026-01.lock.json", *STORE)
        row.site.run("store", "gc", *STORE, "--keep", "m-2026-01")
        together = [
            start(row.site, "pull", "m-2026-02.lock.json", *STORE),
            start(row.site, "store", "gc", *STORE, "--keep", "m-2026-02", "--wait"),
        ]
        codes = [one.wait() for one in together]
        assert codes[0] == 0
        assert codes[1] in (0, 2)  # it came before the pull, which made the lock known
        assert row.site.run("store", "check", *STORE)["good"]
    cut(row, "m-2026-02.lock.json", "media")


def test_gc_does_not_begin_while_a_command_uses_the_store(row: Row) -> None:
    """A slow pull counts on what the old month left: gc refuses, or waits, and then takes only what nothing needs."""
    store = row.folder / "store"
    line = ("pull", "m-2026-02.lock.json", *STORE, "--key", "exporter.key")
    pull = start(row.site, *line, "--limit-rate", "20KiB")
    while not list((store / "airgap/uses").glob(f"{digest(row, 'm-2026-02').hex}*")):
        time.sleep(0.01)
    said = run_airgap(["store", "gc", *STORE, "--drop", "m-2026-01"], row.folder)
    said.refused(5, "locked", f"`airgap pull` (process {pull.pid})")
    assert row.site.run("store", "gc", *STORE, "--dry-run")["freed"]["files"] == 0
    waits = start(row.site, "store", "gc", *STORE, "--drop", "m-2026-01", "--wait")
    assert (pull.wait(), waits.wait()) == (0, 0)
    assert len(list((store / "blobs/sha256").iterdir())) == 13
    cut(row, "m-2026-02.lock.json", "media")


def test_what_a_server_offers_stays_until_it_ends(row: Row) -> None:
    row.site.run("pull", "m-2026-02.lock.json", *STORE, "--key", "exporter.key")
    line = [*AIRGAP, "serve", "store", "--lock", "m-2026-01.lock.json", "--listen", "127.0.0.1:0", "--json"]
    environ = {**os.environ, **PASSWORD}
    server = subprocess.Popen(line, cwd=row.folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        text += server.stdout.readline().decode()
    kept = row.site.run("store", "gc", *STORE, "--keep", "m-2026-02")
    assert kept["freed"]["files"] == 0
    assert row.site.run("store", "du", *STORE)["served"] > 0
    server.kill()
    server.wait()
    server.stdout.close()
    assert row.site.run("store", "gc", *STORE)["byLock"][str(digest(row, "m-2026-01"))]["files"] == 6
    cut(row, "m-2026-02.lock.json", "media")


def test_what_is_needed_is_known_as_long_as_somebody_needs_it(tmp_path: Path) -> None:
    one = Digest.of(b"one")
    with needing(tmp_path, [one]):
        assert needed(tmp_path, forget=True) == set()  # a layout of others: nothing is written there
    (tmp_path / "airgap").mkdir()
    with needing(tmp_path, [one]):
        assert needed(tmp_path, forget=True) == {one}
    assert needed(tmp_path, forget=True) == set()
    stale: Any = tmp_path / "airgap/in-use/00.json"
    stale.write_text(json.dumps([one]))
    assert needed(tmp_path, forget=True) == set()
    assert not stale.exists()
