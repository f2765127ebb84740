"""Publishes the names of an import: by default all names of a delivery at a destination, or none of them.

A delivery is approved as a whole. So if something of it failed at a destination, nothing of it gets a name there; its
content may be there already. What counts as failed is `Line.failed`. Each destination is on its own: one that failed
does not keep others from having the whole delivery. With `keep-going`, only what failed has no name.

Either way, what needs something that failed or was withheld is withheld, too (`needs`): a chart without its images or
its repository, at the destination of these, or at all if they go to another one.

Names are published in an order that leaves the least harm if it is interrupted: registries, then files, then Git, whose
refs set everything else in motion; at each, new names before names that move, and what others need before what needs
it. After the first failure, nothing more is published at that destination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from airgap.base.errors import AirgapError, InputError, StoreError
from airgap.base.parallel import parallel
from airgap.content.forms import ChangeOutcome
from airgap.destinations.base import ROLLED_BACK
from airgap.destinations.line import AnyLine
from airgap.destinations.make import Work
from airgap.jobs.importing.needs import Needs

_FORMS = ("graph", "tree", "refs")
"""The order in which destinations get names."""


@dataclass(slots=True)
class Publication:
    """The lines of an import that are published together, and how."""

    work: Work
    needs: Needs
    keep_going: bool
    rolled_back: frozenset[str] = frozenset()
    """The URLs at which this delivery was rolled back: then no other name of it is published there, either."""
    _groups: dict[str, list[AnyLine]] = field(default_factory=dict)
    _items: dict[str, list[AnyLine]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Groups the lines by destination and by item."""
        for line in self.work.lines:
            self._groups.setdefault(self.work.place(line.destination.url), []).append(line)
            self._items.setdefault(line.form.item, []).append(line)

    def withhold(self, foreseen: Mapping[str, str] | None = None) -> None:
        """Withholds all names that must not be published, after what failed up to now. Writes nothing.

        `foreseen` are reasons, by URL, for which something will fail there, as far as a dry run knows.
        """
        for line in self.work.lines:
            reason = (foreseen or {}).get(line.destination.url)
            if reason is not None and not self.keep_going:
                line.withhold(reason)
        changed = True
        while changed:
            changed = False
            if not self.keep_going:
                for lines in self._groups.values():
                    cause = next((line for line in lines if line.failed), None)
                    cause = cause or next((line for line in lines if line.withheld), None)
                    if cause is not None:
                        changed |= _withhold(lines, _because(cause))
                    if any(line.destination.url in self.rolled_back for line in lines):
                        changed |= _withhold(lines, ROLLED_BACK)
            for line in self.work.lines:
                lost = next((one for one in self._needed(line) if one.failed or one.withheld), None)
                if lost is not None:
                    changed |= line.withhold(f"it belongs with {_because(lost)}")

    def publish(self, publish: Callable[[AnyLine], None], jobs: int) -> None:
        """Publishes everything that is not withheld, in the order of the module. Errors become those of the lines."""
        self.withhold()
        stopped = set() if self.keep_going else {url for url, lines in self._groups.items() if any(map(_undone, lines))}

        def guarded(line: AnyLine) -> None:
            group = self.work.place(line.destination.url)
            if line.error is not None or line.withheld or group in stopped:
                return
            try:
                publish(line)
            except (InputError, StoreError):
                raise
            except AirgapError as error:
                line.error = error
            if line.failed and not self.keep_going:
                stopped.add(group)

        ranks = sorted(((self._rank(line), at) for at, line in enumerate(self.work.lines)))
        for _, ranked in groupby(ranks, key=itemgetter(0)):
            parallel(jobs, guarded, [self.work.lines[at] for _, at in ranked])
            self.withhold()

    def _needed(self, line: AnyLine) -> Iterator[AnyLine]:
        """The lines of what the item of `line` needs: at the same destination if they go there, else all of them."""
        for name in self.needs.get(line.form.item, ()):
            lines = self._items.get(name, [])
            here = [one for one in lines if one.destination is line.destination]
            yield from here or lines

    def _rank(self, line: AnyLine) -> tuple[int, bool, int]:
        form = line.destination.form
        needed = [one for one in self._needed(line) if one.destination.form == form]
        moves = any(_moves(one) for one in (line, *needed))
        return _FORMS.index(form), moves, len(needed) > 0


def half(work: Work) -> Mapping[str, tuple[int, int]]:
    """The destinations at which names of the delivery were written in this run and others are not in place.

    For each, the number of names that were written, and of those that failed or were withheld.
    """
    found: dict[str, list[ChangeOutcome]] = {}
    for line in work.lines:
        found.setdefault(work.place(line.destination.url), []).extend(change.outcome for change in line.told)
    lost = (ChangeOutcome.FAILED, ChangeOutcome.WITHHELD)
    counted = {url: (told.count(ChangeOutcome.WRITTEN), sum(map(told.count, lost))) for url, told in found.items()}
    return {url: counts for url, counts in counted.items() if all(counts)}


def _withhold(lines: Sequence[AnyLine], reason: str) -> bool:
    changed = [line.withhold(reason) for line in lines]
    return any(changed)


def _undone(line: AnyLine) -> bool:
    return line.failed or line.withheld


def _because(line: AnyLine) -> str:
    code = f" [{line.error.code}]" if line.error is not None else ""
    return f"{line.form.item!r}, which {'failed' if line.failed else 'is withheld'} at {line.destination.url}{code}"


def _moves(line: AnyLine) -> bool:
    return any(change.outcome is ChangeOutcome.MOVED for change in line.changes)
