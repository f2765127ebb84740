"""Changed files, given to every reader of foreign bytes: a result or one of our errors, in bounds, and never exit 1.

`scripts/fuzz` does the same for longer, and looks for inputs that reach new code if atheris is installed.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from tests.fuzz import engine
from tests.fuzz.engine import Finding, Target, check
from tests.fuzz.mutate import Mutator
from tests.fuzz.seeds import compact
from tests.fuzz.targets import TARGETS
from tests.worlds.commands import ROOT
from tests.worlds.effort import cases

FOUND = ROOT / "tests/golden/fuzz"
"""What was found once, by the name of its reader: `scripts/fuzz` keeps such files in `.fuzz`."""


@pytest.mark.parametrize("name", TARGETS)
def test_changed_files_are_answered(name: str) -> None:
    target, mutator = TARGETS[name], Mutator(random.getrandbits(32))
    seeds = target.seeds()
    assert seeds
    for data in seeds:
        check(target, data)
    for number in range(cases(60, 5000)):
        check(target, mutator.changed(seeds[number % len(seeds)], seeds, target.write))


def test_what_was_found_once_is_answered() -> None:
    found = sorted(FOUND.glob("*/*"))
    assert found
    for path in found:
        check(TARGETS[path.parent.name], path.read_bytes())


def _target(raised: BaseException | None) -> Target:
    def read(_data: bytes) -> None:
        while raised is None:
            pass
        raise raised

    return Target("x", read, lambda: [b"x"], compact)


@pytest.mark.parametrize(
    ("raised", "word"),
    [
        (KeyError("x"), "KeyError"),
        (RecursionError(), "RecursionError"),
        (MemoryError(), "memory"),
        (InputError("x", "y" * 90, "z"), "92 characters"),
        (None, "no answer"),
    ],
)
def test_a_wrong_answer_is_a_finding(raised: BaseException | None, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_SECONDS", 0.1)
    monkeypatch.setattr(engine, "MAX_SAID", 80)
    with pytest.raises(Finding, match=word):
        check(_target(raised), b"x")


def _fuzz(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tests.fuzz.main", "--keep", str(folder), *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_script_runs_each_reader_in_a_process(tmp_path: Path) -> None:
    done = _fuzz(tmp_path, "--engine", "random", "--runs", "20", "chart")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 passed, 0 failed (random)"), done


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="optional: scripts/requirements/fuzz.txt")
def test_the_script_runs_with_atheris(tmp_path: Path) -> None:
    done = _fuzz(tmp_path, "--engine", "atheris", "--runs", "200", "chart")
    assert "chart: Done 200 runs" in done.stdout, done
