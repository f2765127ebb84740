"""What another account on the machine can do: neither read the state, nor hold a lock. docs/threat-model.md."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.need import require_root
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.row import KEY, Row
from tests.worlds.site import CUT, GAP

pytestmark = pytest.mark.e2e
NOBODY = 65534
HOLD = """
import fcntl, json, os, sys
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
held = []
for top in sys.argv[2:]:
    for folder, folders, files in os.walk(top):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            try:
                fd = os.open(path, os.O_RDONLY)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(path)
            except OSError:
                pass
print(json.dumps(held), flush=True)
sys.stdin.read()
"""
"""As another account, locks everything that it can open, says what, and holds it until its stdin ends."""


@pytest.fixture
def row() -> Iterator[Row]:
    """A site in a folder that other accounts can reach, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="airgap-accounts-"))
    before = os.umask(0o022)
    folder.chmod(0o755)
    try:
        row = Row(folder)
        row.layout.tag("v1", row.layout.image({"a": b"a"}))
        row.layout.tag("v2", row.layout.image({"b": b"b" * 300_000}))
        row.deliver(1, {"demo.local/app:v1": "v1"})
        row.take("media1")
        yield row
    finally:
        os.umask(before)
        shutil.rmtree(folder)


def test_nobody_else_can_hold_a_lock_of_an_import_a_pull_or_a_bundle(row: Row) -> None:
    require_root("starting a program as another account")
    folder = row.folder
    for path in (folder / "state", *(folder / "state").rglob("*")):  # as an older version left it
        path.chmod(0o755 if path.is_dir() else 0o644)
    row.deliver(2, {"demo.local/app:v2": "v2"})
    said = run_airgap(("import", "media2", *GAP, *KEY), folder, PASSWORD)
    assert (said.code, "its mode is 700 now" in said.err) == (0, True), said
    (folder / "media3").mkdir()
    tops = [str(folder / name) for name in ("state", "store", "inside", "media3")]
    line = (sys.executable, "-c", HOLD, str(NOBODY), *tops)
    with subprocess.Popen(line, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        held = [Path(path).relative_to(folder) for path in json.loads(other.stdout.readline())]
        assert Path("store/index.json") in held  # what is no lock may be read
        assert not [path for path in held if path.parts[0] == "state" or path.name in (".lock", "log.jsonl")]
        # With all that it holds, nothing stops.
        row.layout.tag("v3", row.layout.image({"c": b"c" * 300_000}))
        row.deliver(3, {"demo.local/app:v3": "v3"})
        row.take("media3")
        other.communicate("")


def test_the_state_is_closed_to_other_accounts(row: Row) -> None:
    state = row.folder / "state"
    row.site.run("audit", *GAP, "--receipt", "media1.receipt", "--report", "audit.json", *KEY)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = [path for path in state.rglob("*") if path.is_file()]
    assert {"accepted.json", "log.jsonl", "names.json", ".import.lock"} <= {path.name for path in files}
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_state_folder_that_everybody_may_write_to_is_refused(row: Row) -> None:
    require_root("giving a folder to another account")
    state = row.folder / "state"
    state.chmod(0o777)
    os.chown(state, NOBODY, -1)
    answer = row.site.run("import", "media1", *GAP, *KEY, expect=5)
    assert (answer["code"], str(state / "airgap") in answer["hint"]) == ("folder-open", True)


def test_no_lock_is_left_on_the_medium(row: Row) -> None:
    row.site.run(*(word.replace("r.lock.json", "r1.lock.json") for word in CUT), "media4")
    assert not [path for path in (row.folder / "media4").iterdir() if path.name.startswith(".")]
