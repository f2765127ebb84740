"""The exception tree. Imports only `text` of airgap, so that every layer can use it.

    AirgapError                exit  cause
    ├── InputError              2    the user's input: the request, a resource file or a flag
    ├── PolicyError             3    nothing is broken: a policy, a check or an audit rejected something
    ├── IntegrityError          4    bytes do not match their digest
    ├── TrustError              4    a signature, a key or a statement is not valid
    ├── StoreError              5    the local disk
    ├── UpstreamError           5    an origin or a destination, or the network in between
    └── ToolError               5    a program that airgap started

Each error has a code (kebab-case), a text that says what is wrong and where, and the next step. The codes in
docs/reference/codes.md are the interface; the others are details. Errors do not change: `with_where` and `with_hint`
return a new error with more text. A caller that handles an error catches its class. Therefore every error that some
caller handles has its own class below. Exit 1 is a bug, 130 is Ctrl-C; see `airgap.cli.exits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

from airgap.base.text import Lines, message, one_line

Side = Literal["", "origin", "destination"]
"""Where something comes from, or where it goes."""


MAX_LINE = 4000
"""Characters of a line of a message. Values in it may come from hostile files of 64 MiB."""
MAX_LINES = 200
"""Lines of a message."""


def brief(text: str) -> str:
    """`text` as a message may show it: the middle of a longer line, and further lines, are left out."""
    if len(text) <= MAX_LINE:
        return text
    lines = text.split("\n", MAX_LINES)
    short = "\n".join(map(_brief_line, lines[:MAX_LINES])) + ("\n…" if len(lines) > MAX_LINES else "")
    return Lines(short) if isinstance(text, Lines) else short


def _said(text: str) -> Lines:
    short = brief(text)
    return short if isinstance(short, Lines) else Lines(one_line(short))


def _brief_line(line: str) -> str:
    if len(line) <= MAX_LINE:
        return line
    begin, end = MAX_LINE * 3 // 4, MAX_LINE // 5
    return f"{line[:begin]}… ({len(line) - begin - end} characters left out) …{line[-end:]}"


class AirgapError(Exception):
    """Base of all expected failures.

    `what` reads `got …, expected …` where possible. Here, where every message is made, longer texts are shortened
    (`brief`), and what a text quotes is kept on one line: only `Lines` have several.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, hint: str = "") -> None:
        super().__init__(code, _said(what), _said(hint))
        self.also: Sequence[AirgapError] = ()
        """Other errors of the same run. The exit code is that of this error."""

    @property
    def code(self) -> str:
        """The stable code, in kebab-case."""
        return str(self.args[0])

    @property
    def what(self) -> Lines:
        """What is wrong and where."""
        text: Lines = self.args[1]
        return text

    @property
    def hint(self) -> Lines:
        """The next step, or `""` if there is none."""
        text: Lines = self.args[2]
        return text

    def with_where(self, where: str) -> Self:
        """A copy of this error whose text begins with `where` it happened. This error is its cause."""
        return self._reworded(Lines(f"{message(where)}: {self.what}"), self.hint)

    def with_hint(self, hint: str) -> Self:
        """A copy of this error with another next step. This error is its cause."""
        return self._reworded(self.what, hint)

    def _reworded(self, what: str, hint: str) -> Self:
        made = copy(self)
        made.args = (self.code, _said(what), _said(hint))
        made.__cause__ = self
        return made

    def __str__(self) -> str:
        # The code goes at the end of the first line, because the following lines are a list.
        first, line, rest = self.what.partition("\n")
        return Lines(f"{first} [{self.code}]{line}{rest}")

    def as_dict(self) -> dict[str, str]:
        """The error as a `--json` object: keys `code`, `error`, `hint`."""
        return {"code": self.code, "error": self.what, "hint": self.hint}


class InputError(AirgapError):
    """The user's input is wrong. Nothing was done."""

    exit_code = 2


class ReadableError(InputError):
    """A file with a secret that others can read (`key-readable` and similar codes)."""


class WrongIdentityError(InputError):
    """A file is encrypted, and not to the key of any identity that was given (`wrong-identity`)."""


class WrongItemError(InputError):
    """What an entry of a request names is not there, or is not what the entry says. No other item is concerned."""


class PolicyError(AirgapError):
    """A policy, a check or an audit rejected something."""

    exit_code = 3


class IntegrityError(AirgapError):
    """Bytes differ from their digest or size, or a graph is incomplete."""

    exit_code = 4


class DamageError(IntegrityError):
    """Bytes do not match their digest or size: `digest-mismatch`, `truncated`, `oversized`."""


