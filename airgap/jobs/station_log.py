"""`log`: reading a station's log, and comparing it with the heads that signed statements name."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, IntegrityError
from airgap.base.times import utc_text
from airgap.jobs.site import state_folder_of
from airgap.jobs.surroundings import Surroundings
from airgap.resources.load import load_sovereign, load_trust
from airgap.statements.log import LOST, LogLine, StationLog
from airgap.statements.statement import article
from airgap.station.accounts import Accounts
from airgap.station.files import Records, store_records
from airgap.station.log_heads import Heads, interrupted, kept, read_heads


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which log: the first option that is given; without any, the log of `sign` in the state folder."""

    log: Path | None = None
    """The log in this file."""
    sovereign: Path | None = None
    """The log of the Sovereign with this resource."""
    store: Path | None = None
    """The log of the station with this store."""
    last: int | None = None
    """Only as many lines, from the end; for `read_log`."""
    statements: tuple[Path, ...] = ()
    """Signed statements of this station, in addition to those that it keeps; for `verify_log`."""
    trust: Path | None = None
    """The Trust resource: whose signatures on statements are accepted; for `verify_log`."""


@dataclass(frozen=True, slots=True)
class LogRead:
    """Lines of a log, and the error that ends them, if the log is damaged."""

    lines: tuple[LogLine, ...]
    broken: IntegrityError | None


def read_log(options: LogOptions, surroundings: Surroundings) -> LogRead:
    """The lines of a log; includes the lines before any damage. Raises `InputError` (`no-log`), `StoreError`."""
    log, _ = _chosen(options, surroundings)
    if not log.path.exists():
        raise _no_log(log)
    lines: deque[LogLine] = deque(maxlen=options.last)
    broken = None
    try:
        for line in log.entries():
            lines.append(line)
    except IntegrityError as error:
        broken = error
    return LogRead(tuple(lines), broken)


@dataclass(frozen=True, slots=True)
class LogVerified:
    """A log with an unbroken chain: its number of lines, its last digest, and the heads that were found in it."""

    path: Path
    lines: int
    head: Digest
    heads: Heads
    missing: tuple[LogLine, ...] = ()
    """The lines whose statement is not in the state: see `Accounts`."""
    lost: tuple[LogLine, ...] = ()
    replaced: tuple[LogLine, ...] = ()

    @property
    def error(self) -> IntegrityError | None:
        """The error for the first missing statement."""
        if not self.missing:
            return None
        first, many = self.missing[0], len(self.missing)
        return IntegrityError(
            "statement-gone",
            f"{self.path}: {many} of the statements that the log names {'is' if many == 1 else 'are'} not kept; the "
            f"first is {article(first.action)} of {utc_text(first.time)} about {first.subjects[0]}",
            "look for copies (the file that was named with --receipt or --report, a backup) and pass them with "
            "--statement; if there are none, find out who removed it, then record that with `airgap log lost`",
        )


def verify_log(options: LogOptions, surroundings: Surroundings) -> LogVerified:
    """Walks a log's chain, looks in it for every head that a statement names, and looks for the statement of each line.

    Raises `InputError` (`no-log`), `IntegrityError` (`log-cut`, `statement-not-logged`, …), `TrustError`. Statements
    that are missing are in the result.
    """
    log, own = _chosen(options, surroundings)
    trust = load_trust(options.trust) if options.trust is not None else None
    heads = read_heads([*own, *options.statements], trust)
    for note in heads.notes:
        surroundings.note(f"note: {note}")
    if not log.path.exists() and not heads.named:
        raise _no_log(log)
    late = () if options.log is not None else read_heads(interrupted(log.path.parent), trust).read
    accounts = Accounts((*heads.read, *late))
    lines = log.verify(heads.named, accounts.see)
    for one in accounts.unlogged:
        where = heads.named.get(one.log_head, "a statement")
        raise IntegrityError(
            "statement-not-logged",
            f"{log.path}: {where} names a line of the log that records something else",
            "the statement was not made by this station as it is now: keep it and the log as evidence",
        )
    if options.log is not None:
        return LogVerified(log.path, lines, log.head(), heads)  # where its station keeps statements is not known
    told = (accounts.missing, accounts.lost, accounts.replaced)
    return LogVerified(log.path, lines, log.head(), heads, *map(tuple, told))


def record_lost(options: LogOptions, lines: Sequence[Digest], surroundings: Surroundings) -> Sequence[LogLine]:
    """Records in the log that the statements of these lines are lost for good, so that `verify_log` only notes them.

    Returns the lines. Raises `InputError` (`not-missing`) for a line whose statement is there or that is of none.
    """
    found = verify_log(options, surroundings)
    missing = {line.digest: line for line in found.missing}
    for digest in lines:
        if digest not in missing:
            raise InputError(
                "not-missing",
                f"{found.path}: {digest} is not a line whose statement is missing",
                "take the digests from `airgap log verify`",
            )
    log = StationLog(found.path)
    log.append(time=surroundings.clock(), actor="log", action=LOST, subjects=lines)
    return [missing[digest] for digest in lines]


def _chosen(options: LogOptions, surroundings: Surroundings) -> tuple[StationLog, list[Path]]:
    """The log, and the statements that its station kept."""
    if options.log is not None:
        return StationLog(options.log), []
    if options.sovereign is not None:
        records = Records(state_folder_of(load_sovereign(options.sovereign), surroundings))
    elif options.store is not None:
        records = store_records(options.store)
    else:
        records = Records(surroundings.state_folder)
    return records.log(), kept(records.folder)


def _no_log(log: StationLog) -> InputError:
    return InputError(
        "no-log",
        f"{log.path}: there is no log, and no statement names one",
        "choose the log with --log FILE, --store DIR or --sovereign FILE",
    )
