"""The log heads in signed statements: each statement names the head that its station's log had when it was signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import UnknownKeyError
from airgap.base.inputs import read_input
from airgap.resources.trust import Trust
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.statement import Statement, article
from airgap.statements.trust import KeyRing, authenticate, key_ring, unverified
from airgap.station.files import ACCEPTED, LAST_SIGNED, STATEMENTS, SUFFIX, UNKEPT
from airgap.station.receipts import FOLDER


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of some statements, each with the statement that names it, and notes for people about the others."""

    named: Mapping[Digest, str]
    statements: int
    notes: tuple[str, ...]
    read: tuple[Statement, ...] = ()
    """The statements themselves."""


def kept(folder: Path) -> list[Path]:
    """The statements that a station itself made, in `folder`: a store's `airgap/`, or a Sovereign's stateDir.

    Statements of others name the heads of other logs: those from deliveries are kept elsewhere, and approvals of
    waivers are left out.
    """
    waivers = {f"approval-{path.stem}." for path in (folder / "waivers").glob("*.yaml")}
    own = [path for path in (folder / STATEMENTS).glob(f"*{SUFFIX}") if not path.name.startswith(tuple(waivers))]
    found = [*own, *(folder / FOLDER).glob(f"*{SUFFIX}")]
    newest = folder / ACCEPTED
    return sorted([*found, newest] if newest.exists() else found)


def interrupted(folder: Path) -> list[Path]:
    """The statements that were signed, and that a station may not have kept because its machine stopped."""
    last = folder / LAST_SIGNED
    return [*sorted((folder / UNKEPT).glob(f"*{SUFFIX}")), *([last] if last.exists() else [])]


def read_heads(paths: Sequence[Path], trust: Trust | None) -> Heads:
    """The heads that these statements name.

    With `trust`, a statement whose key is not listed does not count, and is noted. Whether its key was valid at that
    time does not matter: everything that was signed as this station must appear in its log. Without `trust`, each
    statement is accepted unchecked. Raises `TrustError` for a statement that is damaged or forged, `InputError` for one
    that cannot be read.
    """
    ring = None if trust is None else key_ring(trust)
    named: dict[Digest, str] = {}
    notes: list[str] = []
    read: list[Statement] = []
    for path in paths:
        try:
            statement = _read(path, ring)
        except UnknownKeyError as error:
            notes.append(f"ignored: {error}")
            continue
        read.append(statement)
        named[statement.log_head] = f"{path} ({article(statement.kind)} statement)"
    if read and ring is None:
        notes.append("the statements' signatures were not checked: pass --trust FILE to check them")
    return Heads(named, len(read), tuple(notes), tuple(read))


def _read(path: Path, ring: KeyRing | None) -> Statement:
    data = read_input(path, MAX_EVIDENCE_BUNDLE, "no-statement", absent="pass a signed statement")
    if ring is not None:
        return authenticate(data, ring, str(path), MAX_EVIDENCE_BUNDLE).statement
    return unverified(data, str(path))
