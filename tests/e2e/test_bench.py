"""scripts/bench still measures everything that it says. What it measures is nobody's business here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worlds import effort

ROOT = Path(__file__).resolve().parents[2]
OURS = {
    "airgap pull",
    "airgap bundle",
    "airgap pull and bundle",
    "airgap verify",
    "airgap import",
    "airgap import again, nothing new",
    "airgap import, bad signature",
    "airgap audit",
    "airgap, the whole way",
    "airgap --version",
    "bare loop: read, hash, write, sync",
    "bare loop: GET, hash, write, sync",
    "bare loop: read, hash, push",
    "cp of the store, and sync",
    "python -c pass",
}
STEPS = ("pull", "push", "the whole way")


def bench(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The benchmark's own command line, with this interpreter."""
    line = [sys.executable, "-m", "benchlib.main", *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", **(env or {})}
    return subprocess.run(line, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def labels(rows: list[dict[str, Any]]) -> set[str]:
    """What the rows are about."""
    return {row["what"] for row in rows}


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.part("distribution3", "skopeo", "crane", "oras")
def test_a_small_run_has_a_row_for_every_command_and_peer_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    """Every step is measured, every image arrives unchanged, and the data is gone."""
    work, result = tmp_path / "work", tmp_path / "bench.json"
    work.mkdir()
    done = subprocess.run(
        [
            ROOT / "scripts" / "bench",
            "--small",
            "S3",
            "--repeat",
            "1",
            "--dir",
            work,
            "--json",
            result,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [shape] = json.loads(result.read_text())["shapes"]
    tools = ("skopeo", "skopeo sync", "crane", "crane, one index", "oras")
    assert labels(shape["rows"]) >= OURS | {f"{tool}: {step}" for tool in tools for step in STEPS}
    by_name = {row["what"]: row for row in shape["rows"]}
    # What is known of bytes, whatever the machine: a store is written once, an import keeps nothing.
    assert by_name["airgap pull"]["timesContent"]["written"] >= 1
    assert by_name["airgap import"]["timesContent"]["written"] < 1
    assert all(row["peakBytes"] > 0 for row in shape["rows"] if row["what"].startswith("airgap"))
    assert "| airgap, the whole way |" in done.stdout
    assert not list(work.iterdir())


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.part("distribution3")
@pytest.mark.skipif(effort.VARIABLE not in os.environ, reason="--thorough: takes a quarter of a minute")
def test_peers_that_are_not_here_are_left_out_and_named(tmp_path: Path) -> None:
    """A run without any other tool has all of our rows."""
    programs, result = tmp_path / "bin", tmp_path / "bench.json"
    programs.mkdir()
    for name in ("cp", "sync"):
        (programs / name).symlink_to(shutil.which(name) or "")
    line = ("--small", "S3", "--repeat", "1", "--dir", tmp_path, "--json", result)
    done = bench(*line, env={"PATH": str(programs)})
    assert done.returncode == 0, done.stderr
    [shape] = json.loads(result.read_text())["shapes"]
    assert labels(shape["rows"]) - {"airgap bundle again, nothing new"} == OURS
    for name in ("skopeo", "crane", "oras"):
        assert f"{name} is not here" in done.stderr


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.part("distribution3")
@pytest.mark.skipif(effort.VARIABLE not in os.environ, reason="--thorough: takes a quarter of a minute")
def test_each_way_of_signing_is_pulled_and_verified(tmp_path: Path) -> None:
    """A scan that did not verify everything would end the run."""
    done = bench("--small", "K", "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("certificate, bundle, log v1", "certificate, legacy tag, log v1", "key, bundle"):
        assert f"| {name} |" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.part("trivy")
@pytest.mark.skipif(effort.VARIABLE not in os.environ, reason="--thorough: takes half a minute")
def test_scans_by_the_station_and_by_trivy_itself(tmp_path: Path) -> None:
    """Each row is there: a scan that did not run would end the run."""
    done = bench("--small", "F", "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("airgap scan", "airgap scan again, nothing new", "airgap scan again, one new image"):
        assert f"| {name} |" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("S9",), "no shape 'S9': there are S1"),
        (("--repeat", "0"), "--repeat: at least 1"),
        (("--dir", "."), "is in the clone"),
    ],
)
@pytest.mark.slow
def test_a_run_that_cannot_be_meant_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """Before anything is made."""
    done = bench(*arguments)
    assert done.returncode != 0
    assert said in done.stderr
