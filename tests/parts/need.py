"""Which real parts are here, and what a test does without one.

A test that needs a part that is not there is skipped, saying how to get it. With
AIRGAP_REQUIRE_PARTS=1, as in continuous integration, it fails instead: nothing goes untested in
silence.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from partslib import cache
from partslib.catalogue import BY_NAME


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the current test for want of `what`, or fail it where everything is required."""
    reason = f"needs {what}: {remedy}"  # the plugin reads this back for its summary
    if os.environ.get("AIRGAP_REQUIRE_PARTS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require_part(name: str, program: str | None = None) -> Path:
    """The path of the part's program (its first when not named), or of a part without programs.

    Without the part the test is skipped, or fails under AIRGAP_REQUIRE_PARTS=1.
    """
    part = BY_NAME[name]
    if not cache.present(part):
        missing(name, f"scripts/parts {name}")
    if not part.programs:
        return cache.place(part)
    path = cache.program(part, program or part.programs[0])
    if path is None:
        raise LookupError(f"part {name} has no program {program}")
    return path


def require_root(what: str) -> None:
    """Some things only root may do: the test is skipped for others."""
    if os.geteuid() != 0:
        missing(f"root ({what})", "run the tests as root")


def run(name: str, *args: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a part's program and return its stdout; its stderr is in the error when it fails."""
    argv = [str(require_part(name)), *map(str, args)]
    done = subprocess.run(
        argv,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"`{' '.join(argv)}` ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
