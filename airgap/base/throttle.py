"""`Throttle`: how fast bytes may move, and until when. One for all threads of a command.

The rate is a token bucket: each caller takes its bytes before it moves them, and sleeps exactly until they are due. So
however many threads there are, no more than `rate × time + BURST × rate` bytes have moved at any time, and a thread
that slept too long lets the next ones catch up. Bytes that were not moved are given back.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO, Protocol, cast

from airgap.base.digest import CHUNK
from airgap.base.errors import StoppedError

BURST = 0.1
"""Seconds for which unused bytes may be saved up: 1 % of ten seconds, and longer than a sleep is late."""
PIECE = 0.05
"""Seconds of bytes that are moved at once: so that a slow rate does not leave a server waiting for a reader."""
SMALLEST = 1 << 10
"""Bytes that are moved at once, at least."""


class Throttle(Protocol):
    """Thread-safe."""

    def take(self, most: int) -> int:
        """Waits, and returns how many bytes may be moved now: at least 1, at most `most`.

        Raises `StoppedError` when the time is up.
        """

    def give_back(self, count: int) -> None:
        """So many of the bytes that were taken were not moved."""

    def check(self) -> None:
        """Raises `StoppedError` when the time is up."""


class Free:
    """A `Throttle` without limits."""

    def take(self, most: int) -> int:
        """All of it."""
        return most

    def give_back(self, count: int) -> None:
        """Does nothing."""

    def check(self) -> None:
        """Does nothing."""


FREE = Free()


class Limited:
    """At most `rate` bytes a second (0: any), until `until` by `now` (`None`: for ever)."""

    def __init__(
        self,
        rate: int = 0,
        until: datetime | None = None,
        now: Callable[[], datetime] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._now = rate, now
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._due = clock()
        """When the bytes that were taken so far are due."""
        self._credit = 0.0
        """Seconds of bytes that were waited for and given back: they may be taken at once, however late."""
        self.until = until
        self.moved = 0
        """Bytes that were taken, and not given back."""

    def take(self, most: int) -> int:
        """See `Throttle.take`."""
        self.check()
        if not self._rate or most <= 0:
            return self._counted(most)
        count = min(most, CHUNK, max(SMALLEST, int(self._rate * PIECE)))
        with self._lock:
            now, cost = self._clock(), count / self._rate
            self._due = max(self._due, now - BURST - self._credit) + cost
            self._credit = max(0.0, self._credit - cost)
            wait = self._due - now
        if wait > 0:
            self._sleep(wait)
            self.check()
        return self._counted(count)

    def give_back(self, count: int) -> None:
        """See `Throttle.give_back`."""
        self._counted(-count)
        if self._rate:
            with self._lock:
                self._due -= count / self._rate
                self._credit += count / self._rate

    def check(self) -> None:
        """See `Throttle.check`."""
        if self.until is not None and self._now is not None and self._now() >= self.until:
            raise StoppedError("window-ended", "the time is up: it stopped, and kept what is finished", _NEXT)

    def _counted(self, count: int) -> int:
        with self._lock:
            self.moved += count
        return count


_NEXT = "run the same command again: it goes on where it stopped"


def throttled(stream: BinaryIO, throttle: Throttle) -> BinaryIO:
    """A stream that is read through `throttle`. Closing it closes `stream`."""
    return stream if throttle is FREE else cast("BinaryIO", _Throttled(stream, throttle))


class _Throttled(io.RawIOBase):
    def __init__(self, stream: BinaryIO, throttle: Throttle) -> None:
        super().__init__()
        self._stream, self._throttle = stream, throttle

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        return read_throttled(self._throttle, view, lambda piece: self._stream.readinto(piece) or 0)  # type: ignore[attr-defined]

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_throttled(throttle: Throttle, view: memoryview, read: Callable[[memoryview], int]) -> int:
    """Reads once into the beginning of `view`, through `throttle`; returns the number of bytes."""
    if not view:
        return 0
    granted = throttle.take(len(view))
    count = 0
    try:
        count = read(view[:granted])
    finally:
        if count < granted:
            throttle.give_back(granted - count)
    return count
