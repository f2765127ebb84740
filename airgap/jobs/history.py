"""`history`: which deliveries came in, who signed them, what each import changed, and what was rolled back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.errors import InputError, UnknownKeyError, WrongMakerError
from airgap.content.forms import Change, ChangeOutcome
from airgap.jobs.site import Site, check_same_sovereign, open_site
from airgap.jobs.surroundings import Surroundings
from airgap.resources.load import load_sovereign, load_trust
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Receipt
from airgap.statements.rollback import Rollback
from airgap.statements.statement import Statement, article
from airgap.statements.trust import authenticate, check_maker, key_ring, unverified
from airgap.station import receipts

SIGNED = ("delivery", "approval")
"""The kinds of statements about a delivery that others make, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """Where the history is read: from receipts, or from a Sovereign's state folder."""

    receipts: tuple[Path, ...] = ()
    """Receipts and rollbacks."""
    sovereign: Path | None = None
    trust: Path | None = None
    """Whose signatures are accepted; without it nothing is checked, and a note says so."""
    lists: bool = False
    """Also ask the destinations for the signed lists that they keep; requires `sovereign` and `trust`."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """What one import or rollback did, by its statement."""

    path: Path
    signed_at: datetime
    body: Receipt | Rollback
    key: str
    """The name of the key that signed it; `""` if that was not checked."""

    @property
    def lines(self) -> list[tuple[str, Change]]:
        """Every line with its destination."""
        return [(part.url, line) for part in self.body.destinations for line in part.items]

    @property
    def counts(self) -> dict[str, int]:
        """The number of lines, by outcome. A name that held something else before is `moved`."""
        found: dict[str, int] = {}
        for _, line in self.lines:
            moved = line.outcome is ChangeOutcome.WRITTEN and line.previous not in ("", line.digest)
            outcome = str(ChangeOutcome.MOVED if moved else line.outcome)
            found[outcome] = found.get(outcome, 0) + 1
        return found


@dataclass(frozen=True, slots=True)
class PastSigner:
    """Who signed a delivery: the kind of the statement, the role, and the name of the key (`""` if not checked)."""

    kind: str
    role: str
    key: str


@dataclass(slots=True)
class PastDelivery:
    """One delivery."""

    stream: str
    sequence: int
    id: str
    digest: Digest
    accepted_at: datetime | None = None
    """`None` where only a receipt tells of it."""
    signers: tuple[PastSigner, ...] = ()
    """Empty where an earlier version accepted it, which kept no signatures."""
    runs: list[PastRun] = field(default_factory=list)
    """From the oldest to the newest."""

    @property
    def rolled_back(self) -> datetime | None:
        """When it was rolled back last."""
        return max((run.signed_at for run in self.runs if isinstance(run.body, Rollback)), default=None)


def history(options: HistoryOptions, surroundings: Surroundings) -> list[PastDelivery]:
    """The deliveries, oldest first: by acceptance where that is known, else by stream and number.

    Raises `InputError`, `TrustError`, `StoreError`; with `lists` also the errors of `Ledger.known`.
    """
    if options.sovereign is None and (options.lists or not options.receipts):
        what = "neither a Sovereign nor a receipt was given" if not options.lists else "--lists requires --sovereign"
        raise InputError("usage", what, "use --sovereign FILE, or name receipts")
    trust = None if options.trust is None else load_trust(options.trust)
    if trust is None:
        if options.lists:
            raise InputError("no-trust", "--lists requires --trust, to check who signed the lists", "use --trust FILE")
        surroundings.note("note: no signature was checked: pass --trust FILE to check them and to see the keys' names")
    entries: dict[Digest, PastDelivery] = {}
    statements = [_read(path, trust) for path in options.receipts]
    if options.sovereign is not None:
        site = _site(options.sovereign, trust, options.trust, surroundings)
        for one in _accepted(site, options).deliveries:
            entries[one.digest] = PastDelivery(one.stream, one.sequence, one.id, one.digest, one.accepted_at)
            entries[one.digest].signers = tuple(_signers(site, one.digest, trust))
        statements += _kept(site, trust, surroundings)
    seen: set[bytes] = set()
    for path, statement, key in sorted(statements, key=lambda one: one[1].signed_at):
        body = statement.body
        if statement.payload in seen:
            continue
        seen.add(statement.payload)
        if not isinstance(body, Receipt | Rollback):
            what = f"{path}: {article(statement.kind)} statement, expected a receipt or a rollback"
            raise InputError("no-receipt", what, "pass what `airgap import --receipt` or `rollback --report` wrote")
        new = PastDelivery(body.stream, body.sequence, body.delivery, statement.subject)
        entries.setdefault(statement.subject, new).runs.append(PastRun(path, statement.signed_at, body, key))
    if options.sovereign is not None:
        return list(entries.values())
    return sorted(entries.values(), key=lambda one: (one.stream, one.sequence))


Found = tuple[Path, Statement, str]
"""A statement, where it is, and the name of the key that signed it (`""` if that was not checked)."""


def _site(file: Path, trust: Trust | None, trust_file: Path | None, surroundings: Surroundings) -> Site:
    sovereign = load_sovereign(file)
    if trust is not None and trust_file is not None:
        check_same_sovereign(sovereign, file, trust, trust_file)
    return open_site(sovereign, trust or Trust(sovereign=sovereign.name, keys=()), surroundings)


def _accepted(site: Site, options: HistoryOptions) -> AcceptedState:
    if not options.lists:
        state = site.accepted()
        if not state.deliveries:
            site.surroundings.note(
                f"note: {site.state}: no delivery was accepted here; --lists asks the destinations for their lists"
            )
        return state
    ledger = site.ledger(restore=True)
    state = ledger.known()
    ledger.compare({})
    return state


def _kept(site: Site, trust: Trust | None, surroundings: Surroundings) -> list[Found]:
    paths = [*receipts.all_of(site.state), *receipts.all_rollbacks(site.state)]
    found = []
    for path in paths:
        try:
            found.append(_read(path, trust))
        except (UnknownKeyError, WrongMakerError) as error:
            surroundings.note(f"note: ignored: {error}")
    return found


def _read(path: Path, trust: Trust | None) -> Found:
    statement, key = _checked(receipts.read_signed(path), str(path), trust)
    return path, statement, key


def _checked(data: bytes, where: str, trust: Trust | None) -> tuple[Statement, str]:
    if trust is None:
        return unverified(data, where), ""
    authentic = authenticate(data, key_ring(trust), where, MAX_EVIDENCE_BUNDLE)
    check_maker(authentic, where)
    return authentic.statement, authentic.key.name


def _signers(site: Site, delivery: Digest, trust: Trust | None) -> Iterable[PastSigner]:
    """By the statements that came with the delivery and counted then, but for those of keys that are unknown now."""
    kept: Sequence[tuple[str, bytes]] = [
        (kind, data) for kind in SIGNED for data in site.records.received(kind, delivery)
    ]
    for kind, data in kept:
        try:
            statement, key = _checked(data, f"{kind} statement about {delivery.short}", trust)
        except (UnknownKeyError, WrongMakerError):
            continue
        yield PastSigner(kind, statement.role, key)
