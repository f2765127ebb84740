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
Exit 1 is a bug, 130 is Ctrl-C; see `airgap.cli.exits`.
"""

from __future__ import annotations

from collections.abc import Sequence


class AirgapError(Exception):
    """Base of all expected failures.

    `code` is stable and kebab-case; `what` says what was wrong and where (`got …, expected …`);
    `hint` is the next step for the person who reads it, `""` where there is none.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, hint: str = "") -> None:
        super().__init__(code, what, hint)
        self.code = code
        self.what = what
        self.hint = hint
        self.also: Sequence[AirgapError] = ()
        """What else failed in the same run; its exit code is that of this one."""

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


class PolicyError(AirgapError):
    """A rejection: policy, a check or an audit said no."""

    exit_code = 3


class IntegrityError(AirgapError):
    """Bytes differ from their digest or size, or a graph is not whole."""

    exit_code = 4


class TrustError(AirgapError):
    """A signature, key, role, audience, sequence or expiry does not hold."""

    exit_code = 4


class StoreError(AirgapError):
    """Our own disk: full, read-only, not ours, or changed by someone else."""

    exit_code = 5


class UpstreamError(AirgapError):
    """An origin or a destination refused, lied or could not be reached.

    `status` is the HTTP status where there was an answer, else 0.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, hint: str = "", status: int = 0) -> None:
        super().__init__(code, what, hint)
        self.status = status


class NotFoundError(UpstreamError):
    """The origin answered that the thing does not exist: callers react to this one."""


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
