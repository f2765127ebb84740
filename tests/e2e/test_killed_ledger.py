"""Imports killed between the log, accepted.json and the list: all go on, with the same or the next delivery."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds.row import KEY, Row
from tests.worlds.site import GAP, Site

pytestmark = pytest.mark.e2e
POINTS = ["log accept", "state", "log accepted", "own copy", "list", "one name", "both names", "log receipt", "receipt"]
"""Before what it is killed, in the order in which an import does these things."""
KILLER = """\
import os, signal, sys
from airgap.cli.main import main

count = int(sys.argv.pop(1))

def hook(event, args):
    global count
    path = str(args[1] if event == "os.rename" else args[0]) if event in ("os.rename", "open") else ""
    if event == "os.rename":
        seen = path.endswith((".json", ".receipt")) and ("accepted" in path or "receipt" in path or "index" in path)
    else:
        seen = event == "open" and path.endswith("log.jsonl") and args[2] & os.O_RDWR
    count -= bool(seen)
    if seen and count < 0:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
sys.exit(main())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three deliveries."""
    row = Row(tmp_path_factory.mktemp("made"))
    for number in (1, 2, 3):
        row.layout.tag(f"v{number}", row.layout.image({"a": str(number).encode()}))
        row.deliver(number, {"demo.local/app:latest": f"v{number}", f"demo.local/app:v{number}": f"v{number}"})
    return row.folder


@pytest.fixture
def row(made: Path, tmp_path: Path) -> Row:
    """A copy of it, where the first one is in."""
    shutil.copytree(made, tmp_path / "site", symlinks=True)
    copy = Row.__new__(Row)
    copy.folder = tmp_path / "site"
    copy.site = Site.__new__(Site)
    copy.site.folder = copy.folder
    copy.take("media1")
    return copy


def kill(row: Row, point: int) -> None:
    """Imports the second delivery until just before a point."""
    line = ("import", "media2", *GAP, *KEY)
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(point), *line],
        cwd=row.folder,
        env={**os.environ, "AIRGAP_KEY_PASSWORD_FILE": "password"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def log(row: Row) -> list[str]:
    """What was done."""
    lines = (row.folder / "state/log.jsonl").read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]


def accepted(row: Row) -> list[int]:
    """The numbers that the state remembers, and that those of the list are among them."""
    state = json.loads((row.folder / "state/accepted.json").read_bytes())["deliveries"]
    found = row.site.run("show", "inside/records/accepted-bank.sigstore.json")["deliveries"]
    assert found == state[: len(found)]
    return [one["sequence"] for one in state]


@pytest.mark.parametrize("point", range(len(POINTS)), ids=POINTS)
def test_whatever_was_written_last_the_same_command_goes_on(row: Row, point: int) -> None:
    kill(row, point)
    each = ["accept", "accepted", "receipt"]
    assert log(row) == each + each[: [0, 1, 1, 2, 2, 2, 2, 2, 3][point]]
    assert accepted(row) == ([1] if point < 2 else [1, 2])
    row.take("media2")
    assert accepted(row) == [1, 2]
    assert row.audit("media2") == []
    row.site.run("log", "verify", "--sovereign", "sovereign.yaml", "--trust", "trust.yaml")


@pytest.mark.parametrize("point", [1, 2, 4], ids=[POINTS[point] for point in (1, 2, 4)])
def test_the_next_delivery_takes_over_and_the_one_that_was_killed_is_only_restored(row: Row, point: int) -> None:
    kill(row, point)
    row.take("media3")
    assert accepted(row) == ([1, 3] if point < 2 else [1, 2, 3])
    refused = row.take("media2", expect=4)["code"]
    assert refused == ("older-sequence" if point < 2 else "delivery-replayed")
    if point >= 2:
        row.take("media2", "--restore", expect=3)
    assert row.audit("media3") == []
