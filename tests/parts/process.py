"""Programs started for a test: on free loopback ports, awaited by polling, ended by process id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

LOOPBACK = "127.0.0.1"
# A busy two-core machine starts Gitea in about ten seconds.
READY_SECONDS = 60.0
STOP_SECONDS = 10.0
# A free port may be taken before the program binds it; rare, so a few tries are plenty.
PORT_TRIES = 4

T = TypeVar("T")


class NotReadyError(Exception):
    """The program ended, or did not answer in time; the text carries the end of its log."""


def free_ports(count: int) -> list[int]:
    """That many ports nobody listens on now; all are held while choosing, so they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def retry_on_race(start: Callable[[], T]) -> T:
    """Call `start` again, with new ports, when somebody took its port first."""
    for _ in range(PORT_TRIES - 1):
        try:
            return start()
        except NotReadyError as error:
            if "address already in use" not in str(error).lower():
                raise
    return start()


class Process:
    """One running program and its log file."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
        grace: float = STOP_SECONDS,
        group: bool = False,
    ) -> None:
        """Start it: `env` is added to ours, `user` is a numeric id that root steps down to,
        `grace` is how long it may take to end when told, and with `group` it leads a group of
        its own, and what it left running in there ends with it."""
        self._grace = grace
        self._group = group
        self.argv = [str(value) for value in argv]
        self.log_file = log
        with log.open("ab") as sink:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                user=user,
                group=user,
                start_new_session=group,
                extra_groups=None if user is None else [],
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def log(self, size: int = 4000) -> str:
        """The end of what it printed."""
        return self.log_file.read_text(errors="replace")[-size:]

    def wait_ready(self, answers: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Poll until it answers; stop it and raise NotReadyError when it ends or takes too long."""
        end = time.monotonic() + seconds
        pause = 0.01
        while time.monotonic() < end:
            if self._popen.poll() is not None:
                break
            if answers():
                return
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        self.stop()
        state = f"ended with {self._popen.returncode}"
        raise NotReadyError(f"{self.argv[0]} is not ready ({state}):\n{self.log()}")

    def stop(self) -> None:
        """Terminate, wait, and kill what does not listen; calling it twice does no harm."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(self._grace)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        self._popen.wait()
        if self._group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def __enter__(self) -> Process:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def answers_http(url: str, *expected: int) -> bool:
    """Whether a GET gives one of the expected statuses (200 when none is named)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            status = int(response.status)
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except OSError:
        return False
    return status in (expected or (200,))
