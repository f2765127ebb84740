"""Where the deliveries that a Sovereign accepted are recorded: accepted.json, the log, signed lists at destinations.

A list at a destination is the state's witness: if it has a delivery that the state lacks, the state was lost or
replaced by an old copy. Then no delivery is accepted, except with `--restore`, which rebuilds the state from the lists.
A list is only ever replaced by a longer one. See docs/adr/0010.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from airgap.base.errors import AirgapError, EndedKeyError, IntegrityError, StoreError, TrustError, UpstreamError
from airgap.base.times import utc_text
from airgap.destinations.accepted_list import Shelf
from airgap.resources.trust import Trust
from airgap.statements.accepted import AcceptedList
from airgap.statements.accepted_state import Accepted, AcceptedState, Standing, StateFile
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.statement import article
from airgap.statements.trust import Known, good_now, verify_bundle
from airgap.station.files import Records
from airgap.station.signatory import Diary, Signatory

ACTIONS: Mapping[Standing, str] = {
    Standing.NEW: "accept",
    Standing.RESUME: "resume",
    Standing.RESTORE: "restore",
}
"""The log's name for what happened to a delivery."""
AGAIN = "run the same command again"
REBUILD = "rebuild"
"""The log's action for a state that was rebuilt from a list; its subjects are the deliveries that were added."""


