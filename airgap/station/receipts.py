"""The receipts of this Sovereign: what its last imports wrote, as far as its own signature confirms it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from airgap.base.disk import disk_errors, make_folder, write_durably
from airgap.base.errors import InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected
from airgap.content.forms import Change, ChangeOutcome, Signs
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, open_bundle
from airgap.statements.predicates import Placed, Receipt
from airgap.statements.statement import Statement, article
from airgap.statements.trust import Known, VerifiedStatement, authenticate, authorise, good_now, key_ring

FOLDER = "receipts"
SUFFIX = ".sigstore.json"
DONE = (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT)
LINE = 120
"""Bytes of a line of a receipt, without what it names."""
ROOM = 40 << 20
"""Bytes of the lines of a receipt: as base64, and with reasons, they fit into what is read of one (64 MiB)."""


def save(state: Path, sequence: int, stream: str, data: bytes) -> Path:
    """Stores a receipt in the state folder.

    It replaces the receipt of an earlier run of the same import if it lists at least the same lines. A run that failed
    half-way must not hide what an earlier run wrote.
    """
    folder = state / FOLDER
    make_folder(folder)
    new = _done_lines(data)
    name = f"{quote(stream, safe='')}-{sequence:06d}"
    path = folder / f"{name}{SUFFIX}"
    runs = (folder / f"{name}.{number}{SUFFIX}" for number in itertools.count(2))
    with disk_errors(folder):
        while path.exists() and not _done_lines(path.read_bytes()) <= new:
            path = next(runs)
    write_durably(path, data, 0o600)
    return path


def _done_lines(data: bytes) -> set[tuple[str, str, str, str]]:
    """The lines of a receipt in the state folder that are in place; empty if it cannot be read."""
    try:
        envelope = open_bundle(data, FOLDER, MAX_EVIDENCE_BUNDLE)
        body = Statement.parse(envelope.payload, FOLDER).body
    except TrustError:
        return set()
    if not isinstance(body, Receipt):
        return set()
    return {
        (part.url, line.at, line.name, line.digest)
        for part in body.destinations
        for line in part.items
        if line.outcome in DONE
    }


def read(path: Path, trust: Trust, now: datetime, state: Callable[[], AcceptedState]) -> VerifiedStatement:
    """Reads a signed receipt. Raises `InputError` if it cannot be read, `TrustError` if it is not trusted.

    Receipts outlive the key that signed them: if `state`, which is asked only then, contains the delivery, an expired
    key is good enough.
    """
    data = read_input(path, MAX_EVIDENCE_BUNDLE, "no-receipt")
    if b'"dsseEnvelope"' not in data:
        raise InputError(
            "no-receipt",
            not_expected(str(path), data, "a receipt"),
            "pass the file that `airgap import --receipt` wrote",
        )
    authentic = authenticate(data, key_ring(trust), str(path), MAX_EVIDENCE_BUNDLE)
    known = not good_now(authentic.key, now) and state().find(authentic.statement.subject) is not None
    found = authorise(authentic, str(path), now=now, known=Known.SUBJECT if known else Known.NOTHING)
    if found.statement.kind != "receipt":
        raise InputError(
            "no-receipt",
            f"{path}: {article(found.statement.kind)} statement, expected a receipt",
            "pass the file that `airgap import --receipt` wrote",
        )
    return found


@dataclass(frozen=True, slots=True)
class ReceiptLines:
    """What the newest receipts list as written or found at one destination: see `Run.ours` and `Run.signed`."""

    lines: dict[tuple[str, str], str] = field(default_factory=dict)
    signed: dict[tuple[str, str, Signs], str] = field(default_factory=dict)


def ours(folder: Path, trust: Trust, now: datetime, state: Callable[[], AcceptedState]) -> Mapping[str, ReceiptLines]:
    """What the receipts in a state folder list for each destination, by its URL. `state` is what was accepted.

    A receipt that is not trusted does not count: then everything is checked again, which is only slower.
    """
    found: list[VerifiedStatement] = []
    for path in sorted((folder / FOLDER).glob(f"*{SUFFIX}")):
        try:
            found.append(read(path, trust, now, state))
        except (TrustError, InputError):
            continue
    table: dict[str, ReceiptLines] = {}
    for verified in sorted(found, key=lambda one: one.statement.signed_at):
        for placed in receipt_of(verified).destinations:
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


def changes_of(part: Placed) -> Sequence[Change]:
    """The lines of a receipt that say that the content is in place."""
    return [line for line in part.items if line.outcome in DONE]
