"""Which delivery wrote which name last, in the state folder: so that no earlier delivery moves a name back.

One file, `names.json`. Sequence numbers order the deliveries of one stream only; the order of acceptance orders all.
What a delivery is about to publish is written down before it is published, and marked when it is in place. Without the
file, or for a delivery that it does not know completely, nothing is assumed: then an earlier delivery moves no name but
those that did not exist when the file began to know them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.disk import write_durably
from airgap.base.errors import AirgapError, StoreError
from airgap.base.json_fields import Fields
from airgap.content.forms import Change, ChangeOutcome
from airgap.destinations.base import Key, Precedence
from airgap.statements.accepted_state import Accepted, AcceptedState, read_state

FILE = "names.json"
API_VERSION = "airgap.openova.io/v1alpha1"
MAX_NAMES = 256 << 20
"""Bytes of the file: more than a million names."""
FIELDS = frozenset({"apiVersion", "kind", "sovereign", "deliveries", "names", "checksum"})
NAME = frozenset({"url", "at", "name", "delivery", "done"})
ROLLED_BACK = "rolledBack"
"""The field of a name that was rolled back: what it holds since then."""
PLANNED = (ChangeOutcome.WRITE, ChangeOutcome.MOVED, ChangeOutcome.PRESENT)
DONE = (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT)

Place = tuple[str, str, str]
"""(URL, at, name)."""
Told = Iterable[tuple[str, Change]]
"""Changes, each with the URL of its destination."""


@dataclass(frozen=True, slots=True)
class Writer:
    """The last delivery that wrote a name."""

    delivery: Digest
    done: bool
    """False while it is only known that it was about to."""
    back: str = ""
    """What the name holds since that delivery was rolled back; `""` if it was not."""
    since: bool = False
    """True if it is certain that no delivery wrote the name before the first one that this file knows: it was not
    there. Then what is known of the name is all, even if of other deliveries not all is known."""


@dataclass(frozen=True, slots=True)
class Written:
    """The content of the file. `complete` are the deliveries all of whose names are in it.

    `accepted` are others that had been accepted when the file was begun anew.
    """

    sovereign: str
    complete: frozenset[Digest] = frozenset()
    accepted: frozenset[Digest] = frozenset()
    names: Mapping[Place, Writer] = field(default_factory=dict)

    def anew(self, accepted: AcceptedState) -> Written:
        """The content of a file that is begun anew after `accepted`, of whose names nothing is known.

        What was rolled back stays so.
        """
        known = frozenset(one.digest for one in accepted.deliveries)
        back = {place: writer for place, writer in self.names.items() if writer.back}
        return Written(self.sovereign, accepted=known, names=back)

    def encode(self) -> bytes:
        """The file's bytes: compact JSON with sorted fields, and at its end the digest of what comes before.

        Not the canonical form, which takes three times as long. Measured with 10,000 names: 26 ms, and 71 ms to read.
        """
        digests = sorted(self.complete | self.accepted | {one.delivery for one in self.names.values()})
        number = {digest: at for at, digest in enumerate(digests)}
        body: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "Names",
            "sovereign": self.sovereign,
            "deliveries": [{"digest": str(one), "complete": one in self.complete} for one in digests],
            "names": [
                {"url": url, "at": at, "name": name, "delivery": number[one.delivery], "done": one.done}
                | ({ROLLED_BACK: one.back} if one.back else {})
                | ({"since": True} if one.since else {})
                for (url, at, name), one in sorted(self.names.items())
            ],
        }
        data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        return data[:-1] + b',"checksum":"%s"}\n' % str(Digest.of(data)).encode()

    @classmethod
    def decode(cls, data: bytes, where: str, sovereign: str) -> Written:
        """Reads the file. Raises `StoreError` (`state-damaged`)."""
        fields = Fields.parse(data, FIELDS, where, _damaged)
        fields.choice("apiVersion", {API_VERSION})
        fields.choice("kind", {"Names"})
        fields.exactly("sovereign", sovereign)
        listed = fields.each("deliveries", {"digest", "complete"})
        digests = [one.digest("digest") for one in listed]
        names = {}
        for one in fields.each("names", NAME, {ROLLED_BACK, "since"}):
            number = one.number("delivery")
            if number >= len(digests):
                raise _damaged(f"{one.at('delivery')}: got {number}, expected less than {len(digests)}")
            place = (one.text("url"), one.text("at"), one.text("name"))
            back = one.text(ROLLED_BACK) if one.has(ROLLED_BACK) else ""
            since = one.has("since") and one.flag("since")
            names[place] = Writer(digests[number], one.flag("done"), back, since)
        complete = frozenset(digest for digest, one in zip(digests, listed, strict=True) if one.flag("complete"))
        made = cls(sovereign, complete, frozenset(digests) - complete, names)
        if made.encode() != data:
            raise _damaged(f"{where}: the checksum is wrong: the file was edited by hand or is damaged")
        return made

    def precedence(self, url: str, delivery: Digest, accepted: AcceptedState) -> Precedence:
        """Which names at `url` the delivery may write. One that was not accepted yet will be the last: it may all."""
        order = {one.digest: at for at, one in enumerate(accepted.deliveries)}
        if delivery not in order:
            return Precedence()
        after = accepted.deliveries[order[delivery] + 1 :]
        known = all(one.digest in self.complete for one in after)
        # A delivery that the file does not know at all came in after the file was written: a backup was restored.
        listed = all(one.digest in self.complete or one.digest in self.accepted for one in after)
        later, settled, movable = dict[Key, str](), set[Key](), set[Key]()
        back: dict[Key, str] = {}
        for (there, at, name), writer in self.names.items():
            if there != url:
                continue
            if writer.back and order.get(writer.delivery, len(order)) >= order[delivery]:
                back[at, name] = writer.back
            elif writer.delivery == delivery and writer.done:
                settled.add((at, name))
            elif writer.delivery != delivery and order.get(writer.delivery, len(order)) > order[delivery]:
                later[at, name] = _described(writer.delivery, after)
            elif known or (listed and writer.since):
                movable.add((at, name))
        settles = frozenset(settled if known else ())
        return Precedence(later, settles, frozenset(movable), last=not after, back=back)

    def rolled_back(self, delivery: Digest) -> frozenset[str]:
        """The URLs at which a rollback took the delivery's content off a name."""
        lost = (url for (url, _, _), writer in self.names.items() if writer.back and writer.delivery == delivery)
        return frozenset(lost)

    def holder(self, place: Place, delivery: Digest, accepted: AcceptedState) -> str:
        """Why a rollback of the delivery may not move the name, in words: another delivery has it; `""` if it may.

        A delivery that was rolled back itself has let go of the name.
        """
        writer = self.names.get(place)
        if writer is None or writer.back or writer.delivery == delivery:
            return ""
        return f"{_described(writer.delivery, accepted.deliveries)} has written this name since"


