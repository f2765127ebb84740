"""`Imported`: the plan and the results of an import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap.acceptance.open import Opened
from airgap.base.errors import AbsentError, AirgapError, InputError, StoreError, UnreachableError
from airgap.base.parallel import parallel
from airgap.base.probe import Probe
from airgap.content.forms import Change, ChangeOutcome
from airgap.destinations.line import AnyLine
from airgap.destinations.make import Work
from airgap.jobs.importing.needs import Needs
from airgap.jobs.importing.publish import Publication, half
from airgap.statements.predicates import ALL_OR_NOTHING, KEEP_GOING


@dataclass(slots=True)
class Imported:
    """What an import did, or would do in a dry run."""

    opened: Opened
    work: Work
    missing_volumes: list[str] = field(default_factory=list)
    unread: Mapping[str, AirgapError] = field(default_factory=dict)
    """By item, why its leaves were not compared with the lock: they are on another disc, or cannot be read."""
    waits: bool = False
    """True while content is on a disc that is not attached yet; nothing has been published then."""
    receipt: bytes | None = None
    """The receipt that was signed; `None` without a key, and where `standing` says it all."""
    standing: Path | None = None
    """The receipt of an earlier run, if this one changed nothing, so that no receipt was signed."""
    publish: str = ALL_OR_NOTHING
    """How names are published where something failed: see `airgap.jobs.importing.publish`."""
    rolled_back: frozenset[str] = frozenset()
    """The URLs at which this delivery was rolled back."""
    needs: Needs = field(default_factory=dict)
    """By item, the items that it needs."""
    foreseen: Sequence[Probe] = ()
    """What a dry run found that would stop the import, and that is no error of a line."""
    unkept: Mapping[str, AirgapError] = field(default_factory=dict)
    """The destinations that did not accept the list of accepted deliveries, with the errors."""

    @property
    def lines(self) -> list[AnyLine]:
        """The lines: one form at one destination each."""
        return self.work.lines

    @property
    def publication(self) -> Publication:
        """How the names of the lines are published."""
        return Publication(self.work, self.needs, self.publish == KEEP_GOING, self.rolled_back)

    @property
    def half(self) -> Mapping[str, tuple[int, int]]:
        """See `airgap.jobs.importing.publish.half`."""
        return half(self.work)

    @property
    def gone(self) -> dict[str, AirgapError]:
        """The destinations that did not answer, with the errors. They are not asked again."""
        found = {line.destination.url: line.error for line in self.lines}
        return {url: error for url, error in found.items() if isinstance(error, UnreachableError)}

    @property
    def whole(self) -> bool:
        """True if nothing is left to do for this delivery, so that none of its spooled content is needed."""
        undone = (ChangeOutcome.FAILED, ChangeOutcome.UNCONFIRMED, ChangeOutcome.WITHHELD)
        failed = any(change.outcome in undone for _, change in self.changes)
        return not (self.waits or self.errors or failed)

    @property
    def errors(self) -> list[AirgapError]:
        """The errors, in the order of the lines. A line that waits for another disc has not failed."""
        return [line.error for line in self.failed if line.error is not None]

    @property
    def failed(self) -> list[AnyLine]:
        """The lines of `errors`."""
        return [line for line in self.lines if line.error is not None and not isinstance(line.error, AbsentError)]

    @property
    def changes(self) -> list[tuple[str, Change]]:
        """Every change with its destination's URL."""
        return [(line.destination.url, change) for line in self.lines for change in line.told]


def each(jobs: int, work: Callable[[AnyLine], None], lines: Sequence[AnyLine]) -> None:
    """Does `work` for every line, several at once. An error of the destination becomes the error of the line."""

    def guarded(line: AnyLine) -> None:
        if line.error is not None:
            return
        try:
            work(line)
        except (InputError, StoreError):
            raise
        except AirgapError as error:
            line.error = error

    parallel(jobs, guarded, lines)


def plan_lines(lines: Sequence[AnyLine], jobs: int) -> None:
    """Plans every line. An error of the destination becomes the error of the line.

    The first line of each destination goes ahead, so that an unreachable destination is waited for once.
    """
    first = {id(line.destination): line for line in reversed(lines)}
    each(jobs, _plan, list(first.values()))
    for line in lines:
        error = first[id(line.destination)].error
        if isinstance(error, UnreachableError):
            line.error = error
    each(jobs, _plan, [line for line in lines if line is not first[id(line.destination)]])


def _plan(line: AnyLine) -> None:
    line.plan()
