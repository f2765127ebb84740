"""Runs a program that reads what anybody wrote: without a network, within limits, and to the end of its last child.

Where the machine allows it, the program has a network namespace of its own, in which there is nothing but a loopback
device that is down, and a process namespace, which ends with it. Neither needs root where the kernel allows user
namespaces. Where it allows none (some containers), the program still runs within limits and in a process group of its
own, and `namespaces` gives nothing: whoever starts it says so, and passes flags that keep it offline.
Sources: unshare(1), setpriv(1), pid_namespaces(7).
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import IO, cast

from airgap.base.errors import ToolError
from airgap.tools.limits import Limits

MAX_STDERR = 64 << 10
"""Bytes of stderr that are kept, from its end, where a program reports why it failed."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a program finds others. It is not the user's: a folder of the user's might come first there."""
MAX_NOTED = 1000
"""Lines of stderr that are kept because they were asked for; more are counted."""
MAX_LINE = 2000
"""Bytes of such a line."""
TICK = 0.5
"""Seconds after which it is checked whether the program has ended, although a child of it holds its output open."""
_PIECE = 1 << 16
# The first process of a namespace ignores signals that it does not handle; so the program is its second one. A signal
# that ends it is the shell's exit status, and 128.
_INIT = ("/bin/sh", "-c", '"$@"; exit $?', "sandbox")
_NO_MEMORY = (b"out of memory", b"cannot allocate memory", b"Cannot allocate memory", b"MemoryError")
"""What runtimes say when the kernel gives them no more: Go, libc, Python."""


class Ending(StrEnum):
    """How a run ended."""

    EXIT = "exit"
    """By itself: `status` is its exit status."""
    SIGNAL = "signal"
    """Killed by another, or crashed: `status` is the signal."""
    TIMEOUT = "timeout"
    """By the limit of time, on the clock or of the processor."""
    MEMORY = "memory"
    """It needed more memory than it may use."""
    OUTPUT = "output"
    """It printed more than is kept."""


@dataclass(frozen=True, slots=True)
class SandboxRun:
    """One run that came to its end, whichever."""

    ending: Ending
    status: int
    stdout: bytes
    stderr: str
    """The end of it, without control characters other than line feeds."""
    memory: int
    """Bytes: the most that one of its processes had in memory."""
    noted: tuple[str, ...] = ()
    """The lines of stderr that `Sandbox.noted` asks for, wherever in it they are, without control characters."""
    more_noted: int = 0
    """How many further ones there were."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where and within which limits a program runs. Thread-safe."""

    limits: Limits
    timeout: float
    """Seconds, on the clock."""
    max_output: int
    """Bytes of stdout that are kept; a program that prints more is ended."""
    noted: re.Pattern[bytes] | None = None
    """What lines of stderr are kept besides its end: the program may print millions that do not matter."""

    def run(
        self, command: Sequence[str | Path], work: Path, environment: Mapping[str, str], files: Sequence[int] = ()
    ) -> SandboxRun:
        """Runs `command` to its end. `work` is a private folder, in which it works and keeps what is temporary.

        It gets `environment` and nothing of the user's, and of the open files only `files`. Raises `ToolError`
        (`scanner-missing`) if nothing can be started.
        """
        around, words = namespaces(), [os.fspath(word) for word in command]
        line = (*around, *self.limits.started(*_INIT, *words)) if around else (*_alone(), *self.limits.started(*words))
        env = {"PATH": PATH, "HOME": str(work), "TMPDIR": str(work), "LC_ALL": "C", "LANGUAGE": "C", **environment}
        try:
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=work,
                env=env,
                pass_fds=files,
                start_new_session=True,  # what ends it ends its children as one group
            )
        except OSError as error:
            what = f"{os.fspath(command[0])} cannot be started: {error.strerror}"
            raise ToolError("scanner-missing", what, "install a shell") from error
        with _Watched(process, time.monotonic() + self.timeout, self.max_output, self.noted) as watched:
            return watched.wait(self.limits)


