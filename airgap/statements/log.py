"""The hash-chained log of a station: what was done here, by whom, to which digests.

JSON lines. Each is canonical JSON with `time`, `actor`, `action`, `subjects` and `previous`, the digest of the line
before it (of its bytes, without the line end). The head is the digest of the last line. Every statement carries the
head at its time, so a log that was cut or rewritten later no longer contains what was signed. The chain alone does
not stop someone who rewrites the complete file; the signed heads do.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder, sync_folder
from airgap.base.errors import AirgapError, InputError, IntegrityError, StoreError, TornLogError
from airgap.base.json_fields import Fields
from airgap.base.known_files import identified
from airgap.base.locks import close_to_others
from airgap.base.times import utc_text

EMPTY_HEAD = Digest.of(b"")
"""The head of a log without lines."""
MAX_LINE = 1 << 20
"""Bytes of one line: ten thousand digests. A longer line is damage, and would have to be kept in memory."""
_START = b'{"action":"'
"""How each line begins, because its fields are sorted."""
REPAIR = "log-repaired"
"""The action of the line that replaces a torn one; its subject is the digest of the torn bytes."""

LOST = "statement-lost"
"""The action of a line that says that there is no statement for earlier lines; its subjects are their digests."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log, and its digest."""

    time: datetime
    actor: str
    action: str
    subjects: tuple[Digest, ...]
    previous: Digest
    digest: Digest

    @classmethod
    def read(cls, line: bytes, where: str) -> LogLine:
        """Reads a line without its end. Raises `IntegrityError` (`log-damaged`)."""
        names = {"time", "actor", "action", "subjects", "previous"}
        fields = Fields.parse(line, names, where, _damaged)
        return cls(
            time=fields.time("time"),
            actor=fields.text("actor"),
            action=fields.text("action"),
            subjects=tuple(fields.digests("subjects")),
            previous=fields.digest("previous"),
            digest=Digest.of(line),
        )


@dataclass(frozen=True, slots=True)
class Appended:
    """The result of `append`: the new head, and the digest of a replaced torn line (`None` except after a crash)."""

    head: Digest
    repaired: Digest | None


