"""What every destination is: plan, transfer, publish, inspect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airgap.base.errors import AirgapError
from airgap.base.progress import Progress
from airgap.content.finding import Finding
from airgap.content.forms import Change, Form, Signs


@dataclass(slots=True)
class Run:
    """What a destination needs to know of one import: how many at once, whom to tell, what we wrote before."""

    progress: Progress
    jobs: int = 4
    ours: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(at, name) → digest, from our last receipts: such a signature tag may be replaced. What has no name is under
    its digest."""
    add_only: bool = False
    """`--restore`: no name is moved back."""
    deep: bool = False
    """`--deep`: receipts count for nothing, and what is there is hashed before it counts as present."""
    signed: Mapping[tuple[str, str, Signs], str] = field(default_factory=dict)
    """(at, name, what it says) → digest of a signature of ours, from our last receipts."""

    def wrote(self, change: Change) -> bool:
        """True when a receipt of ours says that this line was complete."""
        return self.ours.get((change.at, change.name or change.digest)) == change.digest


class Destination(Protocol):
    """A place inside the Sovereign that takes forms. Two-phase: transfer shows nothing, publish shows all."""

    url: str
    form: str
    """`graph`, `refs` or `tree`."""

    def plan(self, form: Form) -> Sequence[Change]:
        """What would be written, is present, would move or would be refused. Writes nothing.

        Raises `InputError` where the mapping has no place for it, `UpstreamError` where the destination is unusable.
        """

    def transfer(self, forms: Sequence[Form]) -> Mapping[str, AirgapError]:
        """Brings all content there, verified, without making a name visible. Returns item → error for what failed."""

    def publish(self, form: Form, plan: Sequence[Change]) -> Sequence[Change]:
        """Makes the names of one form visible and reads them back; returns the plan with its outcomes."""

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """Compares receipt lines with what is there now, re-hashing what can be read; says what is too much.

        All lines of one receipt for this destination come together, so that what they do not name in the
        repositories and prefixes that they do name is `EXTRA`. `deep` hashes again what this run hashed elsewhere.
        """
