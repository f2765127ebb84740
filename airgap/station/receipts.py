"""The receipts of this Sovereign: what its last imports wrote, as far as its own signature confirms it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from airgap.base.disk import disk_errors, make_folder
from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected
from airgap.content.forms import Change, ChangeOutcome, Signs
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Placed, Receipt
from airgap.statements.rollback import Rollback
from airgap.statements.statement import article
from airgap.statements.trust import Known, VerifiedStatement, authenticate, authorise, good_now, key_ring
from airgap.station.files import SUFFIX, keep, made_of

FOLDER = "receipts"
DONE = (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT, ChangeOutcome.STAYS)
PUT = (*DONE, ChangeOutcome.UNCONFIRMED)
LINE = 120
"""Bytes of a line of a receipt, without what it names."""
ROOM = 40 << 20
"""Bytes of the lines of a receipt: as base64, and with reasons, they fit into what is read of one (64 MiB)."""
_WROTE = "pass the file that `airgap import --receipt` wrote"


def save(state: Path, sequence: int, stream: str, data: bytes) -> Path:
    """Keeps a receipt in the state folder, besides those of earlier runs of the same import. Returns its path."""
    folder = state / FOLDER
    make_folder(folder, 0o700)
    return keep(folder, _stem(stream, sequence), data)


def _stem(stream: str, sequence: int) -> str:
    """How the file names of a delivery's receipts begin."""
    return f"{quote(stream, safe='')}-{sequence:06d}"


def all_of(state: Path) -> list[Path]:
    """The receipts in a state folder."""
    folder = state / FOLDER
    with disk_errors(folder):
        return sorted(folder.glob(f"*{SUFFIX}"))


def all_rollbacks(state: Path) -> list[Path]:
    """The rollbacks in a state folder."""
    return made_of(state, Rollback.kind)


def read_signed(path: Path) -> bytes:
    """A file with a signed statement. Raises `InputError` (`no-receipt`) for anything else."""
    data = read_input(path, MAX_EVIDENCE_BUNDLE, "no-receipt")
    if b'"dsseEnvelope"' not in data:
        raise InputError("no-receipt", not_expected(str(path), data, "a receipt"), _WROTE)
    return data


def read(
    path: Path,
    trust: Trust,
    now: datetime,
    state: Callable[[], AcceptedState],
    kinds: Collection[str] = (Receipt.kind,),
) -> VerifiedStatement:
    """Reads a signed receipt, or another of `kinds`, from a file.

    Raises `InputError` if it cannot be read, and as `verify`.
    """
    return verify(read_signed(path), str(path), trust, now, state, kinds)


def verify(
    data: bytes,
    where: str,
    trust: Trust,
    now: datetime,
    state: Callable[[], AcceptedState],
    kinds: Collection[str] = (Receipt.kind,),
) -> VerifiedStatement:
    """The statement in `data`, one of `kinds`. Raises `TrustError` if it is not trusted, `InputError` (`no-receipt`).

    Receipts outlive the key that signed them: if `state`, which is asked only then, contains the delivery, an expired
    key is good enough.
    """
    authentic = authenticate(data, key_ring(trust), where, MAX_EVIDENCE_BUNDLE)
    known = not good_now(authentic.key, now) and state().find(authentic.statement.subject) is not None
    found = authorise(authentic, where, now=now, known=Known.SUBJECT if known else Known.NOTHING)
    if found.statement.kind not in kinds:
        raise InputError(
            "no-receipt",
            f"{where}: {article(found.statement.kind)} statement, expected {article(next(iter(kinds)))}",
            _WROTE if Receipt.kind in kinds else "pass the file that `airgap want` wrote",
        )
    return found


Kept = list[tuple[Path, VerifiedStatement]]
"""Statements that are trusted, each with its path, from the oldest to the newest."""


def believed(folder: Path, trust: Trust, now: datetime, state: Callable[[], AcceptedState]) -> Kept:
    """The receipts in a state folder that are trusted."""
    return _trusted(all_of(folder), trust, now, state, Receipt.kind)


def of_delivery(
    folder: Path, stream: str, sequence: int, trust: Trust, now: datetime, state: Callable[[], AcceptedState]
) -> Kept:
    """The receipts of one delivery that are trusted. Reads those alone: there is one for each import of all times."""
    with disk_errors(folder):
        paths = sorted((folder / FOLDER).glob(f"{_stem(stream, sequence)}.*"))
    return _trusted([path for path in paths if path.name.endswith(SUFFIX)], trust, now, state, Receipt.kind)


