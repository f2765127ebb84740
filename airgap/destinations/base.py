"""`Destination`: what every destination is, and `Run`, what it is told of one import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from airgap.base.errors import AirgapError
from airgap.base.progress import Progress
from airgap.content.finding import Finding
from airgap.content.forms import Change, Form, Graph, Refs, Signs, Tree


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


FormT = TypeVar("FormT", bound=Form)
FormT_contra = TypeVar("FormT_contra", bound=Form, contravariant=True)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a `transfer` did for one form, as far as its destination counts that."""

    size: int = 0
    """Bytes that were sent."""
    compared: bool = False
    """True where the content was compared with what is there, because the plan and our receipts did not suffice."""


class Destination(Protocol[FormT_contra]):
    """A place inside the Sovereign that takes one of the forms. Two-phase: transfer shows nothing, publish shows all.

    The order is `check` with all forms of an import, `plan` for each, `announce`, `transfer`, `publish` for each.
    """

    url: str
    form: str
    """`graph`, `refs` or `tree`."""
    plan_suffices: bool
    """True where names that a plan found in place need no `publish`, as long as nothing else of the import did."""

    def check(self, forms: Sequence[FormT_contra], /) -> None:
        """Raises `InputError` where a form has no place here, or two of them want one place. Asks nobody."""

    def expected(self, form: FormT_contra, /) -> Sequence[Change]:
        """The lines that an import of the form has here, for an audit. Asks only what it takes to know them.

        Raises as `plan`.
        """

    def plan(self, form: FormT_contra, /) -> Sequence[Change]:
        """What would be written, is present, would move or would be refused. Writes nothing.

        Raises `InputError` where the mapping has no place for it, `UpstreamError` where the destination is unusable.
        """

    def announce(self, forms: Sequence[FormT_contra], /) -> int:
        """Says what `transfer` will be asked for; returns the bytes of it that progress does not know.

        All destinations of an import hear it before one transfers, so that several can share one reading of the media.
        """

    def transfer(self, forms: Sequence[FormT_contra], /) -> Mapping[str, AirgapError]:
        """Brings all content there, verified, without making a name visible. Returns item → error for what failed.

        An `AbsentError` says that the rest is there, and what is on a disc to come. Raises `StoreError` for our disk.
        """

    def moved(self, form: FormT_contra, /) -> Moved:
        """What the last `transfer` did for a form."""

    def publish(self, form: FormT_contra, plan: Sequence[Change], /) -> Sequence[Change]:
        """Makes the names of one form visible and reads them back; returns the plan with its outcomes."""

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """Compares receipt lines with what is there now, re-hashing what can be read; says what is too much.

        All lines of one receipt for this destination come together, so that what they do not name in the
        repositories and prefixes that they do name is `EXTRA`. `deep` hashes again what this run hashed elsewhere.
        """


AnyDestination = Destination[Graph] | Destination[Refs] | Destination[Tree]
