"""What signed statements say about their station's log: each names the head that the log had when it was signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import UnknownKeyError
from airgap.base.inputs import read_input
from airgap.resources.trust import Trust
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE, open_bundle
from airgap.statements.statement import Statement, article
from airgap.statements.trust import KeyRing, authenticate, key_ring
from airgap.station.files import ACCEPTED, STATEMENTS
from airgap.station.receipts import FOLDER, SUFFIX


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of some statements, each with what names it, and what people should know about the rest."""

    named: Mapping[Digest, str]
    statements: int
    notes: tuple[str, ...]


def kept(folder: Path) -> list[Path]:
    """The statements of its own that a station keeps in `folder`: a store's `airgap/`, or a Sovereign's stateDir.

    What came in with deliveries is kept elsewhere: it names the heads of other logs.
    """
    found = [*(folder / STATEMENTS).glob(f"*{SUFFIX}"), *(folder / FOLDER).glob(f"*{SUFFIX}")]
    newest = folder / ACCEPTED
    return sorted([*found, newest] if newest.exists() else found)


def read_heads(paths: Sequence[Path], trust: Trust | None) -> Heads:
    """The heads that these statements name.

    With `trust`, a statement by a key that it does not list counts for nothing, and is noted. When its key was valid
    does not matter: whoever could sign as this station has to show up in its log. Without, each is taken at its word.
    Raises `TrustError` for a statement that is damaged or forged, `InputError` for one that cannot be read.
    """
    ring = None if trust is None else key_ring(trust)
    named: dict[Digest, str] = {}
    notes, count = [], 0
    for path in paths:
        try:
            statement = _read(path, ring)
        except UnknownKeyError as error:
            notes.append(f"ignored: {error}")
            continue
        count += 1
        named[statement.log_head] = f"{path} ({article(statement.kind)} statement)"
    if count and ring is None:
        notes.append("the statements' signatures were not checked: pass --trust FILE to check them")
    return Heads(named, count, tuple(notes))


def _read(path: Path, ring: KeyRing | None) -> Statement:
    data = read_input(path, MAX_EVIDENCE_BUNDLE, "no-statement", absent="pass a signed statement")
    if ring is not None:
        return authenticate(data, ring, str(path), MAX_EVIDENCE_BUNDLE).statement
    return Statement.parse(open_bundle(data, str(path), MAX_EVIDENCE_BUNDLE).payload, str(path))
