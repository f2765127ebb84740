"""Programs in the sandbox: how they end is told apart, nothing of them stays, and no route leads out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airgap.tools import sandbox
from airgap.tools.limits import Limits
from airgap.tools.sandbox import MAX_NOTED, Ending, Sandbox, SandboxRun


@pytest.fixture(params=["namespaces", "none"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With namespaces, and as on a machine that allows none."""
    if request.param == "none":
        monkeypatch.setattr(sandbox, "namespaces", tuple)
    elif not sandbox.namespaces():
        pytest.skip("this machine allows no namespaces")
    return str(request.param)


def ended(
    script: str, work: Path, *, timeout: float = 20, memory: int = 0, seconds: int = 0, most: int = 1 << 16
) -> SandboxRun:
    return Sandbox(Limits(memory, seconds), timeout, most).run(("/bin/sh", "-c", script), work, {"OWN": "1"})


def python(code: str) -> str:
    return f"exec {sys.executable} -S -c '{code}'"


def test_the_exit_status_is_the_programs(where: str, tmp_path: Path) -> None:
    run = ended("echo out; echo err >&2; exit 3", tmp_path)
    assert (run.ending, run.status, run.stdout, run.stderr) == (Ending.EXIT, 3, b"out\n", "err")


@pytest.mark.parametrize("number", [9, 11])
def test_a_signal_is_told_from_an_exit(where: str, tmp_path: Path, number: int) -> None:
    run = ended(f"kill -{number} $$", tmp_path)
    assert (run.ending, run.status) == (Ending.SIGNAL, number)


def test_the_clock_ends_it_with_its_children(where: str, tmp_path: Path) -> None:
    run = ended("(sleep 61.25 & echo $! ; exec sleep 61.25)", tmp_path, timeout=0.3)
    assert run.ending is Ending.TIMEOUT
    assert run.stdout
    time.sleep(0.05)
    assert b"61.25" not in _running()


def test_a_child_that_was_left_behind_is_ended(where: str, tmp_path: Path) -> None:
    run = ended("sleep 62.25 & echo done", tmp_path)
    assert (run.ending, run.stdout) == (Ending.EXIT, b"done\n")
    time.sleep(0.05)
    assert b"62.25" not in _running()


def test_a_program_that_closes_its_output_is_still_ended(where: str, tmp_path: Path) -> None:
    assert ended("exec >&- 2>&-; sleep 63", tmp_path, timeout=0.2).ending is Ending.TIMEOUT


def test_memory_is_limited(where: str, tmp_path: Path) -> None:
    assert ended(python("bytearray(1 << 30)"), tmp_path, memory=256 << 20).ending is Ending.MEMORY


def test_processor_time_is_limited(tmp_path: Path) -> None:
    assert ended("while :; do :; done", tmp_path, seconds=1).ending is Ending.TIMEOUT


def test_output_is_limited(where: str, tmp_path: Path) -> None:
    run = ended("exec yes", tmp_path)
    assert run.ending is Ending.OUTPUT
    assert len(run.stdout) < 1 << 18


def test_only_the_end_of_stderr_is_kept_and_it_cannot_act(tmp_path: Path) -> None:
    run = ended("yes | head -c 200000 >&2; printf '\\033[2Jlast\\n' >&2", tmp_path)
    assert len(run.stderr) <= sandbox.MAX_STDERR
    assert run.stderr.endswith("?[2Jlast")


def test_nothing_of_the_user_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy")
    monkeypatch.setenv("TRIVY_INSECURE", "true")
    lines = ended("env; pwd", tmp_path).stdout.decode().split()
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names == {"PATH", "HOME", "TMPDIR", "LC_ALL", "LANGUAGE", "OWN", "PWD"}
    assert {f"HOME={tmp_path}", f"TMPDIR={tmp_path}", str(tmp_path)} <= set(lines)


def test_no_route_leads_out(tmp_path: Path) -> None:
    if not sandbox.namespaces():
        pytest.skip("this machine allows no namespaces")
    run = ended("tail -n +3 /proc/net/dev; tail -n +2 /proc/net/route", tmp_path)
    assert [line.split(b":")[0].strip() for line in run.stdout.splitlines()] == [b"lo"]


def test_it_ends_with_airgap(where: str, tmp_path: Path) -> None:
    """A station that is killed leaves no scanner behind."""
    code = (
        "import sys; from pathlib import Path; from airgap.tools.sandbox import *; from airgap.tools.limits import *; "
        f"from airgap.tools import sandbox; sandbox.namespaces = {'tuple' if where == 'none' else 'namespaces'}; "
        "Sandbox(Limits(0), 60, 99).run(('/bin/sh', '-c', 'echo > started; exec sleep 64.25'), Path(sys.argv[1]), {})"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as airgap:
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        airgap.kill()
    time.sleep(0.1)
    assert b"64.25" not in _running()


def _running() -> bytes:
    found = b""
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += Path("/proc", number, "cmdline").read_bytes()
        except OSError:
            continue
    return found


def test_wanted_lines_are_kept_wherever_they_are(tmp_path: Path) -> None:
    """A program may print more than is kept; what matters may be in the middle, split, or too long."""
    noise = "print('x' * 99, file=sys.stderr);" * 3
    wanted = "print('Analysis error\\x1b ' + 'y' * 5000, file=sys.stderr);"
    last = "print('Walk error', end='', file=sys.stderr)"
    code = f"import sys\nfor n in range(3000):\n {noise}\n if n % 2 == 0:\n  {wanted}\n{last}"
    sandbox = Sandbox(Limits(0), 60, 1000, re.compile(rb"(Analysis|Walk) error"))
    run = sandbox.run((sys.executable, "-c", code), tmp_path, {})
    assert run.ending is Ending.EXIT
    assert len(run.noted) == MAX_NOTED
    assert run.more_noted == 1500 + 1 - MAX_NOTED
    assert {line[:16] for line in run.noted} == {"Analysis error? "}
    assert {len(line) for line in run.noted} <= set(range(100, 2001))
    quiet = Sandbox(Limits(0), 60, 1000).run((sys.executable, "-c", code), tmp_path, {})
    assert (quiet.noted, quiet.more_noted) == ((), 0)
