"""`receive`: what comes over one-way roads into an inbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airgap.base.errors import AirgapError, InputError, StoreError
from airgap.base.places import check_file
from airgap.diode.folder.intake import FolderIntake
from airgap.diode.inbox import Inbox
from airgap.diode.keys import read_shared_key
from airgap.diode.metrics import Metric, write_metrics
from airgap.diode.received import Arrived
from airgap.diode.roads import Intake, ReceiveSettings, open_intake
from airgap.diode.udp.road import UdpReceiver
from airgap.diode.udp.sockets import RECEIVE_BUFFER
from airgap.jobs.inbox import inbox_gate
from airgap.jobs.receive_report import OnTheWay, ReceiveReport
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.resources.load import load_trust

TICK = 0.2
"""Seconds between two looks at the clock."""
METRICS_EVERY = 15.0
"""Seconds between two writes of the metrics."""

Tell = Callable[[dict[str, Any], str], None]
"""Takes what happened: a JSON object, and its sentence."""


@dataclass(frozen=True, slots=True)
class ReceiveOptions:
    """Which roads lead into which inbox, and what may come in."""

    inbox: Path
    trust: Path
    """The Trust resource: what `verify` passes with it comes in."""
    listen: tuple[str, ...] = ()
    """Addresses of roads."""
    watch: tuple[Path, ...] = ()
    """Folders that a box copies into."""
    empty: bool = False
    """Delete files of the folders once their delivery is in the inbox."""
    shared_key: Path | None = None
    unauthenticated: bool = False
    """Receive packets without a shared key: expressly."""
    buffer: int = RECEIVE_BUFFER
    """Bytes of the kernel's buffer for packets."""
    once: bool = False
    """End after one delivery."""
    span: timedelta | None = None
    """End after this time."""
    alarm_after: timedelta | None = None
    """How long the sender may be silent; `None` for three times what its beats announce."""
    metrics: Path | None = None
    jobs: int = DEFAULT_JOBS
    stdin: int = 0


@dataclass(frozen=True, slots=True)
class ReceivedNow:
    """What came in this run, and what is on its way."""

    arrived: tuple[Arrived, ...]
    on_the_way: tuple[OnTheWay, ...]
    refused: tuple[AirgapError, ...]
    troubles: tuple[AirgapError, ...]
    """Failures of the disk and of roads."""


def receive(options: ReceiveOptions, surroundings: Surroundings, tell: Tell, stop: threading.Event) -> ReceivedNow:
    """Receives until `stop`, the end of a pipe, the first delivery (`once`), or the end of `span`.

    Without a road it only says what is on its way. Raises `InputError`, `StoreError`, and the error of a road that
    cannot go on.
    """
    if options.metrics is not None:
        check_file(options.metrics, "--metrics")
    secret = b"" if options.shared_key is None else read_shared_key(options.shared_key)
    sovereign = load_trust(options.trust).sovereign
    report = ReceiveReport(tell, secret, sovereign, surroundings, options.alarm_after)
    inbox = Inbox(options.inbox, inbox_gate(options.trust, surroundings, options.jobs), report, surroundings.clock)
    try:
        report.inbox = inbox
        settings = ReceiveSettings(
            inbox, report, secret, options.stdin, options.buffer, unauthenticated=options.unauthenticated
        )
        roads = [open_intake(address, settings) for address in options.listen]
        for folder in options.watch:
            if not folder.is_dir():
                raise InputError("bad-road", f"--watch {folder}: there is no such folder", "name the box's folder")
            roads.append(FolderIntake(folder, inbox, report, secret, empty=options.empty))
        if roads:
            inbox.start()
            _run(options, roads, inbox, report, stop)
        elif inbox.elsewhere:
            raise StoreError(
                "locked",
                f"{inbox.folder}: of {inbox.elsewhere} on the way only the process that has it knows what is missing",
                "look at what the other receiver shows, or stop it and run this command again",
            )
        way = tuple(report.on_the_way())
        return ReceivedNow(tuple(report.arrived), way, tuple(report.refusals), tuple(report.troubles))
    finally:
        inbox.stop()


def _run(
    options: ReceiveOptions, roads: list[Intake], inbox: Inbox, report: ReceiveReport, stop: threading.Event
) -> None:
    over, failures = threading.Event(), list[BaseException]()

    def run(road: Intake) -> None:
        try:
            road.run(over)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
            if isinstance(error, AirgapError):
                report.trouble(error)

    threads = [threading.Thread(target=run, args=(road,), daemon=True) for road in roads]
    for thread, road in zip(threads, roads, strict=True):
        report.listening(road.where)
        thread.start()
    until = None if options.span is None else time.monotonic() + options.span.total_seconds()
    due = 0.0
    try:
        while not stop.wait(TICK):
            report.tick()
            inbox.check()
            if time.monotonic() >= due:
                due = time.monotonic() + METRICS_EVERY
                _write(options, report, roads)
            ended = not any(thread.is_alive() for thread in threads)
            if ended or (options.once and report.arrived) or (until is not None and time.monotonic() >= until):
                break
    finally:
        over.set()
        for thread in threads:
            thread.join()
    inbox.settle(last=True)
    report.tick()
    _write(options, report, roads)
    if failures:
        raise failures[0]


def _write(options: ReceiveOptions, report: ReceiveReport, roads: Sequence[Intake]) -> None:
    """Writes the metrics. A full disk must not end a receiver."""
    if options.metrics is not None:
        try:
            write_metrics(options.metrics, [*report.metrics(), *_packets(roads)])
        except StoreError as error:
            report.trouble(error)


def _packets(roads: Sequence[Intake]) -> list[Metric]:
    """What came by UDP, which nobody else can count."""
    counts = [road.counts.as_dict() for road in roads if isinstance(road, UdpReceiver)]
    if not counts:
        return []
    sums = {name: float(sum(one[name] for one in counts)) for name in counts[0]}
    return [Metric("airgap_receive_packets_total", "Packets by UDP since the start.", sums, "what")]
