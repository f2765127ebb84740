"""Compares a station's log with the statements that it keeps: each statement has a line, and each line its statement.

A signer writes the line first, with the digest of what it is about to say, and keeps every statement for good. So a
line without its statement means that somebody removed it, or that the machine stopped in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from airgap.base.digest import Digest
from airgap.statements.accepted import AcceptedList
from airgap.statements.accepted_state import Accepted
from airgap.statements.log import EMPTY_HEAD, LOST, LogLine
from airgap.statements.statement import KINDS, Statement, said


@dataclass(slots=True)
class Accounts:
    """Give it every line of the log with `see`, from the first on; then ask."""

    statements: Sequence[Statement]
    """The statements that the station keeps, and copies of them."""
    _lines: list[LogLine] = field(default_factory=list)
    """The lines of statements."""
    _lost: set[Digest] = field(default_factory=set)
    _others: set[Digest] = field(default_factory=set)
    """The lines that a statement names as its own although they record something else."""
    _by_head: dict[Digest, list[Statement]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.statements:
            self._by_head.setdefault(one.log_head, []).append(one)

    def see(self, line: LogLine) -> None:
        """Takes the next line."""
        if line.action in KINDS:
            self._lines.append(line)
        elif line.action == LOST:
            self._lost |= set(line.subjects)
        if any(not _records(line, one) for one in self._by_head.get(line.digest, ())):
            self._others.add(line.digest)

    @property
    def unlogged(self) -> list[Statement]:
        """The statements that name a line of the log which records something else."""
        return [one for head in sorted(self._others) if head != EMPTY_HEAD for one in self._by_head[head]]

    @property
    def lost(self) -> list[LogLine]:
        """The lines without a statement of which the log itself says so."""
        return [line for line in self._without if line.digest in self._lost]

    @property
    def replaced(self) -> list[LogLine]:
        """The lines of earlier versions whose statement gave way to a later one about the same, as was usual then."""
        return [line for line in self._unexplained if self._gave_way(line)]

    @property
    def missing(self) -> list[LogLine]:
        """The lines whose statement should be there, and is not."""
        return [line for line in self._unexplained if not self._gave_way(line)]

    @property
    def _without(self) -> list[LogLine]:
        listed = {one.digest for found in self.statements for one in _listed(found)}
        there = {head for head in self._by_head if head not in self._others}
        return [
            line
            for line in self._lines
            if line.digest not in there and not (line.action == AcceptedList.kind and line.subjects[0] in listed)
        ]

    @property
    def _unexplained(self) -> list[LogLine]:
        return [line for line in self._without if line.digest not in self._lost]

    def _gave_way(self, line: LogLine) -> bool:
        """Earlier versions wrote only the subject into the line, and kept only the newest statement about it."""
        about = {(one.kind, one.subject) for one in self.statements}
        return len(line.subjects) == 1 and (line.action, line.subjects[0]) in about


def _records(line: LogLine, statement: Statement) -> bool:
    """True if the line was written for this statement."""
    if line.action != statement.kind or not line.subjects or line.subjects[0] != statement.subject:
        return False
    return len(line.subjects) == 1 or line.subjects[1] == said(statement.body)


def _listed(statement: Statement) -> tuple[Accepted, ...]:
    """The entries of an accepted list: it contains those of every list before it, so only the newest is kept."""
    return statement.body.deliveries if isinstance(statement.body, AcceptedList) else ()
