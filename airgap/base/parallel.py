"""`parallel`: the same work for many things, several at once, and one way to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")


def parallel(jobs: int, work: Callable[[_Thing], _Made], things: Iterable[_Thing], name: str = "work") -> list[_Made]:
    """What `work` makes of each thing, in their order, `jobs` at once.

    The first exception is raised once what is under way has ended; nothing more is begun. After Ctrl-C nobody waits:
    a thread may be inside a request for a minute, and everything on disk is crash-safe.
    """
    pool = ThreadPoolExecutor(max(1, jobs), name)
    wait = True
    try:
        return list(pool.map(work, things))
    except KeyboardInterrupt:
        wait = False
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
