"""Promoted locks at the receiving side: each is what its full lock has, without what is in quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airgap.base.digest import Digest
from airgap.base.errors import InputError, TrustError
from airgap.content.lock import Lock
from airgap.content.promotion import difference

_HINT = "have the station promote the lock again, and cut the delivery again: airgap scan --promote, then airgap bundle"


def check_promoted(locks: Sequence[Lock], full: Iterable[bytes]) -> tuple[Lock, ...]:
    """Compares locks that were promoted with their full locks, whose bytes are `full`, in any order. Returns these.

    Pull statements speak of full locks. Raises `TrustError`: `full-lock-missing`, `promotion-mismatch`, `bad-lock`,
    `locks-mismatch` for a full lock of which nothing was promoted.
    """
    found = {Digest.of(data): data for data in full}
    wanted = {lock.promoted_from for lock in locks}
    for digest in found.keys() - wanted:
        what = f"the evidence has the full lock {digest}, but no lock was promoted from it"
        raise TrustError("locks-mismatch", what, _HINT)
    known: dict[Digest, Lock] = {}
    for lock in locks:
        if lock.promoted_from is None:
            continue
        data = found.get(lock.promoted_from)
        if data is None:
            what = f"lock {lock.name!r} was promoted from {lock.promoted_from}, which the evidence does not contain"
            raise TrustError("full-lock-missing", what, _HINT)
        try:
            whole = known[lock.promoted_from] = Lock.decode(data, f"full lock {lock.promoted_from.short}")
            wrong = difference(lock, whole)
        except InputError as error:
            raise TrustError(error.code, error.what, error.hint) from error
        if wrong:
            raise TrustError("promotion-mismatch", f"lock {lock.name!r}: {wrong}", _HINT)
    return tuple(known.values())
