"""What a Sovereign (or a station) has accepted: durable, append-only, read before and written right after admission.

One file, `accepted.json`, in the state folder. It contains every delivery that was ever accepted, because sequence
numbers, ids and baselines are checked against it. It is never reset silently: a state that cannot be read stops every
import, because a forgotten sequence would let old deliveries in again. Its checksum detects damage and manual edits,
but not an attacker who can write here. Comparing it with the list at the destination detects such an attacker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder, write_durably
from airgap.base.errors import AirgapError, StoreError, TrustError
from airgap.base.inputs import NotPlainError, read_plain
from airgap.base.json_fields import Fields
from airgap.base.locks import locked
from airgap.base.times import utc_text

FILE = "accepted.json"
API_VERSION = "airgap.openova.io/v1alpha1"
MAX_STATE = 256 << 20
"""Bytes of the file: about 500,000 deliveries."""
ENTRY = frozenset({"stream", "sequence", "id", "digest", "signedAt", "acceptedAt"})
"""The JSON names of one accepted delivery."""


class Standing(StrEnum):
    """How a delivery relates to those that were accepted before."""

    NEW = "new"
    """It is not known to have been accepted. With `restore`, it may belong before others (`AcceptedState.adding`)."""
    RESUME = "resume"
    """The stream's last delivery again: an interrupted import continues."""
    RESTORE = "restore"
    """An earlier delivery again, on request: adds content, moves no name back."""


class Numbered(Protocol):
    """A delivery by its id and its number in a stream."""

    @property
    def id(self) -> str:
        """The delivery's own UUID."""

    @property
    def stream(self) -> str:
        """The stream in which it is numbered."""

    @property
    def sequence(self) -> int:
        """Its number in that stream."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted delivery. `digest` is the digest of its AIRGAP.json."""

    stream: str
    sequence: int
    id: str
    digest: Digest
    signed_at: datetime
    """When it was cut, by its oldest delivery statement."""
    accepted_at: datetime
    """When it was accepted, by this machine's clock."""

    @property
    def named(self) -> tuple[str, int, str, Digest]:
        """The fields that identify this delivery."""
        return self.stream, self.sequence, self.id, self.digest

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "stream": self.stream,
            "sequence": self.sequence,
            "id": self.id,
            "digest": str(self.digest),
            "signedAt": utc_text(self.signed_at),
            "acceptedAt": utc_text(self.accepted_at),
        }

    @classmethod
    def read(cls, fields: Fields) -> Accepted:
        """Reads an entry from the file."""
        return cls(
            stream=fields.text("stream"),
            sequence=fields.number("sequence"),
            id=fields.text("id"),
            digest=fields.digest("digest"),
            signed_at=fields.time("signedAt"),
            accepted_at=fields.time("acceptedAt"),
        )


