"""`Destination`: the protocol of every destination; `Inside`: what one lists; `Run`: the settings of one import;
`Spot`: where one has a blob."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, TypeVar

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, UpstreamError
from airgap.base.progress import Progress
from airgap.content.finding import Finding
from airgap.content.forms import Change, Form, Graph, Refs, Signs, Tree
from airgap.content.graph import Descriptor
from airgap.content.removal import Removal

Key = tuple[str, str]
"""(at, name) of a line at one destination."""
RESTORE = (
    "--restore moves a name only if this Sovereign's records show that an earlier delivery wrote it: to move it, "
    "import the last delivery that has it without --restore"
)
SETTLED = (
    "this delivery has published the name already, and it was changed since: remove it there first, or cut a new one"
)
ROLLED_BACK = "this delivery was rolled back here: cut a new delivery to bring the name again"
UNKNOWN = (
    "other deliveries were accepted after this one, and the records do not show that none of them wrote this name: "
    "finish those first, or cut a new delivery"
)


@dataclass(frozen=True, slots=True)
class Precedence:
    """Which names of one destination an import may write, given what other deliveries wrote there.

    No name moves back to the content of a delivery that was accepted earlier, and a delivery publishes a name once.
    """

    later: Mapping[Key, str] = field(default_factory=dict)
    """Names that deliveries accepted later have written, each with that delivery in words. They stay, even if they
    are gone: older content would be a step back."""
    settled: frozenset[Key] = frozenset()
    """Names that this delivery itself has published."""
    movable: frozenset[Key] = frozenset()
    """Names that this delivery may move: an earlier one wrote them, or this one was about to."""
    last: bool = True
    """True if no delivery was accepted later: then all names may move."""
    back: Mapping[Key, str] = field(default_factory=dict)
    """What names hold since this delivery, or one that was accepted later, was rolled back. They get nothing else."""

    def keeps(self, key: Key, digest: str, *, there: bool, repair: bool, restore: bool = False) -> str:
        """Why the name stays as it is; `""` if it may be written, with the content `digest`.

        `there` is false for a name that does not exist, `repair` true if the name is a file whose damage may be mended.
        With `restore`, even the last delivery moves only `movable` names.
        """
        if key in self.back:
            return "" if digest == self.back[key] else ROLLED_BACK
        if key in self.later:
            return f"{self.later[key]}, which was accepted later, has written this name"
        if not there:
            return ""
        if key in self.settled:
            return "" if repair and not restore else SETTLED
        if key in self.movable or (self.last and not restore):
            return ""
        return RESTORE if restore else UNKNOWN


@dataclass(slots=True)
class Run:
    """What a destination needs to know about one import: jobs, progress, and what earlier imports wrote."""

    progress: Progress
    jobs: int = 4
    ours: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(at, name) → digest, from the last receipts of this Sovereign: such a signature tag may be replaced. Content
    without a name is listed under its digest."""
    add_only: bool = False
    """`--restore`: no name is moved back."""
    deep: bool = False
    """`--deep`: receipts are ignored, and existing content is hashed before it counts as present."""
    signed: Mapping[tuple[str, str, Signs], str] = field(default_factory=dict)
    """(at, name, what it signs) → digest of a signature of this Sovereign, from its last receipts."""
    precedence: Precedence = field(default_factory=Precedence)
    """What other deliveries wrote here."""
    rewrites: Collection[str] = ()
    """The items whose refs may move to a history that does not contain the present one."""
    omitted: Collection[Digest] = ()
    """The blobs that the delivery omits, because they are inside."""

    def wrote(self, change: Change) -> bool:
        """True if a receipt of this Sovereign lists this line as complete."""
        return self.ours.get((change.at, change.name or change.digest)) == change.digest

    def keeps(self, change: Change, *, there: bool = True, file: bool = False, unread: bool = False) -> str:
        """Why a name that does not hold the content of `change` stays as it is; `""` if it may be written.

        `there` is false if the name does not exist, `file` true if the name is that of a file: `--deep` repairs it.
        `unread` is true if nobody may read what the name holds: what this delivery published may be published again.
        """
        key, repair = (change.at, change.name), unread or (file and self.deep)
        return self.precedence.keeps(key, change.digest, there=there, repair=repair, restore=self.add_only)


FormT = TypeVar("FormT", bound=Form)
FormT_contra = TypeVar("FormT_contra", bound=Form, contravariant=True)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a `transfer` did for one form, as far as the destination counts it."""

    size: int = 0
    """Bytes that were sent."""
    compared: bool = False
    """True if the content was compared with the destination, because the plan and the receipts did not suffice."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a destination has a blob: its URL, and the repository, or the bucket and key."""

    url: str
    at: str
    opener: Callable[[int], BinaryIO]
    """Opens the blob there at an offset. Nobody has hashed it."""

    def __str__(self) -> str:
        return f"{self.url} {self.at}".rstrip()


@dataclass(frozen=True, slots=True)
class Inside:
    """One thing that a destination lists in the places that airgap fills there, whoever brought it."""

    at: str
    """The repository; in the form `tree` the bucket alone. `""` if a problem concerns the whole destination."""
    name: str = ""
    """The tag or the ref; in the form `tree` the whole key. `""` for content without a name, and for a repository in
    which no name is."""
    digest: str = ""
    """What it is, as far as the list shows that; `""` if only `Destination.address` knows. Content without a name
    always has one."""
    problem: AirgapError | None = None
    """Why what is at `at` could not be listed. Then it is no thing."""