class StationLog:
    """One log file. Safe for several threads and processes. Every method raises `StoreError` for disk faults."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(
        self,
        *,
        time: datetime,
        actor: str,
        action: str,
        subjects: Sequence[Digest] = (),
        before: Callable[[Digest], None] = lambda _head: None,
    ) -> Appended:
        """Adds a line; it is durable on return. `before` is called with the head to be; if it fails, nothing is added.

        If the last line has no end, the machine stopped while writing it. Its digest was not given to anyone, so it is
        cut off, and a line of its own (`log-repaired`) records that. Raises `IntegrityError` (`log-damaged`) if the
        last complete line cannot be read: a chain is not continued from an unknown line. Raises `InputError`
        (`not-a-log`) for a file of another kind.
        """
        make_folder(self.path.parent)
        with self._open(os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as file:
            torn = self._torn(file)
            head = self._head(file, len(torn))
            with disk_errors(self.path):
                close_to_others(file.fileno(), self.path.parent)
            size = file.seek(0, os.SEEK_END) - len(torn)
            lines, repaired = b"", Digest.of(torn) if torn else None
            if repaired is not None:
                lines, head = _line(time, actor, REPAIR, [repaired], head)
            line, head = _line(time, actor, action, subjects, head)
            before(head)
            file.truncate(size)
            file.seek(size)
            file.write(lines + line)
            file.flush()
            os.fsync(file.fileno())
            if size == 0:
                sync_folder(self.path.parent)
            return Appended(head, repaired)

    def head(self) -> Digest:
        """The digest of the last complete line, `EMPTY_HEAD` if there is none. Raises `IntegrityError`."""
        if not self.path.exists():
            return EMPTY_HEAD
        with self._open(os.O_RDONLY, fcntl.LOCK_SH) as file:
            return self._head(file, len(self._torn(file)))

    def recent_roles(self, key_id: str) -> set[str]:
        """The roles in which a key signed, by the lines of the last `MAX_LINE` bytes. Nothing is checked."""
        if not self.path.exists():
            return set()
        with self._open(os.O_RDONLY, fcntl.LOCK_SH) as file:
            found = re.findall(rb'"actor":"([a-z-]+) ' + re.escape(key_id.encode()) + b'"', _tail(file, 0))
        return {role.decode() for role in found}

    def entries(self) -> Iterator[LogLine]:
        """The lines from the first on, each checked against the one before it. Memory does not grow with the log.

        Raises `IntegrityError`: `log-damaged` for a line that cannot be read, `log-broken` if the chain is not intact,
        `log-torn` if the last line has no end.
        """
        if not self.path.exists():
            return
        previous, number = EMPTY_HEAD, 0
        with self._open(os.O_RDONLY, fcntl.LOCK_SH) as file:
            # Only the lines that exist now: the lock is not held while the caller looks at a line.
            size = file.seek(0, os.SEEK_END)
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)
            file.seek(0)
            while file.tell() < size:
                line = file.readline(MAX_LINE)
                number += 1
                entry = _check(line, previous, f"{self.path}:{number}")
                previous = entry.digest
                yield entry

    def verify(
        self,
        heads: Mapping[Digest, str] | Collection[Digest] = (),
        seen: Callable[[LogLine], None] = lambda _line: None,
    ) -> int:
        """Checks the complete chain, and gives each line to `seen`; returns the number of lines.

        `heads` are the heads in signed statements of this station, optionally mapped to a name for each: each must be
        in the chain. Raises as `entries` does, and `IntegrityError` (`log-cut`) for a head that is not there, even if
        the last line has no end: a crash does not remove a head.
        """
        wanted, count, torn = set(heads) - {EMPTY_HEAD}, 0, None
        try:
            for entry in self.entries():
                wanted.discard(entry.digest)
                seen(entry)
                count += 1
        except TornLogError as error:
            torn = error
        if wanted:
            lost = min(wanted)
            who = heads[lost] if isinstance(heads, Mapping) else "a signed statement"
            raise IntegrityError(
                "log-cut",
                f"{self.path}: {lost}, the log head in {who}, is not in the log ({count} lines)",
                "is the statement from another station? Name its log (--sovereign, --store or --log). If not, lines "
                "were removed or rewritten: keep this file as evidence, and look for a copy of the log",
            )
        if torn is not None:
            raise torn
        return count

    @contextmanager
    def _open(self, flags: int, lock: int) -> Iterator[IO[bytes]]:
        """The file, locked: the log is only ever appended to, so the lock can be on the file itself."""
        with disk_errors(self.path):
            try:
                fd = os.open(self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            except IsADirectoryError:
                raise StoreError("log-not-file", f"{self.path}: not a file", "pass another log file") from None
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise StoreError("log-not-file", f"{self.path}: not a file", "pass another log file")
                fcntl.flock(fd, lock)
                mode = "r+b" if flags & os.O_RDWR else "rb"
                with os.fdopen(fd, mode, closefd=False) as file:
                    yield file
            finally:
                os.close(fd)

    def _torn(self, file: IO[bytes]) -> bytes:
        """The bytes after the last line end."""
        tail = _tail(file, 0)
        torn = tail[tail.rfind(b"\n") + 1 :]
        if torn == tail and not _begins(torn):
            # Not the beginning of a first line: the repair would erase a file of another kind.
            raise _foreign(self.path, torn)
        if len(torn) > MAX_LINE:
            raise _damaged(f"{self.path}: the last line has more than {MAX_LINE} bytes")
        return torn

    def _head(self, file: IO[bytes], torn: int) -> Digest:
        """The digest of the last complete line, which is parsed to check it."""
        whole = _tail(file, torn)
        if not whole:
            return EMPTY_HEAD
        line = whole[whole.rfind(b"\n", 0, -1) + 1 : -1]
        try:
            return LogLine.read(line, f"{self.path}: last line").digest
        except IntegrityError:
            file.seek(0)
            start = file.read(MAX_LINE)
            if not _begins(start[: len(_START)]):
                raise _foreign(self.path, start) from None
            raise


def _begins(line: bytes) -> bool:
    """True for the beginning of a line of a log. What a crash did not write may be zeros."""
    written = line.rstrip(b"\0")
    return written[: len(_START)] == _START[: len(written)]


def _foreign(path: Path, data: bytes) -> InputError:
    return InputError(
        "not-a-log",
        f"{path} is {identified(data) or 'another file'}, not a log of airgap; nothing was written to it",
        "name the log, or a new file",
    )


def _tail(file: IO[bytes], skip: int) -> bytes:
    """The bytes before the last `skip` ones: enough for the longest line and the end of the one before it."""
    end = file.seek(0, os.SEEK_END) - skip
    start = max(0, end - MAX_LINE - 2)
    file.seek(start)
    return file.read(end - start)


def _line(
    time: datetime, actor: str, action: str, subjects: Sequence[Digest], previous: Digest
) -> tuple[bytes, Digest]:
    """A line with its end, and its digest."""
    line = canonical(
        {
            "time": utc_text(time),
            "actor": actor,
            "action": action,
            "subjects": [str(subject) for subject in subjects],
            "previous": str(previous),
        }
    )
    if len(line) >= MAX_LINE:
        raise ValueError(f"the log line would have {len(line)} bytes: it names too many subjects")
    return line + b"\n", Digest.of(line)


def _check(line: bytes, previous: Digest, where: str) -> LogLine:
    if not line.endswith(b"\n"):
        if len(line) == MAX_LINE:
            raise _damaged(f"{where}: the line has more than {MAX_LINE} bytes")
        raise TornLogError(
            "log-torn",
            f"{where}: the last line is incomplete: the machine stopped while writing it",
            "the next command that writes to the log repairs it, and records that",
        )
    entry = LogLine.read(line[:-1], where)
    if entry.previous != previous:
        raise IntegrityError(
            "log-broken",
            f"{where}: names {entry.previous.short} as the line before it, got {previous.short}",
            "the log was changed: keep this file as evidence, and look for a copy of it",
        )
    return entry


def _damaged(what: str) -> AirgapError:
    return IntegrityError(
        "log-damaged",
        what,
        "the log was changed: keep this file as evidence, and look for a copy of it; start a new log in a new file",
    )
