"""`Removal`: what became of one thing that was to be deleted inside."""

from __future__ import annotations

from dataclasses import dataclass
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
