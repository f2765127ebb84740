"""One input for one reader, and what counts as a finding: anything but a result or one of our errors, in bounds."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airgap.base.errors import AirgapError
from airgap.signatures.record import Refusal

MAX_SECONDS = 10
"""For one input, however it is made: each is at most some hundred KiB."""
MAX_MEMORY = 2 << 30
"""Bytes of address space of a process that runs targets."""
MAX_SAID = 10_000
"""Characters of a message and its next step: nothing that a stranger wrote is repeated without end."""


class Finding(Exception):  # noqa: N818  (what the harness looks for)
    """An input whose answer is wrong: its text says how."""


class Hang(BaseException):
    """Not an `Exception`, so that no reader takes it for one of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader. `read` gets the bytes; `seeds` are good files; `write` is how a changed JSON document is written."""

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    write: Callable[[Any], bytes]


def check(target: Target, data: bytes) -> None:
    """Gives `data` to the reader. Raises `Finding`."""
    said = ""
    try:
        with _watched():
            target.read(data)
    except AirgapError as error:
        said = f"{error.what}\n{error.hint}"
    except Refusal as answer:
        said = answer.detail
    except Hang as hang:
        raise Finding(f"no answer after {MAX_SECONDS} s") from hang
    except MemoryError as error:
        raise Finding("too little memory") from error
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error}"[:500]) from error
    if len(said) > MAX_SAID:
        raise Finding(f"a message of {len(said)} characters: {said[:200]}")


@contextmanager
def _watched() -> Iterator[None]:
    """Ends a reader that takes too long; what runs in C is ended by pytest's or libFuzzer's own clock."""

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """Of this process, from now on: a reader that wants more fails."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def spend(seconds: float, runs: int) -> Iterator[int]:
    """Numbers from 0, until `runs` of them or `seconds` are over; 0 means no limit."""
    until = time.monotonic() + seconds
    number = 0
    while (not runs or number < runs) and (not seconds or time.monotonic() < until):
        yield number
        number += 1
