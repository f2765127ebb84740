"""`Clamd`: asks ClamAV's daemon about streams of bytes. It opens no file of ours, so it may run as any user.

Content goes by INSTREAM, in pieces; small files go in one session, many at once (measured: 0.2 ms a file, 0.6 ms with a
connection for each; passing a file descriptor takes as long, and needs a copy on disk). Answers end with a zero byte.
A session breaks off as a whole when one file is beyond `StreamMaxLength`, and then the answers of others are lost: each
of those is asked again, on a connection of its own. Source: clamd(8), and clamd/session.c of ClamAV 1.4.
"""

from __future__ import annotations

import io
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar, cast

from airgap.base.errors import DaemonGoneError, DaemonLateError, ToolError
from airgap.base.streams import read_limited
from airgap.base.text import one_line

PIECE = 1 << 18
"""Bytes of one piece of a stream; larger ones are not faster."""
IN_FLIGHT = 64
"""Files of a session that are not answered yet: clamd's queue has 100 places by default."""
BYTES_IN_FLIGHT = 8 << 20
"""Bytes of those files, which are kept until the answer."""
MAX_ANSWER = 4096
"""Bytes of an answer: a signature's name has some 50."""

_RESTART = "look at clamd's log, then run the scan again"
_ANSWER = re.compile(rb"(?:([1-9][0-9]{0,9}): )?(.*)\Z", re.DOTALL)
_VERSION = re.compile(r"(ClamAV [0-9A-Za-z.+~-]{1,60})(?:/([0-9]{1,10})/([A-Za-z0-9: ]{10,40}))?\Z")
_FOUND = re.compile(r"stream: (.{1,200}) FOUND\Z")
_LIMIT = "INSTREAM size limit exceeded."

Key = TypeVar("Key")


class Said(StrEnum):
    """What clamd said about one stream."""

    OK = "ok"
    FOUND = "found"
    """`words` is the name of a signature."""
    LIMIT = "limit"
    """It is larger than clamd takes (`StreamMaxLength`): nobody looked at it."""


@dataclass(frozen=True, slots=True)
class ClamdAnswer:
    """The answer about one stream."""

    said: Said
    words: str = ""


@dataclass(frozen=True, slots=True)
class ClamdVersion:
    """What clamd says it is. `signatures` and `updated` are empty if it has no database `daily`."""

    engine: str
    signatures: str = ""
    updated: datetime | None = None
    text: str = ""
    """The whole answer."""


class _BrokenError(Exception):
    """The connection ended before the answer was whole."""


class Clamd:
    """A daemon behind a Unix socket, or at a host and a port. Thread-safe: each question has its own connection.

    `timeout` is the time in seconds for one question. Methods raise `ToolError`: `clamd-unreachable`,
    `scanner-timeout`, `scanner-crashed` (it ended a connection), `scanner-garbage` (an answer that is none).
    """

    def __init__(self, address: Path | tuple[str, int], timeout: float) -> None:
        self.address, self._timeout = address, timeout

    @property
    def where(self) -> str:
        """The address for people."""
        return f"clamd at {self.address if isinstance(self.address, Path) else '{}:{}'.format(*self.address)}"

    def version(self) -> ClamdVersion:
        """Which ClamAV with which signatures; the date is that of the database `daily`."""
        line = self._connection()
        with line:
            line.send(b"zVERSION\0")
            return read_version(line.answer(), self.where)

    def scan(self, stream: BinaryIO) -> ClamdAnswer:
        """Sends a stream to its end. Raises also what the stream raises."""
        line = self._connection()
        with line:
            try:
                line.send(b"zINSTREAM\0")
                while piece := read_limited(stream, PIECE):
                    line.send(struct.pack(">L", len(piece)), piece)
                line.send(bytes(4))
            except _BrokenError:
                # It says why before it ends the connection, unless it was killed.
                return read_answer(line.last_words(), self.where)
            return read_answer(line.answer(), self.where)

    def session(self, answered: Callable[[Key, ClamdAnswer], None]) -> ClamdSession[Key]:
        """Begins to ask about many small files."""
        return ClamdSession(self, answered)

    def _connection(self) -> _Line:
        return _Line(self, self._timeout)


def read_version(answer: bytes, where: str) -> ClamdVersion:
    """Reads the answer to VERSION. Raises `ToolError` (`scanner-garbage`)."""
    text = _shown(answer)
    found = _VERSION.match(text)
    if found is None:
        raise _garbage(where, text)
    if found[2] is None:
        return ClamdVersion(found[1], text=text)
    try:
        # ctime(3) on the daemon's machine, which is this one.
        local = datetime.strptime(found[3], "%a %b %d %H:%M:%S %Y")  # noqa: DTZ007
        return ClamdVersion(found[1], found[2], local.astimezone(UTC), text)
    except (ValueError, OverflowError) as error:
        raise _garbage(where, text) from error


def read_answer(answer: bytes, where: str) -> ClamdAnswer:
    """Reads the answer about a stream. Raises `ToolError` (`scanner-garbage`, `scanner-crashed`)."""
    text = _shown(answer)
    if text == "stream: OK":
        return ClamdAnswer(Said.OK)
    if found := _FOUND.match(text):
        return ClamdAnswer(Said.FOUND, found[1])
    if text.startswith(_LIMIT):
        return ClamdAnswer(Said.LIMIT)
    if text.endswith(" ERROR") or text == "COMMAND READ TIMED OUT":
        raise ToolError("scanner-crashed", f"{where} could not look at a file: {text[:200]}", _RESTART)
    raise _garbage(where, text)