@dataclass(frozen=True, slots=True)
class AcceptedState:
    """Everything that `sovereign` accepted, oldest first. In each stream the sequence increases.

    The order is that in which deliveries were accepted, or belong if they were accepted again after a loss. It decides
    whose names are newer.
    """

    sovereign: str
    deliveries: tuple[Accepted, ...] = ()

    def last(self, stream: str) -> Accepted | None:
        """The stream's last accepted delivery."""
        return next((one for one in reversed(self.deliveries) if one.stream == stream), None)

    def find(self, digest: Digest) -> Accepted | None:
        """The accepted delivery with this AIRGAP.json."""
        return next((one for one in self.deliveries if one.digest == digest), None)

    def before(self, stream: str, sequence: int) -> Accepted | None:
        """The stream's last accepted delivery with a lower number."""
        lower = (one for one in reversed(self.deliveries) if one.sequence < sequence)
        return next((one for one in lower if one.stream == stream), None)

    def after(self, stream: str, sequence: int) -> Accepted | None:
        """The stream's first accepted delivery with a higher number."""
        return next((one for one in self.deliveries if one.stream == stream and one.sequence > sequence), None)

    def latest_time(self) -> datetime | None:
        """The latest time recorded in this state."""
        times = [moment for one in self.deliveries for moment in (one.signed_at, one.accepted_at)]
        return max(times, default=None)

    def standing(self, one: Numbered, digest: Digest, *, restore: bool = False) -> Standing:
        """How the delivery with this AIRGAP.json relates to this state.

        Raises `TrustError`: `delivery-replayed` for an accepted one that is not the last, unless `restore`;
        `delivery-id-taken` for a different delivery with a known id; `sequence-taken` for a different delivery with the
        last number, and with `restore` with any number that was accepted; `older-sequence` for one with a lower number,
        unless `restore`: after a loss, deliveries come in again in any order.
        """
        known, last = self.find(digest), self.last(one.stream)
        what = f"delivery {one.id}, number {one.sequence} of stream {one.stream!r}"
        if known is not None and known == last:
            return Standing.RESUME
        if known is not None and restore:
            return Standing.RESTORE
        if known is not None:
            raise TrustError(
                "delivery-replayed",
                f"{what} was accepted at {utc_text(known.accepted_at)}, and later ones followed",
                "no action is needed; to restore lost content, import it with --restore",
            )
        if any(other.id == one.id for other in self.deliveries):
            raise TrustError(
                "delivery-id-taken",
                f"{what}: a different delivery with this id was accepted",
                "cut the delivery again",
            )
        same = (other for other in self.deliveries if (other.stream, other.sequence) == (one.stream, one.sequence))
        taken = next(same, None)
        if taken is not None and (restore or taken == last):
            raise TrustError(
                "sequence-taken",
                f"{what}: number {taken.sequence} was already used by another delivery, {taken.id}",
                "two stores cut deliveries for this stream: give each store its own stream, then cut the delivery "
                "again",
            )
        if last is not None and one.sequence < last.sequence and not restore:
            raise TrustError(
                "older-sequence",
                f"{what}: number {last.sequence} was accepted already, at {utc_text(last.accepted_at)}",
                "cut a new delivery from the same locks; if its number is too low again, cut it for a new stream "
                "(--stream). If the site was lost and this comes from the safe: import it with --restore",
            )
        return Standing.NEW

    def adding(self, one: Accepted, *, restore: bool = False) -> AcceptedState:
        """The state with one more delivery, as the last one.

        With `restore`, it is put where it belongs: after all of its stream with lower numbers, and else before the
        first one with a higher number or, in another stream, that was signed later. So whatever is accepted with
        `restore`, in whatever order, the state is the same: the order of signing, and in each stream of the numbers.
        """
        known = self.deliveries
        if not restore:
            return AcceptedState(self.sovereign, (*known, one))
        mine = [at for at, other in enumerate(known) if other.stream == one.stream and other.sequence < one.sequence]
        least = mine[-1] + 1 if mine else 0
        place = next((at for at in range(least, len(known)) if _belongs_before(one, known[at])), len(known))
        return AcceptedState(self.sovereign, (*known[:place], one, *known[place:]))

    def lacks(self, others: Iterable[Accepted]) -> list[Accepted]:
        """Those of `others` that are not in this state, by stream, number, id and digest."""
        mine = {one.named for one in self.deliveries}
        return [one for one in others if one.named not in mine]

    def merged(self, others: Iterable[Accepted]) -> AcceptedState:
        """This state and `others`, which are in the order of their acceptance, together, oldest first.

        If `others` contain this state, their order stands: it decides whose names are newer, and clocks may jump back.
        Otherwise the numbers decide within a stream, and the times between streams; of two times at which a delivery
        was accepted, the earlier one, because the other is that of a restore.

        Raises `TrustError` (`state-conflict`) if the two have different deliveries under one number or id.
        """
        told = list(others)
        added = self.lacks(told)
        if not added:
            return self
        mine = {one.named: one for one in self.deliveries}
        if mine.keys() <= {one.named for one in told}:
            made = AcceptedState(self.sovereign, tuple(mine.get(one.named, one) for one in told))
        else:
            theirs = {one.named: one for one in told}
            every = [min(one, theirs.get(one.named, one), key=_accepted_at) for one in self.deliveries]
            made = AcceptedState(self.sovereign, _by_time([*every, *added]))
        odd = made.disorder()
        if odd:
            raise TrustError(
                "state-conflict",
                f"the records of deliveries accepted by {self.sovereign!r} contradict each other: {odd}",
                "two machines import for this Sovereign with different stateDirs; restore the right stateDir from a "
                "backup, and use only that one",
            )
        return made

    def disorder(self) -> str:
        """Why this cannot be the content of one state; `""` if it can."""
        last, ids, digests = dict[str, int](), set[str](), set[Digest]()
        for one in self.deliveries:
            what = f"number {one.sequence} of stream {one.stream!r}"
            if one.sequence <= last.get(one.stream, -1):
                return f"{what} follows number {last[one.stream]}"
            if one.id in ids or one.digest in digests:
                return f"{what} has the id or the AIRGAP.json of another delivery"
            last[one.stream] = one.sequence
            ids.add(one.id)
            digests.add(one.digest)
        return ""

    def encode(self) -> bytes:
        """The file's bytes: readable JSON, with the checksum of its canonical form."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "Accepted",
            "sovereign": self.sovereign,
            "deliveries": [one.as_dict() for one in self.deliveries],
        }
        return canonical({**body, "checksum": str(Digest.of(canonical(body)))}) + b"\n"

    @classmethod
    def decode(cls, data: bytes, where: str, sovereign: str) -> AcceptedState:
        """Reads the file. Raises `StoreError` (`state-damaged`, `state-of-another`)."""
        names = {"apiVersion", "kind", "sovereign", "deliveries", "checksum"}
        fields = Fields.parse(data, names, where, _damaged)
        fields.choice("apiVersion", {API_VERSION})
        fields.choice("kind", {"Accepted"})
        deliveries = tuple(Accepted.read(entry) for entry in fields.each("deliveries", ENTRY))
        state = cls(fields.text("sovereign"), deliveries)
        if state.encode() != data:
            raise _damaged(f"{where}: the checksum is wrong: the file was edited by hand or is damaged")
        if state.sovereign != sovereign:
            raise StoreError(
                "state-of-another",
                f"{where}: belongs to {state.sovereign!r}, expected {sovereign!r}",
                f"pass the files of {state.sovereign!r:.100}; or use a separate stateDir for each Sovereign, and a "
                "separate store for each station",
            )
        return state


def read_state(path: Path, limit: int, damaged: Callable[[str], AirgapError]) -> bytes | None:
    """A file of at most `limit` bytes in a state folder, `None` if there is none. Raises `StoreError`, `damaged`."""
    with disk_errors(path):
        try:
            data = read_plain(path, limit)
        except FileNotFoundError:
            return None
        except NotPlainError as error:
            raise damaged(f"{path}: not a file") from error
    if data is None:
        raise damaged(f"{path}: more than {limit} bytes")
    return data


class StateFile:
    """`accepted.json` in a state folder. Safe for several processes."""

    __slots__ = ("_sovereign", "path")

    def __init__(self, folder: Path, sovereign: str) -> None:
        self.path = folder / FILE
        self._sovereign = sovereign

    def load(self) -> AcceptedState:
        """The state; an empty one if there is no file yet. Raises `StoreError`."""
        data = read_state(self.path, MAX_STATE, _damaged)
        return (
            AcceptedState(self._sovereign)
            if data is None
            else AcceptedState.decode(data, str(self.path), self._sovereign)
        )

    def exists(self) -> bool:
        """True if there is a file: this Sovereign has accepted something on this machine."""
        with disk_errors(self.path):
            return self.path.is_symlink() or self.path.exists()

    def rebuild(self, others: Iterable[Accepted]) -> AcceptedState:
        """Adds deliveries that a signed list of this Sovereign contains and the file lacks; durable on return.

        Raises `StoreError`, and as `merged` does.
        """
        make_folder(self.path.parent)
        with locked(self.path.with_name(f".{FILE}.lock")):
            state = self.load()
            made = state.merged(others)
            if made != state:
                write_durably(self.path, made.encode(), 0o600)
            return made

    def record(self, one: Accepted, *, restore: bool = False) -> AcceptedState:
        """Records an admitted delivery; durable on return. Call it before anything becomes visible.

        Reads the state again, under its lock, because another import may have been faster: raises as `standing` does,
        and `StoreError`. A resumed or restored delivery is already recorded, so nothing changes.
        """
        make_folder(self.path.parent)
        with locked(self.path.with_name(f".{FILE}.lock")):
            state = self.load()
            if state.standing(one, one.digest, restore=restore) is not Standing.NEW:
                return state
            state = state.adding(one, restore=restore)
            write_durably(self.path, state.encode(), 0o600)
            return state


def _belongs_before(one: Accepted, other: Accepted) -> bool:
    if one.stream == other.stream:
        return one.sequence < other.sequence
    return (one.signed_at, one.stream) < (other.signed_at, other.stream)


def _accepted_at(one: Accepted) -> datetime:
    return one.accepted_at


def _by_time(deliveries: Iterable[Accepted]) -> tuple[Accepted, ...]:
    """Deliveries of two records, each stream in the order of its numbers."""
    since: dict[str, datetime] = {}
    placed = []
    for one in sorted(deliveries, key=lambda one: (one.stream, one.sequence)):
        since[one.stream] = max(one.accepted_at, since.get(one.stream, one.accepted_at))
        placed.append((since[one.stream], one))
    placed.sort(key=lambda entry: entry[0])
    return tuple(one for _, one in placed)


def _damaged(what: str) -> AirgapError:
    return StoreError(
        "state-damaged",
        what,
        "restore the file from a backup; without it, old deliveries could be imported again",
    )