def rollbacks(folder: Path, trust: Trust, now: datetime, state: Callable[[], AcceptedState]) -> Kept:
    """The rollbacks in a state folder that are trusted."""
    return _trusted(all_rollbacks(folder), trust, now, state, Rollback.kind)


def _trusted(paths: Iterable[Path], trust: Trust, now: datetime, state: Callable[[], AcceptedState], kind: str) -> Kept:
    found: Kept = []
    for path in paths:
        try:
            found.append((path, read(path, trust, now, state, (kind,))))
        except (TrustError, InputError):
            continue
    return sorted(found, key=lambda one: one[1].statement.signed_at)


def standing(new: Sequence[Placed], earlier: Kept) -> Path | None:
    """Which of the `earlier` statements about the same delivery stands, if `new` says nothing that they do not say.

    It is the newest one; `None` if `new` has to be kept: something was done or failed (a name that is `present` with a
    reason had its content mended), a name is in place that none of them has, or one was refused for the first time.
    """
    before = [placed_of(verified) for _, verified in earlier]
    lines = [line for part in new for line in part.items]
    if not before or not all(line.outcome in _QUIET or _untouched(line) for line in lines):
        return None
    for outcomes in (DONE, (ChangeOutcome.REFUSED,)):
        if not _told(new, outcomes) <= {told for one in before for told in _told(one, outcomes)}:
            return None
    return earlier[-1][0]


_QUIET = (ChangeOutcome.REFUSED, ChangeOutcome.STAYS)


def _untouched(line: Change) -> bool:
    return line.outcome is ChangeOutcome.PRESENT and not line.reason


def _told(destinations: Sequence[Placed], outcomes: Collection[ChangeOutcome]) -> set[tuple[object, ...]]:
    """The lines of a receipt with these outcomes, without what may differ from run to run."""
    return {
        (part.url, part.form, line.item, line.at, line.name, line.digest, line.signs)
        for part in destinations
        for line in part.items
        if line.outcome in outcomes
    }


@dataclass(frozen=True, slots=True)
class ReceiptLines:
    """What the newest receipts list as written or found at one destination: see `Run.ours` and `Run.signed`."""

    lines: dict[tuple[str, str], str] = field(default_factory=dict)
    signed: dict[tuple[str, str, Signs], str] = field(default_factory=dict)


def ours(folder: Path, trust: Trust, now: datetime, state: Callable[[], AcceptedState]) -> Mapping[str, ReceiptLines]:
    """What the receipts in a state folder list for each destination, by its URL. `state` is what was accepted.

    A receipt that is not trusted does not count: then everything is checked again, which is only slower.
    """
    found = [one for _, one in (*believed(folder, trust, now, state), *rollbacks(folder, trust, now, state))]
    table: dict[str, ReceiptLines] = {}
    for verified in sorted(found, key=lambda one: one.statement.signed_at):
        for placed in placed_of(verified):
            known = table.setdefault(placed.url, ReceiptLines())
            for item in placed.items:
                if item.outcome in DONE:
                    known.lines[item.at, item.name or item.digest] = item.digest
                    if item.signs is not None:
                        known.signed[item.at, item.name, item.signs] = item.digest
    return table


def receipt_of(verified: VerifiedStatement) -> Receipt:
    """The body of a statement that `read` returned."""
    body = verified.statement.body
    if not isinstance(body, Receipt):
        raise TypeError("not a receipt")
    return body


def placed_of(verified: VerifiedStatement) -> tuple[Placed, ...]:
    """What a receipt or a rollback says about each destination."""
    body = verified.statement.body
    if not isinstance(body, Receipt | Rollback):
        raise TypeError("neither a receipt nor a rollback")
    return body.destinations


def placed(url: str, form: str, changes: Iterable[Change]) -> Placed:
    """A destination's part of a receipt. A change that was planned but not done has failed."""
    planned = (ChangeOutcome.WRITE, ChangeOutcome.MOVED)
    lines = (replace(one, outcome=ChangeOutcome.FAILED) if one.outcome in planned else one for one in changes)
    return Placed(url, form, tuple(lines))


def check_room(changes: Iterable[Change]) -> None:
    """Checks before anything is sent that a receipt with these lines will be small enough to be read.

    Raises `InputError` (`receipt-too-large`).
    """
    told = ((one.item, one.at, one.name, one.digest, one.previous) for one in changes)
    size = sum(LINE + sum(map(len, texts)) for texts in told)
    if size > ROOM:
        raise InputError(
            "receipt-too-large",
            f"the receipt would have more than {ROOM >> 20} MiB of lines, one for each name at each destination",
            "have the locks cut as several deliveries, or a lock with very many names split into several",
        )
