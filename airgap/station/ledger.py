"""What remembers which deliveries a Sovereign accepted: accepted.json, the log, and signed lists in the destinations.

A list in a destination is the state's witness: what it has and the state lacks was forgotten there, because the state
was lost, or an old copy of it was brought back. Then nothing is accepted, but with `--restore`, which makes the state
whole again from the lists. A list is only ever replaced by a longer one. See docs/adr/0010.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from airgap.base.errors import AirgapError, IntegrityError, StoreError, TrustError, UpstreamError
from airgap.base.times import utc_text
from airgap.destinations.accepted_list import Shelf
from airgap.resources.trust import Trust
from airgap.statements.accepted import AcceptedList
from airgap.statements.accepted_state import Accepted, AcceptedState, Standing, StateFile
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.statement import article
from airgap.statements.trust import verify_bundle
from airgap.station.files import Records
from airgap.station.signatory import Diary, Signatory

ACTIONS: Mapping[Standing, str] = {
    Standing.NEW: "accept",
    Standing.RESUME: "resume",
    Standing.RESTORE: "restore",
}
"""How the log calls what became of a delivery."""
REBUILD = "rebuild"
"""The log's line for a state that was made whole from a list; its subjects are the deliveries that were added."""


@dataclass(slots=True)
class Ledger:
    """Asked before an import accepts, and written to before anything becomes visible."""

    file: StateFile
    shelves: Sequence[Shelf]
    trust: Trust
    records: Records
    diary: Diary
    note: Callable[[str], None]
    restore: bool = False
    """True when earlier deliveries shall come in again, by what the lists know."""
    station: Signatory | None = None
    """Who signs the list; without one it stays as it is in the destinations."""
    unkept: dict[str, AirgapError] = field(default_factory=dict)
    """By destination: why the list could not be written there."""
    _lists: dict[str, AcceptedList | None] = field(default_factory=dict)
    """By destination: its list, `None` where there is none."""
    _unread: dict[str, AirgapError] = field(default_factory=dict)
    """By destination: why its list is not known, or not believed."""
    _gone: frozenset[str] = frozenset()

    def known(self) -> AcceptedState:
        """What was accepted, by the state; for a restore by the lists as well. Writes nothing.

        Raises `StoreError`, `TrustError` (`state-conflict`, `list-not-believed`), `UpstreamError`.
        """
        state = self.file.load()
        if not self.restore:
            return state
        self._ask({})
        if not self.file.exists() and not self._believed():
            self._need_lists()
        for found in self._believed().values():
            state = state.merged(found.deliveries)
        return state

    def compare(self, gone: Mapping[str, AirgapError]) -> None:
        """Whether the destinations know of deliveries that the state has forgotten; writes nothing.

        `gone` has the destinations that are known not to answer. A list that cannot be read or believed is noted where
        there is a state to go by, and stops everything where there is none. Raises `TrustError`: `state-lost`,
        `state-rolled-back`, `list-not-believed`; and the error of a destination that could not be asked.
        """
        self._ask(gone)
        self._gone = frozenset(gone)
        if not self.restore:
            self._check()
            if not self.file.exists():
                self._need_lists()
        for url, error in self._unread.items():
            if url not in gone:
                self.note(f"note: {url}: the list of accepted deliveries could not be compared: {error}")

    def record(self, one: Accepted) -> None:
        """Writes an admitted delivery down: into the log, the state, and with a station into the destinations' lists.

        In this order, and all before anything of the delivery is visible: after a crash in between the same command
        goes on. Raises what `StateFile.record` raises. A destination that does not take the list is in `unkept`.
        """
        state = self.file.load()
        if self.restore:
            wanted = [each for found in self._believed().values() for each in found.deliveries]
            lost = state.lacks(wanted)
            if lost:
                self.diary.note(REBUILD, *dict.fromkeys(each.digest for each in lost))
                state = self.file.rebuild(lost)
        self.diary.note(ACTIONS[state.standing(one, one.digest, restore=self.restore)], one.digest)
        state = self.file.record(one, restore=self.restore)
        if self.station is not None:
            self._keep(state, self.station)

    def _ask(self, gone: Mapping[str, AirgapError]) -> None:
        for shelf in self.shelves:
            if shelf.url in self._lists or shelf.url in self._unread:
                continue
            if shelf.url in gone:
                self._unread[shelf.url] = gone[shelf.url]
                continue
            try:
                self._lists[shelf.url] = self._read(shelf)
            except (TrustError, IntegrityError, StoreError, UpstreamError) as error:
                self._unread[shelf.url] = error

    def _read(self, shelf: Shelf) -> AcceptedList | None:
        """The list of a destination. Raises `TrustError` when it is not one of this Sovereign, besides its faults."""
        data = shelf.read()
        if data is None:
            return None
        now, where = self.diary.clock(), shelf.where
        verified = verify_bundle(data, self.trust, where, now=now, limit=MAX_EVIDENCE_BUNDLE)
        body, subject = verified.statement.body, verified.statement.subject
        if not isinstance(body, AcceptedList):
            what = f"{article(verified.statement.kind)} statement"
        elif body.sovereign != self.trust.sovereign:
            what = f"the list of {body.sovereign!r}"
        elif body.newest != subject:
            what = f"a list about {subject}, which is not the last entry"
        else:
            return body
        raise TrustError(
            "list-of-another",
            f"{where}: {what}, expected the list of {self.trust.sovereign!r}",
            "find out who wrote there; use a separate repository for each Sovereign",
        )

    def _believed(self) -> dict[str, AcceptedList]:
        return {url: found for url, found in self._lists.items() if found is not None}

    def _need_lists(self) -> None:
        """Without a state, whatever could have been a list decides: who took the state away may have spoilt it too."""
        for url, error in self._unread.items():
            if isinstance(error, UpstreamError | StoreError):
                raise error.with_where(f"there is no {self.file.path}, and the list at {url} must be read first")
            raise TrustError(
                "list-not-believed",
                f"there is no {self.file.path}, and what {url} holds in its place cannot be believed: {error}",
                "find out who wrote there. Signed by an old key of this Sovereign? Add that key to the Trust resource. "
                "Was nothing ever accepted here? Then remove it there, and import again",
            )

    def _check(self) -> None:
        state = self.file.load()
        for url, found in self._believed().items():
            lost = state.lacks(found.deliveries)
            if lost:
                raise self._forgotten(url, lost)

    def _forgotten(self, url: str, lost: Sequence[Accepted]) -> TrustError:
        newest, there = lost[-1], self.file.exists()
        what = (
            f"{url} holds this Sovereign's signed list, which has deliveries that {self.file.path} lacks: {len(lost)}, "
            f"the last of them number {newest.sequence} of stream {newest.stream!r}, accepted at "
            f"{utc_text(newest.accepted_at)}"
        )
        return TrustError(
            "state-rolled-back" if there else "state-lost",
            what if there else f"{what}: there is no such file",
            "bring the stateDir of after that delivery back from its backup. There is none? Import a delivery that was "
            "accepted here before with --restore: that rebuilds the state from the list",
        )

    def _keep(self, state: AcceptedState, station: Signatory) -> None:
        """Signs the list and puts it where it is not yet; a destination that is gone gets it with the next import."""
        full = len(state.deliveries)
        behind = []
        for shelf in self.shelves:
            found = self._lists.get(shelf.url)
            unread = self._unread.get(shelf.url)
            if isinstance(unread, UpstreamError | StoreError):
                if shelf.url not in self._gone:  # what became of those is said already
                    self.unkept[shelf.url] = unread
            elif found is None or len(found.deliveries) < full:
                behind.append(shelf)
        if not behind:
            return
        body = AcceptedList(state.sovereign, state.deliveries)
        bundle = station.sign(body.newest, body)
        self.records.save_accepted(bundle)
        for shelf in behind:
            try:
                self._put(shelf, bundle, state)
            except (UpstreamError, StoreError, IntegrityError) as error:
                self.unkept[shelf.url] = error

    def _put(self, shelf: Shelf, bundle: bytes, state: AcceptedState) -> None:
        """Asks once more, because another machine may have written meanwhile. Raises `TrustError` then."""
        try:
            found = self._read(shelf)
        except (TrustError, IntegrityError) as error:
            self.note(f"note: {shelf.where}: replaced by this Sovereign's own list: {error}")
            found = None
        lost = state.lacks(found.deliveries) if found is not None else []
        if lost:
            raise self._forgotten(shelf.url, lost)
        shelf.write(bundle)
