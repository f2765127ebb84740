"""`lock --partial`: which failures become findings, so that one lost image does not stop a lock of hundreds."""

from __future__ import annotations

from collections.abc import Sequence

from airgap.base.errors import (
    AirgapError,
    DamageError,
    IntegrityError,
    LoginError,
    NotFoundError,
    UpstreamError,
    WrongItemError,
)
from airgap.content.lock_finding import LockFinding
from airgap.net.faults import NoSuchHostError
from airgap.resources.request import Unusable
from airgap.store.locate import Reach

HIDDEN = (401, 403)
"""How servers answer for what is gone: Docker Hub and GitHub say this of every name that they do not know."""
PARTIAL = "to lock everything else, add --partial: what is left out becomes a finding, which a waiver has to accept"


def can_be_left_out(error: AirgapError) -> bool:
    """True if the item itself is the cause, and trying again does not help: gone, hidden, malformed, or not a name.

    A network or a server that fails would make findings of everything, and what was damaged on the way is good the
    next time.
    """
    if isinstance(error, IntegrityError):
        return not isinstance(error, DamageError)
    hidden = isinstance(error, UpstreamError) and not isinstance(error, LoginError) and error.status in HIDDEN
    return hidden or isinstance(error, NotFoundError | WrongItemError)


def left_out(name: str, error: AirgapError, reach: Reach) -> LockFinding:
    """The finding for an item that could not be locked. It names no folder of this machine: each has others."""
    what = error.what.replace(str(reach.spool), "…").replace(f"{reach.base}/", "")
    return LockFinding.of(name, error.code, what)


def unusable(entries: Sequence[Unusable]) -> list[LockFinding]:
    """The findings for entries of a request whose name can be none."""
    return [LockFinding.of(one.name, "bad-resource", one.text) for one in entries]


def hinted(errors: list[AirgapError]) -> list[AirgapError]:
    """The same errors. The first that could be left out names --partial, if all of them could."""
    if errors and all(can_be_left_out(one) or isinstance(one, NoSuchHostError) for one in errors):
        hint = errors[0].hint
        return [errors[0].with_hint(f"{hint}; {PARTIAL}" if hint else PARTIAL), *errors[1:]]
    return errors
