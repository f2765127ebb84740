"""`lock --partial`: which failures become findings, so that one lost image does not stop a lock of hundreds."""

from __future__ import annotations

from collections.abc import Sequence

from airgap.base.errors import AirgapError, DamageError, InputError, IntegrityError, NotFoundError, UpstreamError
from airgap.content.lock_finding import LockFinding
from airgap.resources.request import Unusable
from airgap.store.locate import Reach

HIDDEN = frozenset({"unauthorized", "forbidden", "git-unauthorized"})
"""How servers answer for what is gone: Docker Hub and GitHub say that of every name that they do not know."""
WRONG = frozenset(
    {"bad-archive", "bad-model", "bad-ref", "bad-reference", "git-no-ref", "git-partial", "git-shallow", "no-archive"}
    | {"no-image", "no-platform", "no-store", "no-such-file", "no-such-path", "no-such-root", "not-a-file"}
)
"""Names in a request that mean nothing. Other input errors are not the item's: a password that cannot be read."""
PARTIAL = "to lock everything else, add --partial: what is left out becomes a finding, which a waiver has to accept"


def can_be_left_out(error: AirgapError) -> bool:
    """True if the item itself is the cause, and trying again does not help: gone, hidden, malformed, or not a name.

    A network or a server that fails would make findings of everything, and what was damaged on the way is good the
    next time.
    """
    if isinstance(error, InputError):
        return error.code in WRONG
    if isinstance(error, IntegrityError):
        return not isinstance(error, DamageError)
    return isinstance(error, NotFoundError) or (isinstance(error, UpstreamError) and error.code in HIDDEN)


def left_out(name: str, error: AirgapError, reach: Reach) -> LockFinding:
    """The finding for an item that could not be locked. It names no folder of this machine: each has others."""
    what = error.what.replace(str(reach.spool), "…").replace(f"{reach.base}/", "")
    return LockFinding.of(name, error.code, what)


def unusable(entries: Sequence[Unusable]) -> list[LockFinding]:
    """The findings for entries of a request whose name can be none."""
    return [LockFinding.of(one.name, "bad-resource", one.text) for one in entries]


def hinted(errors: list[AirgapError]) -> list[AirgapError]:
    """The same errors. The first that could be left out names --partial, if all of them could."""
    if errors and all(map(can_be_left_out, errors)):
        hint = errors[0].hint
        return [errors[0].with_hint(f"{hint}; {PARTIAL}" if hint else PARTIAL), *errors[1:]]
    return errors
