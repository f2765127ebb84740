"""What people see of long work: on a terminal, in a log of a job, and with `--quiet`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.big_image import LAYER, PULL, request_big_image
from tests.worlds.site import CUT, GAP, HEAD, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("skopeo", "distribution3")]
TRUSTED = ("--trust", "trust.yaml")
"""Without it, a note says that nobody checked the key's role."""


def on_terminal(site: Site, *arguments: str, **environ: str) -> tuple[Any, str]:
    """Runs a command whose stderr is a terminal; returns its document, and what was drawn."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "airgap.cli.main", *arguments, "--json"],
        cwd=site.folder,
        env={**os.environ, "AIRGAP_KEY_PASSWORD_FILE": "password", "COLUMNS": "100", **environ},
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    drawn = b""
    with contextlib.suppress(OSError):  # its last user closed it
        while piece := os.read(master, 1 << 16):
            drawn += piece
    os.close(master)
    out, _ = process.communicate()
    assert process.returncode == 0, drawn
    return json.loads(out), drawn.decode()


@pytest.fixture
def site(tmp_path: Path, start_registry: Any, fault_proxy: Any) -> Site:
    """A lock of two blobs behind a line that is slow enough to look at."""
    made, registry = Site(tmp_path), start_registry()
    proxy = fault_proxy(registry.url)
    request_big_image(made, registry, proxy.host)
    proxy.fault("GET", "/blobs/", bytes_per_second=24 << 20)
    return made


def test_a_terminal_shows_a_bar_that_knows_all_bytes_and_leaves_an_empty_line(site: Site) -> None:
    document, drawn = on_terminal(site, *PULL, *TRUSTED)
    assert document["items"][0]["outcome"] == "pass"
    shares = [int(part.split()[-1]) for part in drawn.split(" %")[:-1] if part.split()[-1].isdigit()]
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert f"of {2 * LAYER / (1 << 20):.1f} MiB" in drawn
    assert drawn.endswith("\r")
    assert drawn.rstrip("\r").rpartition("\r")[2].strip() == ""
    assert max(len(line) for line in drawn.split("\r")) < 100


def test_quiet_draws_nothing_and_no_color_draws_no_bar(site: Site) -> None:
    _, drawn = on_terminal(site, *PULL, "--quiet")
    assert drawn == ""
    _, drawn = on_terminal(site, *("second" if word == "store" else word for word in PULL), NO_COLOR="1")
    assert " %" in drawn
    assert "[#" not in drawn


def test_a_short_job_without_a_terminal_says_nothing_on_stderr(site: Site) -> None:
    command = [sys.executable, "-m", "airgap.cli.main", *PULL, *TRUSTED]
    environ = {**os.environ, "AIRGAP_KEY_PASSWORD_FILE": "password"}
    done = subprocess.run(command, cwd=site.folder, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_phase_of_every_long_command_ends_at_all_of_its_bytes(site: Site) -> None:
    """A bar that stops before its end, or goes on behind it, tells a wrong time."""
    site.write("sovereign.yaml", DIRECTORY)
    receipt = ("--receipt", "receipt.json")
    item = _name(site)
    for line in (
        PULL,
        (*CUT, "media"),
        ("verify", "media", "--trust", "trust.yaml"),
        ("import", "media", *GAP, "--key", "sovereign.key", *receipt),
        ("audit", *GAP, *receipt),
        ("extract", "media", item, "--trust", "trust.yaml", "--to", "out.tar"),
        ("extract", "store", item, "--to", "out"),
    ):
        phases = _phases(site, *line)
        assert max(moved for _, _, moved in phases) >= 2 * LAYER, line
        assert [moved for _, _, moved in phases] == [total for _, total, _ in phases], (line, phases)


DIRECTORY = f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec: {{stateDir: state, directory: inside}}\n"
WATCH = """
import json, sys
from airgap.cli import bar, context
from airgap.cli.main import main
phases = []
class Watched(bar.Bar):
    def start(self, what, total_bytes, total_items=0):
        phases.append([what, total_bytes, 0])
        super().start(what, total_bytes, total_items)
    def grow(self, count):
        with self._lock:
            phases[-1][1] += count
        super().grow(count)
    def advance(self, count):
        with self._lock:
            phases[-1][2] += count
        super().advance(count)
context.Bar = Watched
code = main()
print(json.dumps(phases), file=sys.stderr)
sys.exit(code)
"""
"""The command line with a bar that remembers: [phase, bytes that were announced, bytes that were done]."""


def _name(site: Site) -> str:
    [item] = site.run("ls", "r.lock.json")["items"]
    return str(item["name"])


def _phases(site: Site, *line: str) -> list[tuple[str, int, int]]:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *line],
        cwd=site.folder,
        env={**os.environ, "AIRGAP_KEY_PASSWORD_FILE": "password", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(what, total, moved) for what, total, moved in json.loads(done.stderr.splitlines()[-1])]
