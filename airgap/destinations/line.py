"""`Line`: one form at one destination; `Share`: all lines of one destination in one import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from airgap.base.errors import AbsentError, AirgapError
from airgap.content.forms import Change, ChangeOutcome, Graph, Refs, Tree
from airgap.content.graph import Descriptor
from airgap.destinations.base import Destination, FormT, Moved


@dataclass(slots=True)
class Line(Generic[FormT]):
    """One form at one destination: its plan, and later its outcome."""

    destination: Destination[FormT]
    form: FormT
    changes: Sequence[Change] = ()
    error: AirgapError | None = None
    moved: Moved = field(default_factory=Moved)
    signed: Sequence[Change] = ()
    """The Sovereign's own signatures on what arrived, if the registry gets them."""

    def expected(self) -> Sequence[Change]:
        """See `Destination.expected`."""
        return self.destination.expected(self.form)

    def plan(self) -> None:
        """Fills in `changes` as planned. Raises the errors of `Destination.plan`."""
        self.changes = self.destination.plan(self.form)

    def omitted(self) -> Sequence[tuple[Descriptor, bool]]:
        """See `Destination.omitted`. Raises the errors of `Destination.plan`."""
        return self.destination.omitted(self.form, self.changes)

    def publish(self) -> None:
        """Fills in the outcome of `changes`. Raises the errors of `Destination.publish`."""
        self.changes = self.destination.publish(self.form, self.changes)

    @property
    def in_place(self) -> bool:
        """True if the plan found every name as expected, and a receipt of this Sovereign lists it as complete."""
        present = all(change.outcome is ChangeOutcome.PRESENT for change in self.changes)
        return present and not self.moved.compared and self.error is None

    def withhold(self, reason: str) -> bool:
        """Gives the outcome `WITHHELD` to each name that was planned and is not published; true if there was one."""
        planned = (ChangeOutcome.WRITE, ChangeOutcome.MOVED)
        before = self.changes
        self.changes = [
            replace(one, outcome=ChangeOutcome.WITHHELD, reason=reason) if one.outcome in planned else one
            for one in before
        ]
        return self.changes != before

    @property
    def withheld(self) -> bool:
        """True if a name of it is withheld."""
        return any(change.outcome is ChangeOutcome.WITHHELD for change in self.changes)

    @property
    def failed(self) -> bool:
        """True if something of it failed. Content on a disc that is still to come has not.

        A refused name counts only if its place holds content that excludes this (`Change.conflict`).
        """
        if self.error is not None and not isinstance(self.error, AbsentError):
            return True
        return any(change.outcome is ChangeOutcome.FAILED or change.conflict for change in self.changes)

    @property
    def told(self) -> Sequence[Change]:
        """The changes for reports and receipts. A failed line is reported as failed even if it has no plan."""
        if self.error is None or isinstance(self.error, AbsentError):
            return [*self._mended(), *self.signed]
        known = self.changes
        if not known:
            digest = str(self.form.root.digest)
            known = [Change(self.form.item, self.form.item, "", digest)]
        return [change.ended(ChangeOutcome.FAILED, self.error) for change in known]

    def _mended(self) -> Sequence[Change]:
        """Reports unchanged names whose content had to be transferred again."""
        if not self.moved.size or any(one.outcome is not ChangeOutcome.PRESENT for one in self.changes):
            return self.changes
        reason = f"content below it was missing or damaged: {self.moved.size} bytes were transferred again"
        return [replace(change, reason=change.reason or reason) for change in self.changes]


@dataclass(slots=True)
class Share(Generic[FormT]):
    """The lines of one destination in one import."""

    destination: Destination[FormT]
    lines: list[Line[FormT]] = field(default_factory=list)

    def add(self, form: FormT) -> Line[FormT]:
        """Adds a line for a form and returns it."""
        line = Line(self.destination, form)
        self.lines.append(line)
        return line

    def check(self) -> None:
        """See `Destination.check`."""
        self.destination.check([line.form for line in self.lines])

    def announce(self) -> int:
        """See `Destination.announce`. Failed lines are left out."""
        return self.destination.announce([line.form for line in self._live()])

    def transfer(self) -> None:
        """Transfers the content of all lines that did not fail, and fills in the outcome."""
        live = self._live()
        if not live:
            return
        failed = self.destination.transfer([line.form for line in live])
        for line in live:
            line.error = failed.get(line.form.item)
            line.moved = self.destination.moved(line.form)

    def _live(self) -> list[Line[FormT]]:
        return [line for line in self.lines if line.error is None]


AnyLine = Line[Graph] | Line[Refs] | Line[Tree]
AnyShare = Share[Graph] | Share[Refs] | Share[Tree]