@dataclass(frozen=True, slots=True)
class NamesFile:
    """`names.json` in a state folder. An import uses it under the lock of the folder."""

    folder: Path
    sovereign: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder / FILE

    def load(self) -> Written:
        """The content; empty if there is no file. Raises `StoreError` (`state-damaged`)."""
        data = read_state(self.path, MAX_NAMES, _damaged)
        return Written(self.sovereign) if data is None else Written.decode(data, str(self.path), self.sovereign)

    def begin(self, delivery: Digest) -> None:
        """Notes that a new delivery has written no name yet; durable on return. Call it before the acceptance."""
        written = self.load()
        self._save(written, replace(written, complete=written.complete | {delivery}))

    def forget(self, accepted: AcceptedState) -> None:
        """Forgets what is known: the state of before is not whole, so names may have moved since. Durable on return.

        `accepted` are the deliveries that may have written names of which nothing is known.
        """
        before = self.load()
        self._save(before, before.anew(accepted))

    def plan(self, delivery: Digest, accepted: AcceptedState, told: Told, *, complete: bool) -> None:
        """Notes the names that the delivery is about to write; durable on return. Call it before they are published.

        `complete` is true if `told` has the names at every destination.
        """
        written = self.load()
        order = {one.digest: at for at, one in enumerate(accepted.deliveries)}
        mine = order.get(delivery, len(order))
        names = dict(written.names)
        for place, outcome in _places(told, PLANNED):
            before = names.get(place)
            if before is None or (before.delivery != delivery and order.get(before.delivery, mine + 1) < mine):
                since = outcome is ChangeOutcome.WRITE or (before is not None and before.since)
                names[place] = Writer(delivery, done=False, since=since)
        made = written.complete | {delivery} if complete else written.complete
        self._save(written, replace(written, complete=made, names=names))

    def settle(self, delivery: Digest, told: Told) -> None:
        """Notes which of the delivery's names are in place; durable on return."""
        written = self.load()
        done = {}
        for place, _ in _places(told, DONE):
            writer = written.names.get(place)
            if writer is not None and writer.delivery == delivery:
                done[place] = replace(writer, done=True)
        self._save(written, replace(written, names={**written.names, **done}))

    def roll_back(self, delivery: Digest, told: Told) -> None:
        """Notes what the names of a delivery hold after its rollback, the digests of `told`; durable on return.

        Call it before a name is moved. From then on no delivery up to this one writes other content there.
        """
        written = self.load()
        names = dict(written.names)
        for url, one in told:
            place = (url, one.at, one.name)
            writer = names.get(place)
            if writer is None or writer.delivery == delivery or writer.back:
                names[place] = replace(writer or Writer(delivery, done=True), back=one.digest)
        self._save(written, replace(written, names=names))

    def _save(self, before: Written, after: Written) -> None:
        if after != before:
            write_durably(self.path, after.encode(), 0o600)


def _places(told: Told, outcomes: Iterable[ChangeOutcome]) -> list[tuple[Place, ChangeOutcome]]:
    """The places of names that can hold other content later, with what becomes of them.

    None that contains its own digest.
    """
    return [
        ((url, one.at, one.name), one.outcome)
        for url, one in told
        if one.outcome in outcomes and one.signs is None and one.name and one.digest.rpartition(":")[2] not in one.name
    ]


def _described(delivery: Digest, after: Iterable[Accepted]) -> str:
    for one in after:
        if one.digest == delivery:
            return f"delivery {one.sequence} of stream {one.stream!r}"
    return f"delivery {delivery}"


def _damaged(what: str) -> AirgapError:
    return StoreError(
        "state-damaged",
        what,
        f"restore the file from a backup; if there is none, remove {FILE}: then no earlier delivery moves a name",
    )
