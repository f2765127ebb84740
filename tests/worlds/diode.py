"""An inbox for the golden delivery, and what happens in it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError
from airgap.diode.assembly import Assembly
from airgap.diode.beats import Beat
from airgap.diode.events import InboxListener
from airgap.diode.inbox import Inbox
from airgap.diode.received import Arrived
from airgap.jobs.inbox import inbox_gate
from airgap.jobs.receive import ReceiveOptions, receive
from tests.golden.site import FOLDER
from tests.worlds.surroundings import quiet

GOLDEN = FOLDER / "delivery-v1alpha1"
DELIVERY = GOLDEN / "delivery"
INDEX = (DELIVERY / "AIRGAP.json").read_bytes()
SIGNATURES = [path.read_bytes() for path in sorted((DELIVERY / "signatures").iterdir())]


@dataclass
class Heard:
    """A listener that keeps what it is told."""

    arrived: list[Arrived] = field(default_factory=list)
    refusals: list[AirgapError] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)
    troubles: list[AirgapError] = field(default_factory=list)
    computed: list[str] = field(default_factory=list)

    def finished(self, arrived: Arrived) -> None:
        self.arrived.append(arrived)

    def refused(self, digest: Digest, error: AirgapError) -> None:
        self.refusals.append(error)

    def damaged(self, assembly: Assembly, file: str, lost: int) -> None:
        self.lost.append((file, lost))

    def trouble(self, error: AirgapError) -> None:
        self.troubles.append(error)

    def mended(self, assembly: Assembly, files: Sequence[str]) -> None:
        self.computed += files

    def began(self, assembly: Assembly) -> None:
        """Nothing to keep."""

    def already(self, arrived: Arrived) -> None:
        """Nothing to keep."""

    def turned_away(self, delivery: Digest | None, error: AirgapError) -> None:
        self.refusals.append(error)

    def alive(self) -> None:
        """Nobody asks."""

    def pass_over(self, assembly: Assembly) -> None:
        """Nothing to keep."""

    def beat(self, beat: Beat) -> None:
        """Nothing to keep."""


def inbox_in(folder: Path, heard: InboxListener, trust: Path = GOLDEN / "trust.yaml") -> Inbox:
    """An inbox in `folder`, whose own thread is not started: `work` does it all."""
    return Inbox(folder / "inbox", inbox_gate(trust, quiet(folder)), heard, lambda: datetime.now(UTC))


def admitted(inbox: Inbox) -> Assembly:
    """The assembly of the golden delivery."""
    found = inbox.admit(INDEX, SIGNATURES)
    assert isinstance(found, Assembly)
    return found


class Receiving:
    """`receive` in a thread of this process, until the block ends: no signal is needed for it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._told = threading.Condition()
        made = ReceiveOptions(folder / "inbox", GOLDEN / "trust.yaml", **options)
        self._thread = threading.Thread(target=lambda: receive(made, quiet(folder), self._tell, self._stop))

    def _tell(self, document: dict[str, Any], _text: str) -> None:
        with self._told:
            self.events.append(document)
            self._told.notify_all()

    def wait(self, event: str, timeout: float = 20) -> dict[str, Any]:
        """The first event of a name."""
        with self._told:
            assert self._told.wait_for(lambda: any(e["event"] == event for e in self.events), timeout), self.events
            return next(e for e in self.events if e["event"] == event)

    def __enter__(self) -> Receiving:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
