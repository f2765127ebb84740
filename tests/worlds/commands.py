"""Commands of airgap as they are typed: in this process, which costs a third, or in one of their own.

What a process is needed for says so by `run_process`: signals, locks, terminals, closed or broken streams, another
clock, a namespace, memory, start-up. `pytest --thorough` runs every command in a process of its own.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest import mock

from tests.worlds.json_schemas import check_json

ROOT = Path(__file__).parents[2]
GUARD = 300
"""Seconds after which a process is thought to hang."""
ALONE = threading.Lock()
"""The working directory, the environment and the standard streams belong to one command at a time."""
AIRGAP = (sys.executable, "-m", "airgap.cli.main")
HASTY = """
from tests.worlds.commands import short_waits
from airgap.cli.main import entry
with short_waits():
    entry()
"""
"""The same as `AIRGAP` with short waits, as commands in the test's process have them."""
LONGEST_WAIT = 0.05
"""Seconds. A host that is gone is asked as often as ever: only the waits between are shorter, 15 s in all otherwise."""
VARIABLE = "AIRGAP_TEST_PROCESSES"
"""Set: every command has a process of its own."""
PASSWORD = {"AIRGAP_KEY_PASSWORD_FILE": "password"}


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    def refused(self, code: int, name: str, *words: str) -> Said:
        """Checks the exit code, the error's name, and that there is a next step and no traceback."""
        assert "Traceback" not in self.err
        assert (self.code, f"[{name}]" in self.err) == (code, True), self.err
        assert "  next: " in self.err
        for word in words:
            assert word in self.err
        return self


def run_airgap(line: Sequence[str], cwd: Path, environ: Mapping[str, str] | None = None, stdin: str = "") -> Said:
    """Runs a command in this process, with `environ` added to ours; the process is afterwards as it was before."""
    if VARIABLE in os.environ:
        return run_process(line, cwd, environ, stdin=stdin)
    from airgap.cli.main import main

    with ALONE, _process(cwd, environ or {}, stdin) as (out, err):
        try:
            code = main(list(line))
        except SystemExit as ended:  # what argparse says of a line that it cannot read, or of --help
            code = ended.code if isinstance(ended.code, int) else 1
        said = Said(code, _text(out), _text(err))
    if "--json" in line:
        check_json(line, said.out)
    return said


@contextmanager
def short_waits() -> Iterator[None]:
    """What failed is tried again as often as always, and sooner. Waits for what a server is doing stay as they are."""
    from airgap.net.backoff import Backoff

    after = Backoff.after

    def sooner(self: Backoff, retry_after: str | None = None) -> float | None:
        wait = after(self, retry_after)
        return None if wait is None else min(wait, LONGEST_WAIT)

    with mock.patch.object(Backoff, "after", sooner):
        yield


@contextmanager
def _process(cwd: Path, environ: Mapping[str, str], stdin: str) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    """What belongs to a process, as a new one would have it."""
    source = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    before, handler = Path.cwd(), signal.getsignal(signal.SIGTERM)
    with (
        mock.patch.dict(os.environ, environ),
        mock.patch.multiple(sys, stdin=source, stdout=out, stderr=err),
        mock.patch("os._exit", _interrupted),
        short_waits(),
        warnings.catch_warnings(),  # what a command lets pass, it lets pass for itself
    ):
        os.chdir(cwd)
        try:
            yield out, err
        finally:
            os.chdir(before)
            assert signal.getsignal(signal.SIGTERM) is handler


def _interrupted(_code: int) -> NoReturn:
    """Ctrl-C in the middle of a command ends pytest, as it would between two."""
    raise KeyboardInterrupt


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


def run_process(
    line: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    *,
    before: Sequence[str] = (),
    stdout: int = subprocess.PIPE,
    stdin: str = "",
    hasty: bool = False,
) -> Said:
    """Runs a command in a process of its own; `before` is a program that starts it, `hasty` makes its waits short."""
    program = (sys.executable, "-c", HASTY) if hasty else AIRGAP
    done = subprocess.run(
        [*before, *program, *line],
        cwd=cwd,
        env={**os.environ, **({"PYTHONPATH": str(ROOT)} if hasty else {}), **(environ or {})},
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=GUARD,
    )
    return Said(done.returncode, done.stdout or "", done.stderr)
