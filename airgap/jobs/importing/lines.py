"""What an import plans and does, one form at one destination a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from airgap.acceptance.open import Opened
from airgap.base.errors import AbsentError, AirgapError, UnreachableError
from airgap.content.forms import Change, ChangeOutcome, Form
from airgap.destinations.base import Destination
from airgap.destinations.graph import GraphDestination

AnyDestination = GraphDestination | Destination


@dataclass(slots=True)
class Line:
    """One form at one destination: what is planned, and later what came of it."""

    destination: AnyDestination
    form: Form
    changes: Sequence[Change]
    error: AirgapError | None = None
    brought: int = 0
    """Bytes that were sent to a registry."""
    walked: bool = False
    """True where a graph was compared with a registry, node by node."""
    signed: Sequence[Change] = ()
    """Our own signatures of what arrived, where the registry gets them."""

    @property
    def told(self) -> Sequence[Change]:
        """What reports and receipts say: a line that failed has failed, also where there was not even a plan."""
        if self.error is None or isinstance(self.error, AbsentError):
            return [*self._mended(), *self.signed]
        known = self.changes
        if not known:
            digest = str(self.form.root.digest)
            known = [Change(self.form.item, self.form.item, "", digest)]
        reason = str(self.error)
        return [replace(change, outcome=ChangeOutcome.FAILED, reason=reason) for change in known]

    def _mended(self) -> Sequence[Change]:
        """Names that were all right over content that was not: it was brought anew, and people should know."""
        if not self.brought or any(one.outcome is not ChangeOutcome.PRESENT for one in self.changes):
            return self.changes
        reason = f"content below it was missing or damaged: {self.brought} bytes were brought anew"
        return [replace(change, reason=change.reason or reason) for change in self.changes]


@dataclass(slots=True)
class Imported:
    """What an import did, or with a dry run would do."""

    opened: Opened
    lines: list[Line]
    missing_volumes: list[str] = field(default_factory=list)
    waits: bool = False
    """True while something is on a disc that is still to come: then nothing was published."""
    receipt: bytes | None = None
    unkept: Mapping[str, AirgapError] = field(default_factory=dict)
    """The destinations that did not take the list of accepted deliveries, with why."""

    @property
    def gone(self) -> dict[str, AirgapError]:
        """The destinations that did not answer, with why: they are not asked again."""
        found = {line.destination.url: line.error for line in self.lines}
        return {url: error for url, error in found.items() if isinstance(error, UnreachableError)}

    @property
    def whole(self) -> bool:
        """True when nothing is left to do for this delivery, so that nothing of it need be kept."""
        failed = any(change.outcome is ChangeOutcome.FAILED for _, change in self.changes)
        return not (self.waits or self.errors or failed)

    @property
    def errors(self) -> list[AirgapError]:
        """What failed, in the order of the lines. What waits for another disc has not."""
        return [line.error for line in self.failed if line.error is not None]

    @property
    def failed(self) -> list[Line]:
        """The lines of `errors`."""
        return [line for line in self.lines if line.error is not None and not isinstance(line.error, AbsentError)]

    @property
    def changes(self) -> list[tuple[str, Change]]:
        """Every change with its destination's URL."""
        return [(line.destination.url, change) for line in self.lines for change in line.told]
