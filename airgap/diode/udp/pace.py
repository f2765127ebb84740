"""When the next burst may go: a plan of absolute times, so that no rounding adds up."""

from __future__ import annotations

import time

_SLACK = 0.002
"""Seconds that a sender that is late may catch up. More would be a burst that a converter cannot take."""


class Pace:
    """A constant rate in bits a second."""

    def __init__(self, rate: int) -> None:
        """`rate` counts the bytes of IP packets, with their headers."""
        self.rate = rate
        self._next = time.monotonic()

    def wait(self, size: int) -> None:
        """Waits until `size` bytes may be sent."""
        now = time.monotonic()
        ahead = self._next - now
        if ahead > 0:
            time.sleep(ahead)
        elif ahead < -_SLACK:
            self._next = now - _SLACK
        self._next += size * 8 / self.rate