class Destination(Protocol[FormT_contra]):
    """A place inside the Sovereign that accepts one form. Two phases: `transfer` shows nothing, `publish` shows all.

    The order is: `check` with all forms of an import, `plan` for each form, `announce`, `transfer`, and `publish` for
    each form.
    """

    url: str
    form: str
    """`graph`, `refs` or `tree`."""
    plan_suffices: bool
    """True if names that the plan found in place need no `publish`, provided that nothing else was transferred."""

    def check(self, forms: Sequence[FormT_contra], /) -> None:
        """Raises `InputError` if a form has no place here, or if two forms want the same place. Sends no request."""

    def expected(self, form: FormT_contra, /) -> Sequence[Change]:
        """The lines that an import of the form has here, for an audit. Sends only the requests needed to know them.

        Raises the errors of `plan`.
        """

    def plan(self, form: FormT_contra, /) -> Sequence[Change]:
        """Determines what would be written, is present, would move or would be refused. Writes nothing.

        Raises `InputError` if the mapping has no place for the form, `UpstreamError` if the destination is unusable.
        """

    def omitted(self, form: FormT_contra, plan: Sequence[Change], /) -> Sequence[tuple[Descriptor, bool]]:
        """The omitted blobs (`Run.omitted`) that an import of the form needs here, each with whether it is in place.

        None if a receipt lists everything as complete, and the plan found it. Writes nothing outside the work folder.
        Raises the errors of `plan`.
        """

    def spots(self, blob: Descriptor, item: str, ats: Collection[str], /) -> Iterator[Spot]:
        """Where a blob is here, as it is found. `item` brought it, to places `ats` if receipts say so.

        Raises the errors of the destination.
        """

    def announce(self, forms: Sequence[FormT_contra], /) -> int:
        """Announces the forms of the coming `transfer`; returns the number of bytes that progress does not count yet.

        It is called on all destinations of an import before the first transfer, so that several destinations can share
        one reading of the media.
        """

    def transfer(self, forms: Sequence[FormT_contra], /) -> Mapping[str, AirgapError]:
        """Transfers and verifies all content without making a name visible. Returns item → error for failed items.

        An `AbsentError` names content on a disc that is not attached yet; all other content of the item has arrived.
        Raises `StoreError` for the local disk.
        """

    def moved(self, form: FormT_contra, /) -> Moved:
        """What the last `transfer` did for a form."""

    def publish(self, form: FormT_contra, plan: Sequence[Change], /) -> Sequence[Change]:
        """Makes the names of one form visible and reads them back. Returns the plan with its outcomes."""

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        """Compares receipt lines with the present content, and hashes what can be read. One finding for each line.

        With `deep`, content is hashed even if this run has already hashed it in another place.
        """

    def contents(self, known: Collection[str], /) -> Iterator[Inside]:
        """Everything inside the places that airgap fills here: the configured projects, organizations or buckets.

        Names come one by one, and no more than a page of them is in memory. `known` are repositories that receipts
        list: they are listed even if the destination does not say which repositories it has. What cannot be listed is a
        `problem`, once for each place, and never left out. What the server itself keeps (`refs/pull/*`) is not listed.
        Raises no `AirgapError`.
        """

    def address(self, at: str, name: str, /) -> str:
        """The present digest or object id of a name that `contents` gave; `""` if it is not there.

        For content without a name, `name` is its digest. Raises the errors of the destination.
        """

    def plan_back(self, lines: Sequence[Change], known: Sequence[Change], /) -> Sequence[Change]:
        """Determines which names can go back to what they held: see `airgap.jobs.rollback`. Writes nothing.

        Each line has the content that its name is to hold again as `digest`, and what it should hold now as `previous`.
        The outcome is `MOVED`, `PRESENT` (it is back already) or `REFUSED` with a reason: it holds something else, or
        the old content is not there completely any more. `known` are all lines of earlier receipts for this
        destination. Raises the errors of `plan`.
        """

    def move_back(self, plan: Sequence[Change], known: Sequence[Change], /) -> Sequence[Change]:
        """Moves the names that `plan_back` may move, and reads each back. Returns the plan with its outcomes."""

    def remove(self, lines: Sequence[Removal], /) -> Iterator[Removal]:
        """Deletes things that `contents` listed, one by one; gives each line with its outcome, in any order.

        Each is looked at right before: what holds something else stays (`KEPT`), and so does what another name, an
        index or a pointer needs. No pointer is left without what it names. An error of one line is its outcome. The
        caller may stop at any line: what was done is whole. Only an approved prune plan may be passed here. Raises no
        `AirgapError`.
        """


def read_back(found: str, line: Change) -> AirgapError:
    """The error for a name that does not hold what was just written."""
    what = f"{line.at} {line.name}: read back {found or 'nothing'}, expected {line.digest}"
    return UpstreamError("read-back", what, "another client writes there: find out which one", side="destination")


AnyDestination = Destination[Graph] | Destination[Refs] | Destination[Tree]
