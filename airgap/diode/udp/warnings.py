"""What a receiver counts, and what it says of it: nobody else sees what the line and this machine lose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airgap.base.errors import AirgapError, TrustError, UpstreamError

AGAIN = 30.0
"""Seconds after which the same is said again."""
MANY = 16
"""Packets that are sealed otherwise before it is said: single ones are damage."""


@dataclass(slots=True)
class Counts:
    """What came, in packets."""

    good: int = 0
    """Taken into a block."""
    again: int = 0
    """Had come before, or belong to a block that is whole."""
    wrong: int = 0
    """Not sealed by the key of the session: damaged, or forged."""
    foreign: int = 0
    """Of another session, or no packet of this format."""
    replayed: int = 0
    """The hello of a session that is older than the newest one."""
    crowded: int = 0
    """There was no memory: the disk is slower than the sender."""
    early: int = 0
    """Came before the signatures were checked."""
    dropped: int = 0
    """Dropped by the kernel: the receiver is slower than the sender, or its buffer too small."""

    def as_dict(self) -> dict[str, int]:
        """For `--json` and metrics."""
        return {name: getattr(self, name) for name in self.__slots__}


class Warnings:
    """Says what is new in the counts, each kind at most every `AGAIN` seconds."""

    def __init__(self) -> None:
        self._before = Counts()
        self._said: dict[str, float] = {}

    def look(self, counts: Counts, now: float, say: Callable[[AirgapError], None]) -> None:
        """Compares with what was said before."""
        for name, error in _FOUND.items():
            more = getattr(counts, name) - getattr(self._before, name)
            if more >= (MANY if name == "wrong" else 1) and now - self._said.get(name, -AGAIN) >= AGAIN:
                self._said[name] = now
                setattr(self._before, name, getattr(counts, name))
                say(error(more))


def _sealed_otherwise(number: int) -> AirgapError:
    what = f"{number} packets came that were damaged, or were not sealed with this shared key"
    return TrustError("sealed-otherwise", what, "give both sides the same --key-file")


def _replayed(number: int) -> AirgapError:
    what = f"{number} packets came of a session that is older than the newest one: a recording, or a wrong clock"
    hint = "if the sender's clock was set back, remove .airgap-receiving/udp-session-* from the inbox"
    return TrustError("session-old", what, hint)


def _too_slow(number: int) -> AirgapError:
    what = f"the kernel dropped packets {number} times, because this machine did not take them in time"
    hint = "lower --rate at the sender, or `sysctl -w net.core.rmem_max=67108864`; they are missing, not damaged"
    return UpstreamError("receiver-slow", what, hint)


def _crowded(number: int) -> AirgapError:
    what = f"{number} packets were dropped, because the disk of the inbox is slower than the sender"
    return UpstreamError("receiver-slow", what, "lower --rate at the sender, or use a faster disk for the inbox")


_FOUND: dict[str, Callable[[int], AirgapError]] = {
    "wrong": _sealed_otherwise,
    "replayed": _replayed,
    "dropped": _too_slow,
    "crowded": _crowded,
}