def _garbage(where: str, text: str) -> ToolError:
    return ToolError(
        "scanner-garbage",
        f"{where}: got the answer {text[:200]!r}, expected one of ClamAV",
        "check in the Station resource that the socket is that of clamd",
    )


def _shown(answer: bytes) -> str:
    return one_line(answer.decode("utf-8", "backslashreplace"))


class ClamdSession(Generic[Key]):
    """Many small files over one connection, answered in any order by `answered(key, answer)`. One thread uses it."""

    def __init__(self, daemon: Clamd, answered: Callable[[Key, ClamdAnswer], None]) -> None:
        self._daemon, self._answered = daemon, answered
        self._line: _Line | None = None
        self._flying: dict[int, tuple[Key, bytes]] = {}
        self._number = self._bytes = 0

    def send(self, key: Key, data: bytes) -> None:
        """Asks about a file; earlier ones may be answered meanwhile. Raises as `Clamd.scan`."""
        while self._flying and (len(self._flying) >= IN_FLIGHT or self._bytes + len(data) > BYTES_IN_FLIGHT):
            self._receive()
        try:
            if self._line is None:
                self._number = 0
                self._line = self._daemon._connection()  # noqa: SLF001  (the same module)
                self._line.send(b"zIDSESSION\0")
            self._number += 1
            self._flying[self._number] = (key, data)
            self._bytes += len(data)
            pieces = (struct.pack(">L", len(data)), data) if data else ()
            self._line.send(b"zINSTREAM\0", *pieces, bytes(4))
        except _BrokenError:
            self._alone()

    def finish(self) -> None:
        """Waits for all answers, and ends the connection."""
        while self._flying:
            self._receive()
        self.close()

    def close(self) -> None:
        """Ends the connection. Answers that did not come are lost."""
        if self._line is not None:
            self._line.close()
        self._line, self._flying, self._bytes = None, {}, 0

    def _receive(self) -> None:
        assert self._line is not None, "files fly only on a connection"  # noqa: S101
        self._line.begin()
        try:
            answer = self._line.answer()
        except DaemonGoneError:
            self._alone()
            return
        found = _ANSWER.match(answer)
        number = int(found[1]) if found and found[1] else 0
        if found is None or number not in self._flying:
            if answer.startswith(_LIMIT.encode()):
                self._alone()
                return
            raise _garbage(self._daemon.where, _shown(answer))
        if found[2].startswith(_LIMIT.encode()):
            self._alone()
            return
        key, data = self._flying.pop(number)
        self._bytes -= len(data)
        self._answered(key, read_answer(found[2], self._daemon.where))

    def _alone(self) -> None:
        """The session broke off: asks about each file that was not answered, on a connection of its own."""
        left = list(self._flying.values())
        self.close()
        for key, data in left:
            self._answered(key, self._daemon.scan(cast("BinaryIO", io.BytesIO(data))))


class _Line:
    """One connection, with a deadline for each question."""

    def __init__(self, daemon: Clamd, timeout: float) -> None:
        self._daemon, self._timeout = daemon, timeout
        self._got = b""
        self.begin()
        self._socket = self._connected()

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connected(self) -> socket.socket:
        address = self._daemon.address
        if not isinstance(address, Path):
            with self._reached():
                return socket.create_connection(address, self._timeout)
        made = socket.socket(socket.AF_UNIX)
        try:
            with self._reached():
                made.settimeout(self._timeout)
                made.connect(str(address))
        except BaseException:
            made.close()
            raise
        return made

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise self._late() from error
        except OSError as error:
            raise ToolError(
                "clamd-unreachable",
                f"{self._daemon.where}: {error.strerror or error}",
                "start clamd (`systemctl start clamav-daemon`), check the socket in the Station resource and who may "
                "use it, then run the scan again",
            ) from error

    def begin(self) -> None:
        """The time of the next question begins now."""
        self._deadline = time.monotonic() + self._timeout

    def close(self) -> None:
        self._socket.close()

    def send(self, *pieces: bytes) -> None:
        """Raises `_BrokenError` if the daemon no longer listens, `ToolError` (`scanner-timeout`)."""
        try:
            for piece in pieces:
                self._socket.settimeout(self._left())
                self._socket.sendall(piece)
        except TimeoutError as error:
            raise self._late() from error
        except OSError as error:
            raise _BrokenError from error

    def answer(self) -> bytes:
        """The next answer. Raises `ToolError`."""
        while b"\0" not in self._got:
            if len(self._got) > MAX_ANSWER:
                raise _garbage(self._daemon.where, _shown(self._got[:100]))
            try:
                self._socket.settimeout(self._left())
                piece = self._socket.recv(1 << 16)
            except TimeoutError as error:
                raise self._late() from error
            except OSError as error:
                raise self._gone() from error
            if not piece:
                raise self._gone()
            self._got += piece
        found, _, self._got = self._got.partition(b"\0")
        return found

    def last_words(self) -> bytes:
        """What it said before it ended the connection. Raises `ToolError` (`scanner-crashed`)."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        return self.answer()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def _late(self) -> ToolError:
        what = f"{self._daemon.where}: no answer after {self._timeout:g} s"
        return DaemonLateError("scanner-timeout", what, "look at clamd's log and load, or raise `clamd.timeLimit`")

    def _gone(self) -> ToolError:
        what = f"{self._daemon.where} ended the connection without an answer"
        return DaemonGoneError("scanner-crashed", what, _RESTART)
