"""clamd that lies, hangs or goes away, and what a scan makes of it. A real one: tests/e2e/test_clamav.py."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import ToolError
from airgap.content.graph import Descriptor
from airgap.content.scan_result import ScanResult
from airgap.content.scan_subject import ScanSubject, SubjectFile, SubjectForm
from airgap.resources.station import ArchiveLimits, ClamdConfig
from airgap.scanning.clamav import ClamavScanner
from airgap.store.memory import Memory
from airgap.tools.clamd import Clamd, ClamdAnswer, Said
from tests.parts.clamd import EICAR, scripted_clamd

NOW = datetime(2026, 11, 30, tzinfo=UTC)
GOOD = b"ClamAV 1.4.6/27999/Sun Nov 29 12:00:00 2026"
LIMITS = b"stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND"


def received(line: socket.socket) -> bytes:
    """One command, with the whole stream if it has one, also in a session."""
    data = line.recv(1 << 20)
    if data.startswith((b"zINSTREAM", b"zIDSESSION")):
        while not data.endswith(bytes(4)):
            data += line.recv(1 << 20)
    return data


@contextmanager
def daemon(folder: Path, answer: Callable[[bytes, int], bytes | None], timeout: float = 5) -> Iterator[ClamavScanner]:
    """A scanner of a daemon that is all right where `answer(command, number)` says nothing."""
    folder.mkdir(exist_ok=True)

    def speak(line: socket.socket, number: int) -> None:
        command = received(line)
        said = answer(command, number)
        if said is None:
            said = b"stream: OK"
            if command.startswith(b"zVERSION"):
                said = GOOD
            elif EICAR in command:
                said = b"stream: Eicar-Signature FOUND"
            elif b"\x1f\x8b" in command:
                said = LIMITS
            said = (b"1: " if command.startswith(b"zIDSESSION") else b"") + said + b"\0"
        line.sendall(said)

    with scripted_clamd(folder / "s", speak) as path:
        config = ClamdConfig(socket=path, time_limit=timedelta(seconds=timeout))
        yield ClamavScanner(config, ArchiveLimits(), NOW)


def tree(*contents: bytes) -> ScanSubject:
    files = [
        SubjectFile(f"f{number}", len(data), lambda data=data: cast("BinaryIO", io.BytesIO(data)))  # type: ignore[misc]
        for number, data in enumerate(contents)
    ]
    root = Digest.of(b"root")
    node = Descriptor("application/x", root, 4)
    return ScanSubject(root, "git", SubjectForm.FILES, "x", Memory(), node, 4, lambda: iter(files))


def scanned(folder: Path, answer: Callable[[bytes, int], bytes | None]) -> ScanResult:
    with daemon(folder, answer) as scanner:
        return scanner.scan(tree(b"one" * (1 << 20), b"two"), folder)


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (b"ClamAV 1.4.6\0", "clamd-old"),
        (b"ClamAV 1.4.6/27000/Sun Nov 22 12:00:00 2026\0", "clamd-old"),
        (b"ClamAV 1.4.6/27000/yesterday, or so\0", "scanner-garbage"),
        (b"SSH-2.0-OpenSSH_9.2\0", "scanner-garbage"),
        (b"x" * 10_000, "scanner-garbage"),
        (b"ClamAV 1.4.6/27", "scanner-crashed"),
        (b"", "scanner-crashed"),
    ],
)
def test_a_daemon_that_is_none_or_too_old_is_not_used(tmp_path: Path, version: bytes, code: str) -> None:
    with daemon(tmp_path, lambda command, _: version if b"VERSION" in command else None) as scanner:
        with pytest.raises(ToolError) as caught:
            scanner.identity()
        assert caught.value.code == code
        assert caught.value.hint


@pytest.mark.parametrize(
    ("which", "said", "code"),
    [
        (EICAR, b"stream: OK\0", "clamd-old"),
        (b"\x1f\x8b", b"stream: OK\0", "clamd-limit"),
        (b"\x1f\x8b", b"stream: Something.Else FOUND\0", "clamd-limit"),
    ],
)
def test_a_daemon_that_does_not_find_what_it_must_is_not_used(
    tmp_path: Path, which: bytes, said: bytes, code: str
) -> None:
    with daemon(tmp_path, lambda command, _: said if which in command else None) as scanner:
        with pytest.raises(ToolError) as caught:
            scanner.identity()
        assert caught.value.code == code


def test_a_daemon_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        config = ClamdConfig(socket=path)
        with pytest.raises(ToolError, match="clamd at") as caught:
            ClamavScanner(config, ArchiveLimits(), NOW).identity()
        assert caught.value.code == "clamd-unreachable"


def test_a_scan_of_a_good_daemon(tmp_path: Path) -> None:
    result = scanned(tmp_path, lambda *_: None)
    assert (result.not_run, result.findings) == ("", ())


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "scanner-crashed"),
        (b"stream: O", "scanner-crashed"),
        (b"stream: Can't allocate memory ERROR\0", "scanner-crashed"),
        (b"stream: yes\0", "scanner-garbage"),
        (b"stream: FOUND\0", "scanner-garbage"),
        (b"stream: " + b"x" * 300 + b" FOUND\0", "scanner-garbage"),
    ],
)
def test_an_answer_that_is_none_is_a_not_run(tmp_path: Path, said: bytes, code: str) -> None:
    with pytest.raises(ToolError) as caught:
        scanned(tmp_path, lambda command, _: said if b"one" in command else None)
    assert caught.value.code == code
    assert caught.value.hint


def test_signatures_that_change_during_the_scan_are_a_not_run(tmp_path: Path) -> None:
    seen = [GOOD, GOOD, GOOD.replace(b"27999", b"28000")]

    def answer(command: bytes, _number: int) -> bytes | None:
        return seen.pop(0) + b"\0" if b"VERSION" in command else None

    with pytest.raises(ToolError, match="loaded other signatures") as caught:
        scanned(tmp_path, answer)
    assert caught.value.code == "scanner-changed"


def test_a_daemon_that_hangs_is_not_asked_for_ever(tmp_path: Path) -> None:
    def hang(line: socket.socket, number: int) -> None:
        command = received(line)
        if b"one" in command:
            line.recv(1)
            return
        line.sendall({b"V": GOOD}.get(command[1:2], b"stream: Eicar FOUND" if EICAR in command else LIMITS) + b"\0")

    with scripted_clamd(tmp_path / "s", hang) as path:
        config = ClamdConfig(socket=path, time_limit=timedelta(seconds=0.1))
        scanner = ClamavScanner(config, ArchiveLimits(), NOW)
        for expected in ("no answer after", "no answer after", "no answer after", "not asked again"):
            with pytest.raises(ToolError, match=expected) as caught:
                scanner.scan(tree(b"one" * (1 << 20)), tmp_path)
            assert caught.value.code == "scanner-timeout"


def test_a_limit_is_a_finding_of_that_file(tmp_path: Path) -> None:
    result = scanned(
        tmp_path, lambda command, _: b"INSTREAM size limit exceeded. ERROR\0" if b"one" in command else None
    )
    assert [(str(one.kind), one.id, one.path) for one in result.findings] == [("coverage", "clamd-limit", "f0")]


@pytest.mark.parametrize(
    "lost", [b"", b"1: stre", b"INSTREAM size limit exceeded. ERROR\0", b"2: INSTREAM size limit exceeded. ERROR\0"]
)
def test_a_session_that_breaks_off_is_asked_again_one_by_one(tmp_path: Path, lost: bytes) -> None:
    def speak(line: socket.socket, number: int) -> None:
        command = received(line)
        if number == 0:
            line.sendall(lost)
        else:
            line.sendall(b"1: " * command.startswith(b"zIDSESSION"))
            line.sendall(b"stream: Worm FOUND\0" if b"worm" in command else b"stream: OK\0")

    found = dict[str, ClamdAnswer]()
    with scripted_clamd(tmp_path / "s", speak) as path:
        session = Clamd(path, 5).session(found.__setitem__)
        for name in ("a", "worm", "c"):
            session.send(name, name.encode())
        session.finish()
    assert found == {"a": ClamdAnswer(Said.OK), "worm": ClamdAnswer(Said.FOUND, "Worm"), "c": ClamdAnswer(Said.OK)}


@pytest.mark.parametrize("said", [b"9: stream: OK\0", b"stream: OK\0", b"1: stream: OK\x001: stream: OK\0", b"\0"])
def test_a_session_that_answers_something_else_is_garbage(tmp_path: Path, said: bytes) -> None:
    def speak(line: socket.socket, number: int) -> None:
        line.recv(1 << 16)
        line.sendall(said)
        while line.recv(1 << 16):
            pass

    answers = dict[str, ClamdAnswer]()
    with scripted_clamd(tmp_path / "s", speak) as path:
        session = Clamd(path, 5).session(answers.__setitem__)
        session.send("a", b"a")
        session.send("b", b"b")
        with pytest.raises(ToolError, match="expected one of ClamAV"):
            session.finish()
        session.close()
