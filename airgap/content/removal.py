"""`Removal`: what became of one thing that was to be deleted inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from airgap.base.errors import AirgapError

NOT_OURS = "the Sovereign resource does not let airgap fill this place"
"""Why a thing is left alone that no plan by airgap lists."""


class RemovalOutcome(StrEnum):
    """How a line of an approved prune plan ended."""

    DELETED = "deleted"
    ABSENT = "absent"
    """It was not there."""
    KEPT = "kept"
    """It was left alone: it holds something else, or something else needs it."""
    FAILED = "failed"
    NOT_REACHED = "not-reached"
    """The run ended before it."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing, as `Destination.contents` names it; `digest` is what it has to be to be deleted."""

    at: str
    name: str
    digest: str
    outcome: RemovalOutcome = RemovalOutcome.NOT_REACHED
    reason: str = ""
    """What people should know, or why it was left alone or failed."""
    error: AirgapError | None = None
    """Why it failed."""

    def ended(self, outcome: RemovalOutcome, reason: str = "") -> Removal:
        """This one with an outcome, and what people should know about it."""
        return replace(self, outcome=outcome, reason=reason)

    def kept(self, why: str) -> Removal:
        """This one, which is left alone because of `why`."""
        return self.ended(RemovalOutcome.KEPT, why)

    def changed(self, held: object) -> Removal:
        """This one, which is left alone because it holds something else by now."""
        return self.kept(f"it holds {held} now: it changed since the plan")

    def failed(self, error: AirgapError) -> Removal:
        """This one, which `error` stopped."""
        return replace(self, outcome=RemovalOutcome.FAILED, reason=str(error), error=error)