@dataclass(slots=True)
class Ledger:
    """Consulted before an import accepts a delivery, and written to before anything becomes visible."""

    file: StateFile
    shelves: Sequence[Shelf]
    trust: Trust
    records: Records
    diary: Diary
    note: Callable[[str], None]
    restore: bool = False
    """True if earlier deliveries may be imported again, based on the lists, and others are put where they belong."""
    station: Signatory | None = None
    """Signs the list; without it, the list at the destinations stays unchanged."""
    unkept: dict[str, AirgapError] = field(default_factory=dict)
    """By destination: why the list could not be written there."""
    _lists: dict[str, AcceptedList | None] = field(default_factory=dict)
    """By destination: its list, `None` where there is none."""
    _unread: dict[str, AirgapError] = field(default_factory=dict)
    """By destination: why its list is not known, or not trusted."""
    _aging: set[str] = field(default_factory=set)
    """The destinations whose list is to be signed again, because its key is no longer valid."""
    _gone: frozenset[str] = frozenset()
    _judged: AcceptedState | None = None
    """The state that `known` gave first, without the lists: acceptance judged by it. `None` if it was not asked."""

    def known(self) -> AcceptedState:
        """The accepted deliveries from the state, for a restore also from the lists. Writes nothing.

        Raises `StoreError`, `TrustError` (`state-conflict`, `list-not-believed`), `UpstreamError`.
        """
        state = self.file.load()
        if self._judged is None:
            self._judged = state
        if not self.restore:
            return state
        self._ask({})
        if not self.file.exists() and not self._believed():
            self._need_lists()
        for found in self._believed().values():
            state = state.merged(found.deliveries)
        return state

    def order(self, one: Accepted) -> AcceptedState:
        """The accepted deliveries in their order, with one that a restore puts among them. Raises as `known` does."""
        state = self.known()
        return state.adding(one, restore=True) if self.restore and state.find(one.digest) is None else state

    @property
    def rebuilds(self) -> bool:
        """True if `record` will make the state anew: what else the state folder says of names is not whole then."""
        if not self.restore:
            return False
        state = self.file.load()
        return not self.file.exists() or any(state.lacks(found.deliveries) for found in self._believed().values())

    def compare(self, gone: Mapping[str, AirgapError]) -> None:
        """Checks whether a destination's list has deliveries that the state lacks. Writes nothing.

        `gone` contains the destinations that are known not to answer. A list that cannot be read or trusted is only
        noted if there is a state, and stops everything if there is none. Raises `TrustError`: `state-lost`,
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
        """Records an admitted delivery in the log, then in the state, then (with a station) in the destinations' lists.

        All this is done before anything of the delivery is visible: after a crash in between, the same command
        continues. Raises the errors of `StateFile.record`, and `StoreError` (`locked`) if another import accepted
        something since this one was judged. A destination that does not accept the list is in `unkept`.
        """
        state = self.file.load()
        if self._judged is not None and state != self._judged:
            # Its stream, number and times were judged by what was accepted then.
            raise StoreError("locked", f"{self.file.path}: another import accepted a delivery meanwhile", AGAIN)
        if self.restore:
            for found in self._believed().values():
                lost = state.lacks(found.deliveries)
                if lost:
                    self.diary.note(REBUILD, *dict.fromkeys(each.digest for each in lost))
                    state = self.file.rebuild(found.deliveries)
        standing = state.standing(one, one.digest, restore=self.restore)
        placed = self.restore and standing is Standing.NEW
        self.diary.note(ACTIONS[Standing.RESTORE if placed else standing], one.digest)
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
        """The list at a destination. Raises `TrustError` if it is not this Sovereign's, or the destination's error."""
        data = shelf.read()
        if data is None:
            return None
        # A list that stops imports may be as old as its key. One that lets deliveries in, for a restore, may not:
        # whoever has an expired key of this Sovereign could write a list of anything.
        known = Known.NOTHING if self.restore else Known.SUBJECT
        now, where = self.diary.clock(), shelf.where
        verified = verify_bundle(data, self.trust, where, now=now, known=known, limit=MAX_EVIDENCE_BUNDLE)
        body, subject = verified.statement.body, verified.statement.subject
        if not isinstance(body, AcceptedList):
            what = f"{article(verified.statement.kind)} statement"
        elif body.sovereign != self.trust.sovereign:
            what = f"the list of {body.sovereign!r}"
        elif body.newest != subject:
            what = f"a list about {subject}, which is not its newest entry"
        else:
            if not good_now(verified.key, now):
                self._aging.add(shelf.url)
            return body
        raise TrustError(
            "list-of-another",
            f"{where}: {what}, expected the list of {self.trust.sovereign!r}",
            "find out who wrote it; use a separate repository for each Sovereign",
        )

    def _believed(self) -> dict[str, AcceptedList]:
        return {url: found for url, found in self._lists.items() if found is not None}

    def _need_lists(self) -> None:
        """Without a state, an unreadable list stops the import: the cause of the loss may have damaged the list too."""
        for url, error in self._unread.items():
            if isinstance(error, UpstreamError | StoreError):
                raise error.with_where(
                    f"cannot read the list of accepted deliveries (needed because {self.file.path} does not exist)"
                )
            raise TrustError(
                "list-not-believed",
                f"{self.file.path} is missing, and the accepted list at {url} cannot be verified: {error.what}",
                error.hint
                if isinstance(error, EndedKeyError)
                else "find out who wrote that list. If an old key of this Sovereign signed it, add that key to the "
                "Trust resource. If nothing was ever imported here, delete the list. Then import again",
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
            f"this Sovereign's signed list at {url} has {len(lost)} deliveries that are not in {self.file.path}; "
            f"the newest is number {newest.sequence} of stream {newest.stream!r}, accepted at "
            f"{utc_text(newest.accepted_at)}"
        )
        return TrustError(
            "state-rolled-back" if there else "state-lost",
            what if there else f"{what}; {self.file.path} is missing",
            "restore stateDir from a backup made after that delivery. If there is none, import any earlier accepted "
            "delivery with --restore; this rebuilds the state from the list",
        )

    def _keep(self, state: AcceptedState, station: Signatory) -> None:
        """Signs the list and stores it where it is missing or older. A destination that is down gets it next time."""
        full = len(state.deliveries)
        behind = []
        for shelf in self.shelves:
            found = self._lists.get(shelf.url)
            unread = self._unread.get(shelf.url)
            if isinstance(unread, UpstreamError | StoreError):
                if shelf.url not in self._gone:  # the caller has already reported those
                    self.unkept[shelf.url] = unread
            elif found is None or len(found.deliveries) < full or shelf.url in self._aging:
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
        """Reads the list again before writing. Raises `TrustError` if another machine has written it meanwhile."""
        try:
            found = self._read(shelf)
        except (TrustError, IntegrityError) as error:
            self.note(f"note: {shelf.where}: replaced by this Sovereign's own list: {error}")
            found = None
        lost = state.lacks(found.deliveries) if found is not None else []
        if lost:
            raise self._forgotten(shelf.url, lost)
        shelf.write(bundle)