class TooLargeError(IntegrityError):
    """Something is larger than the limit that airgap reads (`too-large`). Its bytes were not examined."""


class PrerequisiteError(IntegrityError):
    """A Git bundle requires commits that are not in the repository (`git-prerequisite`)."""


class NotAsLockedError(IntegrityError):
    """Content is intact, and differs from what its lock says of it (`not-as-locked`)."""


class TornLogError(IntegrityError):
    """The last line of a log is incomplete: the machine stopped while the line was written (`log-torn`)."""


class TrustError(AirgapError):
    """A signature, key, role, audience, sequence or expiry is not valid."""

    exit_code = 4


class UselessKeyError(TrustError):
    """A signature that does not count, but does not invalidate the other signatures.

    `unknown-key`, `key-not-valid-then`, `key-revoked`, `key-expired`: a new key can countersign what an old key signed.
    """


class EndedKeyError(UselessKeyError):
    """A signature by a key that is no longer valid (`key-expired`, `key-revoked`), over something new."""


class MissingStatementError(TrustError):
    """A delivery lacks a statement that is required (`statement-missing`). It may come later, such as an approval."""


class WrongMakerError(TrustError):
    """A listed key signed what its role may not say, or as another role."""


class UnknownKeyError(UselessKeyError):
    """The key that made the signature is not in the Trust resource (`unknown-key`)."""


class ExpiredError(TrustError):
    """A delivery expired before now (`delivery-expired`), or its verdict is too old now (`verdict-old`)."""


class StoreError(AirgapError):
    """The local disk is full, read-only, not accessible, or was changed by another process."""

    exit_code = 5


class StoppedError(AirgapError):
    """The work stopped before its end, because its time was up (`window-ended`). What is finished is kept."""

    exit_code = 5


class DiskFullError(StoreError):
    """There is no space left, or not enough for what is to be written (`disk-full`)."""


class UpstreamError(AirgapError):
    """An origin or a destination refused, gave a wrong answer or could not be reached.

    `status` is the HTTP status, or 0 if there was no answer. `side` is the side that failed, or `""` where the code
    that raised the error did not know it.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, hint: str = "", status: int = 0, *, side: Side = "") -> None:
        super().__init__(code, what, hint)
        self.status = status
        self.side: Side = side


class UnreachableError(UpstreamError):
    """The address did not answer (`unreachable`). It is not asked again in this run."""


class BlockedError(UpstreamError):
    """The content exists, but a policy of its project forbids reading it (`blocked-by-policy`)."""


class UnconfirmedError(UpstreamError):
    """A name was written, and nobody could read it back (`unconfirmed`)."""


class ProjectMissingError(UpstreamError):
    """A registry says that the project of a repository does not exist (`project-missing`)."""


class LoginError(UpstreamError):
    """The login itself is refused, whatever is asked for (`login-failed`)."""


class ChildMissingError(UpstreamError):
    """A registry refused a manifest because it does not see the content that it names yet (`child-missing`)."""


class DigestRefusedError(UpstreamError):
    """A registry received other bytes than airgap sent (`digest-refused`)."""


class RaceError(UpstreamError):
    """Another client wrote the same name at the same time: `tag-differs`, `changed-meanwhile`."""


class NotFoundError(UpstreamError):
    """The origin answered that the content does not exist. Callers handle this error."""


class RepositoryMissingError(NotFoundError):
    """A Git server does not have the repository, or hides it (`git-not-found`)."""


class ObjectGoneError(NotFoundError):
    """A Git server no longer serves an object that it once had (`git-object-gone`)."""


class OmittedError(NotFoundError):
    """A blob that a delta omits is nowhere to be read (`omitted-missing`)."""


class AbsentError(NotFoundError):
    """Content is on a volume that is not attached. `digests` names it; the other content of the item was copied."""

    def __init__(self, digests: Sequence[str]) -> None:
        listed = f": {len(digests)} blobs, the first is {digests[0]}" if digests else ""
        what = f"content is on a volume that is not attached{listed}"
        super().__init__("volume-missing", what, "insert the disc that contains it")
        self.digests = tuple(digests)

    def __reduce__(self) -> tuple[type[AbsentError], tuple[Sequence[str]]]:
        """Copies are built from the digests, not from the message."""
        return AbsentError, (self.digests,)


class ToolError(AirgapError):
    """A program that airgap started failed, is missing, or took too long."""

    exit_code = 5


class DaemonLateError(ToolError):
    """A daemon did not answer in time (`scanner-timeout`)."""


class DaemonGoneError(ToolError):
    """A daemon ended a connection without an answer (`scanner-crashed`)."""
