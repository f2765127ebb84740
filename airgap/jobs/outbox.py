"""`send --watch`: a folder of deliveries as a service. Each new one is sent; in between, beats say that it lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder
from airgap.base.errors import AirgapError, IntegrityError, StoreError, UpstreamError
from airgap.base.inputs import read_plain
from airgap.base.places import check_file, check_folder
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import MAX_INDEX
from airgap.diode.beats import DEFAULT_EVERY
from airgap.diode.metrics import Metric, write_metrics
from airgap.diode.outgoing import Outgoing, open_outgoing
from airgap.diode.roads import Outlet, open_outlet
from airgap.jobs.send import SendOptions, SentNow, beat_of, note_sent, send_one, send_settings, sent_records
from airgap.jobs.surroundings import Surroundings

AGAIN_AFTER = 15.0
"""Seconds after which a road that failed is tried again."""
LOOK_EVERY = 2.0
"""Seconds between two looks into the folder."""
DAMAGED_FOR = 600.0
"""Seconds for which a delivery that turned out to be damaged is left alone."""


@dataclass(frozen=True, slots=True)
class OutboxOptions:
    """Which folder is sent, and how."""

    folder: Path
    """Each folder in it that contains AIRGAP.json is a delivery."""
    send: SendOptions
    """The road and the key. It names no delivery."""
    every: int = DEFAULT_EVERY
    """Seconds between two beats."""
    metrics: Path | None = None
    """The file for metrics."""


class Outbox:
    """The service. Everything that was sent from these records before is not sent again."""

    def __init__(self, options: OutboxOptions, surroundings: Surroundings, tell: Callable[[SentNow], None]) -> None:
        """Opens the road. `tell` is called after each delivery. Raises `InputError`, `UpstreamError`, `StoreError`."""
        self._options, self._surroundings, self._tell = options, surroundings, tell
        check_folder(options.folder, "--watch")
        make_folder(options.folder)
        if options.metrics is not None:
            check_file(options.metrics, "--metrics")
        self._records = sent_records(options.send.store, surroundings)
        self._settings = send_settings(options.send, surroundings)
        self._outlet: Outlet | None = open_outlet(options.send.to, self._settings)
        self._digests: dict[Path, tuple[tuple[int, int], Digest]] = {}
        self._damaged: dict[Digest, float] = {}
        self._said: dict[Path, str] = {}
        self._beat_due = 0.0
        self._sent = self._bytes = self._failures = 0
        self._last = 0.0

    def run(self, stop: threading.Event) -> None:
        """Works until `stop`. A road that fails is tried again. Raises `StoreError`."""
        try:
            while not stop.is_set():
                pause = LOOK_EVERY
                try:
                    self.work()
                except UpstreamError as error:
                    self._failed(error)
                    pause = AGAIN_AFTER
                stop.wait(pause)
        finally:
            if self._outlet is not None:
                self._outlet.close()

    def work(self) -> None:
        """Sends what is new, and a beat if it is due. Raises `UpstreamError`, `StoreError`."""
        if self._outlet is None:
            self._outlet = open_outlet(self._options.send.to, self._settings)
        for folder, outgoing in self._waiting():
            with self._damage_noted(outgoing), self._records.sending():
                began = time.monotonic()
                send_one(self._outlet, outgoing, self._surroundings)
                to = self._options.send.to
                record = note_sent(self._records, outgoing, (folder,), to, self._surroundings)
                self._sent, self._bytes = self._sent + 1, self._bytes + outgoing.bytes
                self._last = self._surroundings.clock().timestamp()
                self._tell(SentNow(record, outgoing.bytes, time.monotonic() - began))
            self._beat_due = 0.0
        if time.monotonic() >= self._beat_due:
            every = self._options.every
            self._outlet.beat(beat_of(self._records, self._options.send.to, every, self._surroundings))
            self._beat_due = time.monotonic() + every
            self._write_metrics()

    @contextmanager
    def _damage_noted(self, outgoing: Outgoing) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            self._damaged[outgoing.digest] = time.monotonic() + DAMAGED_FOR
            self._failures += 1
            self._surroundings.note(f"not sent: {error}")

    def _failed(self, error: UpstreamError) -> None:
        self._failures += 1
        self._surroundings.note(f"{error}; trying again every {AGAIN_AFTER:.0f} s")
        if self._outlet is not None:
            self._outlet.close()
        self._outlet = None
        self._write_metrics()

    def _waiting(self) -> list[tuple[Path, Outgoing]]:
        """The deliveries that were not sent and whose files are all there, in the order of their numbers."""
        known = {one.delivery for one in self._records.all()}
        found = list[tuple[Path, Outgoing]]()
        with disk_errors(self._options.folder):
            places = sorted(path for path in self._options.folder.iterdir() if (path / INDEX_NAME).is_file())
        for place in places:
            try:
                digest = self._digest(place)
                if digest not in known and time.monotonic() >= self._damaged.get(digest, 0.0):
                    found.append((place, open_outgoing((place,))))
            except AirgapError as error:
                if self._said.get(place) != str(error):
                    self._said[place] = str(error)
                    self._surroundings.note(f"{place} is not sent yet: {error}")
        return sorted(found, key=lambda one: (one[1].index.journey.created, one[1].index.journey.sequence))

    def _digest(self, place: Path) -> Digest:
        """The digest of AIRGAP.json, which is read again only if it changed."""
        path = place / INDEX_NAME
        with disk_errors(path):
            info = path.stat()
            stamp = (info.st_size, info.st_mtime_ns)
            if place not in self._digests or self._digests[place][0] != stamp:
                self._digests[place] = (stamp, Digest.of(read_plain(path, MAX_INDEX) or b""))
        return self._digests[place][1]

    def _write_metrics(self) -> None:
        if self._options.metrics is None:
            return
        try:
            write_metrics(self._options.metrics, self._metrics())
        except StoreError as error:  # a full disk must not end a sender
            self._surroundings.note(f"no metrics: {error}")

    def _metrics(self) -> list[Metric]:
        states = [one.state for one in self._records.all()]
        return [
            Metric("airgap_send_deliveries_total", "Deliveries that were sent since the start.", self._sent),
            Metric("airgap_send_bytes_total", "Bytes of them, each pass counted once.", self._bytes),
            Metric("airgap_send_failures_total", "Failures of the road, and damaged deliveries.", self._failures),
            Metric("airgap_send_last_time_seconds", "When a delivery was sent last; 0 for none.", self._last),
            Metric("airgap_send_beat_time_seconds", "When this was written.", self._surroundings.clock().timestamp()),
            Metric(
                "airgap_send_records",
                "Deliveries in the records.",
                {state: float(states.count(state)) for state in ("sent", "delivered")},
                "state",
            ),
        ]