class _Watched:
    """A running program whose output is read, until it ends or is ended. Leaving the block kills what still runs."""

    def __init__(
        self, process: subprocess.Popen[bytes], deadline: float, most: int, noted: re.Pattern[bytes] | None
    ) -> None:
        self._process, self._deadline, self._most = process, deadline, most
        self._out, self._tail = bytearray(), b""
        self._wanted, self._line = noted, b""
        self._noted, self._more_noted = list[str](), 0
        self._why: Ending | None = None

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            cast(IO[bytes], stream).close()

    def wait(self, limits: Limits) -> SandboxRun:
        """Reads to the end of the output, then waits for the end of the program."""
        self._read()
        while not self._ended():
            if time.monotonic() > self._deadline:
                self._end(Ending.TIMEOUT)
                break
            time.sleep(0.005)
        self._kill()  # children that outlived it, before its number is free for others
        _, code, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(code)
        used, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        ending, status = self._ending(limits, used)
        self._note(b"\n")
        said = _plain(self._tail).strip()
        return SandboxRun(ending, status, bytes(self._out), said, memory, tuple(self._noted), self._more_noted)

    def _ending(self, limits: Limits, used: float) -> tuple[Ending, int]:
        code = self._process.returncode
        if self._why is not None:
            return self._why, 0
        killer = -code if code < 0 else code - 128 if code > 128 else 0
        late = bool(limits.seconds) and used >= limits.seconds
        if killer == signal.SIGXCPU or (late and killer == signal.SIGKILL):
            return Ending.TIMEOUT, 0
        if code != 0 and any(said in self._tail for said in _NO_MEMORY):
            return Ending.MEMORY, 0
        return (Ending.SIGNAL, killer) if killer else (Ending.EXIT, code)

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for stream in (self._process.stdout, self._process.stderr):
                selector.register(cast(IO[bytes], stream), selectors.EVENT_READ)
            while selector.get_map() and self._why is None:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    self._end(Ending.TIMEOUT)
                    return
                ready = selector.select(min(left, TICK))
                for key, _ in ready:
                    piece = os.read(key.fd, _PIECE)
                    if not piece:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is self._process.stdout:
                        self._keep(piece)
                    else:
                        self._tail = (self._tail + piece)[-MAX_STDERR:]
                        self._note(piece)
                if not ready and self._ended():
                    return  # what holds its output open is a child that it left behind

    def _note(self, piece: bytes) -> None:
        """Keeps the wanted ones among the lines that end in this piece."""
        if self._wanted is None:
            return
        whole, _, rest = piece.rpartition(b"\n")
        if not whole and piece[:1] != b"\n":
            self._line = (self._line + piece)[:MAX_LINE]
            return
        lines, self._line = self._line + whole, rest[:MAX_LINE]
        if self._wanted.search(lines) is None:
            return
        for line in lines.split(b"\n"):
            if self._wanted.search(line):
                if len(self._noted) < MAX_NOTED:
                    self._noted.append(_plain(line[:MAX_LINE]))
                else:
                    self._more_noted += 1

    def _keep(self, piece: bytes) -> None:
        self._out += piece
        if len(self._out) > self._most:
            self._end(Ending.OUTPUT)

    def _end(self, why: Ending) -> None:
        self._why = why
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _ended(self) -> bool:
        """True once the program has ended. Its number stays taken."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None


def _plain(data: bytes) -> str:
    text = data.decode(errors="replace").replace("\t", " ")
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


@cache
def namespaces() -> tuple[str, ...]:
    """The command that puts a program into namespaces of its own; empty where the machine allows none.

    It is tried once. A program of this process that is killed takes it along (`--pdeathsig`, `--kill-child`).
    """
    unshare, alone = shutil.which("unshare", path=PATH), _alone()
    if unshare is None or not alone:
        return ()
    # Root in a container may lack what network namespaces need, and be allowed to have it in a namespace of users.
    for own in ((), ("--map-root-user",)) if os.geteuid() == 0 else (("--map-root-user",),):
        line = (*alone, unshare, *own, "--net", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL", "--")
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                (*line, "/bin/sh", "-c", "exit 7"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                check=False,
            )
            if done.returncode == 7:
                return line
    return ()


@cache
def _alone() -> tuple[str, ...]:
    """The command that lets a program, but not its children, end with this process; empty without setpriv."""
    setpriv = shutil.which("setpriv", path=PATH)
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")
