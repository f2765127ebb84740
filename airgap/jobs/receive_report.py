"""What a receiver tells: what comes, what is missing and the code for it, and when the sender falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from airgap.base.amounts import human
from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, MissingStatementError, StoreError
from airgap.base.text import Lines
from airgap.base.times import utc_text
from airgap.diode.assembly import Assembly, Missing
from airgap.diode.beats import Beat, SentBefore
from airgap.diode.codes import everything_code, receipt_code, resend_code
from airgap.diode.inbox import Inbox
from airgap.diode.metrics import Metric
from airgap.diode.received import Arrived
from airgap.jobs.surroundings import Surroundings

SAY_AGAIN = 60.0
"""Seconds for which the same trouble is not said again."""
REFUSED_AGAIN = 3600.0
"""Seconds for which the same refusal is not said again: roads repeat their beginning all the time."""
BEATS_MISSED = 3
"""Beats that may be missed before the alarm, if nobody said how long the sender may be silent."""
MAX_KEPT = 100
"""Refusals, and troubles, that are kept for the end."""
MAX_SAID = 1000
"""Sentences that are remembered, so that they are not said again."""
MAX_FILES = 10
"""Files that a report of what is missing names."""


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """A delivery that is not whole."""

    delivery: Digest
    stream: str
    sequence: int
    bytes: int
    received: int
    files: tuple[tuple[str, int], ...]
    """The files of which something is missing, and how many bytes."""
    code: str
    """What the other side types."""

    @classmethod
    def of(cls, assembly: Assembly) -> OnTheWay:
        """What is missing of a delivery now."""
        missing: Missing = assembly.missing()
        files = tuple(
            (assembly.files[n].name, sum(end - begin for begin, end in ranges)) for n, ranges in missing.items()
        )
        journey = assembly.index.journey
        code = resend_code(assembly.digest, assembly.files, missing) if missing else ""
        total, lost = assembly.total, sum(size for _, size in files)
        return cls(assembly.digest, journey.stream, journey.sequence, total, total - lost, files, code)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "delivery": str(self.delivery),
            "stream": self.stream,
            "sequence": self.sequence,
            "bytes": self.bytes,
            "received": self.received,
            "missing": [{"file": name, "bytes": size} for name, size in self.files],
            "code": self.code,
        }

    def words(self) -> str:
        """The sentence for people."""
        what = _name(self)
        if not self.files:
            return f"{what} is whole, and not in the inbox yet"
        named = ", ".join(f"{name} ({human(size)})" for name, size in self.files[:MAX_FILES])
        more = f" and {len(self.files) - MAX_FILES} more files" if len(self.files) > MAX_FILES else ""
        lost = self.bytes - self.received
        return Lines.of(
            [
                f"{what}: {human(lost)} of {human(self.bytes)} are missing, of {named}{more}",
                f"  on the sending side: airgap send --resend {self.code}",
            ]
        )


class ReceiveReport:
    """Is told by the inbox and by all roads; tells on. Thread-safe."""

    inbox: Inbox

    def __init__(
        self,
        tell: Callable[[dict[str, Any], str], None],
        secret: bytes,
        sovereign: str,
        surroundings: Surroundings,
        alarm_after: timedelta | None,
    ) -> None:
        self._tell, self._secret, self._sovereign, self._surroundings = tell, secret, sovereign, surroundings
        self._lock = threading.RLock()
        self._said: dict[str, float] = {}
        self.arrived: list[Arrived] = []
        self.refusals: list[AirgapError] = []
        self.troubles: list[AirgapError] = []
        self._counts = {"arrived": 0, "already": 0, "refused": 0}
        self._troubles = 0
        self._alarm_after = None if alarm_after is None else alarm_after.total_seconds()
        self._heard = time.monotonic()
        self._last_beat: Beat | None = None
        self._alarm = False
        self._received = 0
        self._unseen: dict[Digest, int] = {}
        self._over: dict[Digest, Assembly] = {}

    # what the inbox says

    def finished(self, arrived: Arrived) -> None:
        """As `InboxListener.finished`."""
        code = receipt_code(self._secret, arrived.digest)
        where = self.inbox.folder / arrived.folder
        document = {
            "event": "arrived",
            "delivery": str(arrived.digest),
            "stream": arrived.stream,
            "sequence": arrived.sequence,
            "bytes": arrived.bytes,
            "folder": str(where),
            "receiptCode": code,
        }
        text = Lines.of(
            [
                f"{_name(arrived)} is whole and verified: {where}",
                f"  on the sending side: airgap sent {code}",
            ]
        )
        with self._lock:
            self.arrived.append(arrived)
            self._counts["arrived"] += 1
            self._tell(document, text)

    def refused(self, digest: Digest, error: AirgapError) -> None:
        """As `InboxListener.refused`."""
        self._refusal(digest, error, "refused; what arrived of it is kept, and judged again every minute")

    def damaged(self, assembly: Assembly, file: str, lost: int) -> None:
        """As `InboxListener.damaged`."""
        text = f"{file} of delivery {assembly.digest.short} arrived damaged: {human(lost)} of it are missing again"
        self._say({"event": "damaged", "delivery": str(assembly.digest), "file": file, "bytes": lost}, text)

    def mended(self, assembly: Assembly, files: Sequence[str]) -> None:
        """As `InboxListener.mended`."""
        named = ", ".join(files[:MAX_FILES]) + (f" and {len(files) - MAX_FILES} more" if len(files) > MAX_FILES else "")
        text = f"{_name(assembly.index.journey)}: computed again with its parity files: {named}"
        self._say({"event": "mended", "delivery": str(assembly.digest), "files": list(files)}, text)

    def alive(self) -> None:
        """The sender sends what is here already."""
        with self._lock:
            self._alive()

    def trouble(self, error: AirgapError) -> None:
        """As `InboxListener.trouble`, and `RoadListener.trouble`."""
        with self._lock:
            self._troubles += 1
            if not self._may_say(str(error), SAY_AGAIN):
                return
            kept = self.troubles if isinstance(error, StoreError | MissingStatementError) else self.refusals
            kept.append(error)
            del kept[:-MAX_KEPT]
        hint = f"; next: {error.hint}" if error.hint else ""
        self._say({"event": "trouble", **error.as_dict()}, f"{error}{hint}")

    # what roads say

    def listening(self, where: str) -> None:
        """A road is open."""
        self._say({"event": "listening", "on": where}, f"receiving from {where}")

    def began(self, assembly: Assembly) -> None:
        """As `RoadListener.began`."""
        journey, received = assembly.index.journey, assembly.received
        goes_on = f", {human(received)} of it are here already" if received else ""
        newest = self.inbox.received.newest(journey.stream)
        older = newest is not None and newest.sequence > journey.sequence
        behind = f"; number {newest.sequence} is here already: import this one first" if older and newest else ""
        self._say(
            {"event": "began", **OnTheWay.of(assembly).as_dict()},
            f"{_name(journey)} comes in: {human(assembly.total)}{goes_on}{behind}",
        )

    def already(self, arrived: Arrived) -> None:
        """As `RoadListener.already`."""
        with self._lock:
            self._counts["already"] += 1
        code = receipt_code(self._secret, arrived.digest)
        self._say(
            {"event": "already-there", "delivery": str(arrived.digest), "folder": arrived.folder, "receiptCode": code},
            f"{_name(arrived)} comes again: it is already there, since {arrived.at}, as {arrived.folder} "
            f"(receipt code {code})",
        )

    def turned_away(self, delivery: Digest | None, error: AirgapError) -> None:
        """As `RoadListener.turned_away`."""
        self._refusal(delivery, error, "refused; nothing of it was kept")

    def pass_over(self, assembly: Assembly) -> None:
        """As `RoadListener.pass_over`: `tick` says what is missing, so that a road waits for nothing."""
        with self._lock:
            self._over[assembly.digest] = assembly

    def beat(self, beat: Beat) -> None:
        """As `RoadListener.beat`. A beat that is older than the last one is a replay, and no sign of life."""
        with self._lock:
            if self._last_beat is not None and beat.at < self._last_beat.at:
                return
            self._last_beat = beat
            self._alive()
        for one in beat.sent:
            if one.sovereign == self._sovereign:
                self._check_seen(one)

    def _check_seen(self, one: SentBefore) -> None:
        """Says that nothing arrived of a delivery, when the second beat names it: the first may overtake it."""
        with self._lock:
            way = {assembly.digest for assembly in self.inbox.on_the_way()}
            if one.delivery in way or self.inbox.received.find(one.delivery) is not None:
                return
            if len(self._unseen) > 10_000:
                self._unseen.clear()
            self._unseen[one.delivery] = self._unseen.get(one.delivery, 0) + 1
            if self._unseen[one.delivery] != 2:
                return
        code = everything_code(one.delivery)
        text = Lines.of(
            [
                f"{_name(one)} was sent, and nothing of it arrived",
                f"  on the sending side: airgap send --resend {code}",
            ]
        )
        self._say({"event": "unseen", "delivery": str(one.delivery), "code": code}, text)

    # time

    def tick(self) -> None:
        """Says what is missing after a pass; raises the alarm if the sender is silent for too long."""
        with self._lock:
            over, self._over = list(self._over.values()), {}
        if over:
            self.inbox.settle()  # what was damaged is missing, too
        for missing in (OnTheWay.of(one) for one in over if one.missing()):
            self._say({"event": "missing", **missing.as_dict()}, missing.words())
        with self._lock:
            received = sum(assembly.received for assembly in self.inbox.on_the_way())
            if received != self._received:
                self._received = received
                self._alive()
            limit = self._silence()
            if limit is None or self._alarm or time.monotonic() - self._heard < limit:
                return
            self._alarm = True
        last = "none since the start" if self._last_beat is None else f"the last at {utc_text(self._last_beat.at)}"
        self._say(
            {"event": "alarm", "silentFor": round(limit)},
            f"ALARM: no sign of life of the sender for {limit:.0f} s ({last}): look at the sender and at the road",
        )

    def _silence(self) -> float | None:
        """The seconds for which the sender may be silent; `None` if that is not known."""
        if self._alarm_after is not None:
            return self._alarm_after
        if self._last_beat is None or not self._last_beat.every:
            return None
        return float(BEATS_MISSED * self._last_beat.every)

    def _alive(self) -> None:
        self._heard = time.monotonic()
        if self._alarm:
            self._alarm = False
            self._say({"event": "alarm-over"}, "the sender gives signs of life again")

    # together

    def on_the_way(self) -> list[OnTheWay]:
        """What is missing of each delivery on its way."""
        return [OnTheWay.of(assembly) for assembly in self.inbox.on_the_way()]

    def metrics(self) -> list[Metric]:
        """The metrics of a receiver."""
        way = self.on_the_way()
        with self._lock:
            beat = 0.0 if self._last_beat is None else self._last_beat.at.timestamp()
            counts = {name: float(number) for name, number in self._counts.items()}
            return [
                Metric("airgap_receive_deliveries_total", "Deliveries since the start.", counts, "outcome"),
                Metric("airgap_receive_on_the_way", "Deliveries that are not whole.", len(way)),
                Metric(
                    "airgap_receive_missing_bytes", "Bytes that these lack.", sum(o.bytes - o.received for o in way)
                ),
                Metric("airgap_receive_troubles_total", "Failures of the disk or of a road.", self._troubles),
                Metric("airgap_receive_beat_time_seconds", "When the sender made its last beat; 0 for none.", beat),
                Metric("airgap_receive_silent_seconds", "Time without a sign of life.", time.monotonic() - self._heard),
                Metric("airgap_receive_alarm", "1 if the sender is silent for too long.", float(self._alarm)),
                Metric(
                    "airgap_receive_written_time_seconds",
                    "When this was written.",
                    self._surroundings.clock().timestamp(),
                ),
            ]

    def _refusal(self, delivery: Digest | None, error: AirgapError, what: str) -> None:
        with self._lock:
            if not self._may_say(f"{delivery} {error}", REFUSED_AGAIN):
                return
            self._counts["refused"] += 1
            self.refusals.append(error)
            del self.refusals[:-MAX_KEPT]
        name = "a delivery" if delivery is None else f"delivery {delivery.short}"
        hint = f"; next: {error.hint}" if error.hint else ""
        self._say({"event": "refused", "delivery": delivery, **error.as_dict()}, f"{name} is {what}: {error}{hint}")

    def _may_say(self, what: str, again: float) -> bool:
        """True if this was not said for `again` seconds."""
        now = time.monotonic()
        if now < self._said.get(what, 0.0):
            return False
        if len(self._said) >= MAX_SAID:  # whoever sends much that is refused gets no memory for it
            self._said.clear()
        self._said[what] = now + again
        return True

    def _say(self, document: dict[str, Any], text: str) -> None:
        with self._lock:
            self._tell(document, text)


class _Numbered(Protocol):
    @property
    def stream(self) -> str: ...
    @property
    def sequence(self) -> int: ...


def _name(one: _Numbered) -> str:
    return f"delivery {one.sequence} of stream {one.stream!r}"
