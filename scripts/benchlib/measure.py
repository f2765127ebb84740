"""`Sample`: what a piece of work used; `Meter`: measures commands, one process at a time, and loops of our own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchlib.warm import warm

TAIL = 2000
"""Characters of a failed command's stderr that are shown: its last lines say why."""

Line = Sequence[str]


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds, CPU seconds and bytes. Of several processes: their sum, and the largest peak.

    `read` and `written` count system calls (Go's sockets too, Python's not), `disk_read` and `disk_written` what
    missed the page cache and what has to go to the disk.
    """

    seconds: float
    cpu: float = 0.0
    peak: int = 0
    read: int = 0
    written: int = 0
    disk_read: int = 0
    disk_written: int = 0

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            max(self.peak, other.peak),
            self.read + other.read,
            self.written + other.written,
            self.disk_read + other.disk_read,
            self.disk_written + other.disk_written,
        )


class Meter:
    """Measures in the folder `folder`; a context manager. Before each sample the disk is quiet.

    With `cold`, the files below the folder leave the page cache first: then `disk_read` is all that was read. `warm`
    bytes of free memory are touched before each sample.
    """

    def __init__(self, folder: Path, *, cold: bool = False, warm: int = 0) -> None:
        self.folder, self._cold, self._warm = folder, cold, warm
        launcher = Path(__file__).with_name("launcher.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", launcher],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()  # the end of its input ends it

    def commands(
        self,
        lines: Sequence[Line],
        *,
        env: Mapping[str, str] | None = None,
        expect: Collection[int] = (0,),
    ) -> Sample:
        """Runs command lines one after the other. Ends the run when one gives a code that is not expected."""
        self._settle()
        total = Sample(0.0)
        for line in lines:
            total += self._command(line, {**os.environ, **(env or {})}, expect)
        return total

    def loop(self, work: Callable[[], None]) -> Sample:
        """Runs `work` in this process: seconds and CPU seconds only."""
        self._settle()
        begin, cpu = time.perf_counter(), time.process_time()
        work()
        return Sample(time.perf_counter() - begin, time.process_time() - cpu)

    def _command(self, line: Line, env: dict[str, str], expect: Collection[int]) -> Sample:
        errors = self.folder / "stderr.txt"
        answer = self._ask({"argv": list(line), "folder": str(self.folder), "environ": env, "errors": str(errors)})
        if answer["code"] not in expect:
            said = errors.read_text(errors="replace")[-TAIL:]
            raise SystemExit(f"bench: {shlex.join(line)}: exit {answer['code']}\n{said}")
        io = answer["io"]
        return Sample(
            answer["seconds"],
            answer["cpu"],
            answer["peak"],
            io["rchar"],
            io["wchar"],
            io["read_bytes"],
            io["write_bytes"],
        )

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the launcher has no pipes")
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise SystemExit("bench: the process that starts commands has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _settle(self) -> None:
        os.sync()
        if self._cold:
            for path in self.folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    _evict(path)
        warm(self._warm)


def _evict(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
