"""`parallel`: the same work for many things, several at once, with one way to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")


def parallel(jobs: int, work: Callable[[_Thing], _Made], things: Iterable[_Thing], name: str = "work") -> list[_Made]:
    """The results of `work` for each of `things`, in their order, `jobs` at once.

    After the first exception, no more work starts; the exception is raised when the running work has ended. After
    Ctrl-C it does not wait: a thread may be inside a request for a minute, and everything on disk is crash-safe.
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


def in_batches(
    jobs: int, work: Callable[[_Thing], _Made], things: Iterable[_Thing], batch: int, name: str = "work"
) -> Iterator[_Made]:
    """As `parallel`, for things of which nobody knows how many they are: `batch` results are in memory at a time."""
    every = iter(things)
    while some := list(islice(every, batch)):
        yield from parallel(jobs, work, some, name)
