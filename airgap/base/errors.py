"""The exception tree. Imports nothing of ours, so that every layer can use it.

    AirgapError                exit  who has to act
    ├── InputError              2    you: the request, a resource file or a flag
    ├── PolicyError             3    nobody is broken: policy or audit said no
    ├── IntegrityError          4    bytes are not what their digest says
    ├── TrustError              4    a signature, a key or a statement does not hold
    ├── StoreError              5    our own disk
    ├── UpstreamError           5    an origin or a destination, or the way to it
    └── ToolError               5    a program that we started

Each error carries a stable code (kebab-case, part of the interface), what was wrong and where, and the next step.
These do not change: an error that gets more words is a new one (`with_where`, `with_hint`). Who reacts to an error asks
for its class, so what is reacted to has a class of its own below.
Exit 1 is a bug, 130 is Ctrl-C; see `airgap.cli.exits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

Side = Literal["", "origin", "destination"]
"""Where something comes from, or where it goes."""


class AirgapError(Exception):
    """Base of all expected failures.

    `what` says it as `got …, expected …` where it can.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, hint: str = "") -> None:
        super().__init__(code, what, hint)
        self.also: Sequence[AirgapError] = ()
        """What else failed in the same run; its exit code is that of this one."""

    @property
    def code(self) -> str:
        """Stable and kebab-case."""
        return str(self.args[0])

    @property
    def what(self) -> str:
        """What was wrong and where."""
        return str(self.args[1])

    @property
    def hint(self) -> str:
        """The next step, `""` where there is none."""
        return str(self.args[2])

    def with_where(self, where: str) -> Self:
        """The same error, which says `where` it happened before what was wrong. This one is its cause."""
        return self._reworded(f"{where}: {self.what}", self.hint)

    def with_hint(self, hint: str) -> Self:
        """The same error with another next step. This one is its cause."""
        return self._reworded(self.what, hint)

    def _reworded(self, what: str, hint: str) -> Self:
        made = copy(self)
        made.args = (self.code, what, hint)
        made.__cause__ = self
        return made

    def __str__(self) -> str:
        # The code stands behind the first line: those that follow are a list.
        first, line, rest = self.what.partition("\n")
        return f"{first} [{self.code}]{line}{rest}"

    def as_dict(self) -> dict[str, str]:
        """The same for `--json`: keys `code`, `error`, `hint`."""
        return {"code": self.code, "error": self.what, "hint": self.hint}


class InputError(AirgapError):
    """What the user wrote or typed is wrong. Nothing was done."""

    exit_code = 2


class ReadableError(InputError):
    """A file with a secret that others can read too (`key-readable` and the like)."""


class PolicyError(AirgapError):
    """A rejection: policy, a check or an audit said no."""

    exit_code = 3


class IntegrityError(AirgapError):
    """Bytes differ from their digest or size, or a graph is not whole."""

    exit_code = 4


class DamageError(IntegrityError):
    """Bytes that are not what their digest or size says: `digest-mismatch`, `truncated`, `oversized`."""


class TooLargeError(IntegrityError):
    """More bytes than airgap reads of such a thing (`too-large`); none of them was looked at."""


class PrerequisiteError(IntegrityError):
    """A Git bundle builds on commits that are not in the repository (`git-prerequisite`)."""


class TornLogError(IntegrityError):
    """The last line of a log has no end: the machine stopped while it was written (`log-torn`)."""


class TrustError(AirgapError):
    """A signature, key, role, audience, sequence or expiry does not hold."""

    exit_code = 4


class UselessKeyError(TrustError):
    """A signature that counts for nothing, and leaves the others as good as they were.

    `unknown-key`, `key-not-valid-then`, `key-revoked`: a new key can countersign what an old one signed.
    """


class UnknownKeyError(UselessKeyError):
    """Signed by a key that the Trust resource does not list (`unknown-key`)."""


class ExpiredError(TrustError):
    """A delivery that was good until a time before now (`delivery-expired`)."""


class StoreError(AirgapError):
    """Our own disk: full, read-only, not ours, or changed by someone else."""

    exit_code = 5


class UpstreamError(AirgapError):
    """An origin or a destination refused, lied or could not be reached.

    `status` is the HTTP status where there was an answer, else 0. `side` says which of the two it was, `""` where
    that was not known where it happened.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, hint: str = "", status: int = 0, *, side: Side = "") -> None:
        super().__init__(code, what, hint)
        self.status = status
        self.side: Side = side


class UnreachableError(UpstreamError):
    """Nobody answered at the address (`unreachable`): in this run it is not asked again."""


class BlockedError(UpstreamError):
    """Something is there, and a policy of its project forbids to read it (`blocked-by-policy`)."""


class ChildMissingError(UpstreamError):
    """A registry refused a manifest, because it does not see yet what that names (`child-missing`)."""


class DigestRefusedError(UpstreamError):
    """A registry got other bytes than were sent (`digest-refused`)."""


class RaceError(UpstreamError):
    """Someone else wrote the same name at the same time: `tag-differs`, `changed-meanwhile`."""


class NotFoundError(UpstreamError):
    """The origin answered that the thing does not exist: callers react to this one."""


class RepositoryMissingError(NotFoundError):
    """A Git server knows no such repository, or does not say that it does (`git-not-found`)."""


class ObjectGoneError(NotFoundError):
    """A Git server does not give an object any more that it once had (`git-object-gone`)."""


class AbsentError(NotFoundError):
    """Content that is on a volume which is not there for now. `digests` names it: the rest of an item was brought."""

    def __init__(self, digests: Sequence[str]) -> None:
        found = f"{len(digests)} blobs, {digests[0]} for one" if digests else "content"
        what = f"not there yet, and on no volume at hand: {found}"
        super().__init__("volume-missing", what, "insert the disc that holds it")
        self.digests = tuple(digests)

    def __reduce__(self) -> tuple[type[AbsentError], tuple[Sequence[str]]]:
        """Copies are made of the digests, not of what was said about them."""
        return AbsentError, (self.digests,)


class ToolError(AirgapError):
    """A program that we started failed, is missing, or took too long."""

    exit_code = 5
