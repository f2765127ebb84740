"""Jobs that hold the store that they read, so that `airgap store gc` waits for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Protocol, TypeVar

from airgap.jobs.surroundings import Surroundings
from airgap.store.in_use import using


class HoldsStore(Protocol):
    """The options of a job that reads a store."""

    @property
    def store(self) -> Path | None:
        """Its folder. `None`, or a folder that is no store, is not held."""


_Options = TypeVar("_Options", bound=HoldsStore)
_Result = TypeVar("_Result")


def holding(job: Callable[[_Options, Surroundings], _Result]) -> Callable[[_Options, Surroundings], _Result]:
    """A job that holds its store while it works: nothing is deleted there meanwhile. Raises what the job raises."""

    @wraps(job)
    def held(options: _Options, surroundings: Surroundings) -> _Result:
        if options.store is None:
            return job(options, surroundings)
        with using(options.store, surroundings.note):
            return job(options, surroundings)

    return held
