"""What the receiving side would refuse of a delivery that is about to be cut, by its own Trust resource.

It is the acceptance without what only the receiving side knows (what it accepted before), and without what does not
exist yet (AIRGAP.json and its signature, an approval of the delivery).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from airgap.acceptance.beliefs import Beliefs
from airgap.acceptance.journey import check_stream, check_times
from airgap.acceptance.lock_statements import check_lock
from airgap.acceptance.locks import EvidenceFiles
from airgap.acceptance.sboms import carried_sboms
from airgap.acceptance.scans import Demands
from airgap.base.digest import Digest
from airgap.base.errors import TrustError
from airgap.base.times import utc_text
from airgap.content.lock import Lock
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import Accepted, AcceptedState
from airgap.statements.approval import Approvable, Approves
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.statements.predicates import Receipt
from airgap.statements.trust import DELIVERY_APPROVAL, Known, key_ring

_NOTHING = Digest.of(b"")
_LATER = frozenset({"delivery", "approval", DELIVERY_APPROVAL})
"""Statements that can be made when the delivery was cut."""
_NEXT = {
    "pull": "run `airgap pull` again with --key, the exporter's key; then bundle again",
    "verdict": "run `airgap scan` at the station, and bundle there",
}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A delivery that is about to be cut, as far as it exists."""

    sovereign: str
    stream: str
    locks: tuple[Lock, ...]
    roots: Mapping[str, Digest]
    """By item name."""
    statements: Mapping[str, bytes]
    """The bundles of the evidence, by name."""
    waivers: Sequence[bytes]
    reports: Sequence[bytes]
    scans: Mapping[str, bytes]
    """By name."""
    signer: str
    """The id of the key that will sign it."""
    created: datetime
    expires: datetime
    judged: bool
    """True if findings of locks have to be waived; false if a station will judge them."""
    only: bool = False
    """True if it brings only some items of its locks: those of `roots`."""


def rehearse(one: Rehearsed, trust: Trust) -> list[str]:
    """Raises what an import with this Trust resource would; returns what is still to be done, for people.

    1. Statements that `require` names and that cannot be made later: each by a key with the right role that is good
       now. 2. Their order in time. 3. What they say about each lock. Raises `TrustError`.
    """
    ring = key_ring(trust)
    beliefs = Beliefs(ring, _NOTHING, now=one.created, known=Known.NOTHING)
    beliefs.delivery = Approves(Approvable.DELIVERY, one.sovereign, one.stream, 1)
    waivers = {Digest.of(data): data for data in one.waivers}
    beliefs.locks, beliefs.waivers = one.locks, waivers.keys()
    for name, data in sorted(one.statements.items()):
        beliefs.take(data, f"evidence: {name}", MAX_EVIDENCE_BUNDLE)
    beliefs.sort_out_approvals()
    # 1. What is required.
    for kind in trust.require:
        if kind not in _LATER:
            try:
                beliefs.require(kind)
            except TrustError as error:
                raise error.with_hint(_NEXT.get(kind, error.hint)) from error
    # 2. The order.
    about = [verified.statement for verified in beliefs.counting]
    check_times(one.created, _NOTHING, one.locks, about)
    # 3. The locks.
    reports = {Digest.of(data): data for data in one.reports}
    carried = EvidenceFiles(one.roots, waivers, reports, one.scans, one.only)
    demands = Demands(one.created, trust.verdicts)
    for lock in one.locks:
        check_lock(lock, beliefs, carried, demands, one.created if one.judged else None)
        deque(carried_sboms(lock, beliefs.about("verdict", lock.digest), carried.scans), 0)
    return [*_still(one, trust, beliefs), *_ending(one, trust, beliefs)]


def _still(one: Rehearsed, trust: Trust, beliefs: Beliefs) -> Iterable[str]:
    """The approval that the Trust resource requires, and that is not there yet."""
    of_locks = all(beliefs.about("approval", lock.digest) for lock in one.locks)
    if DELIVERY_APPROVAL in trust.require or ("approval" in trust.require and not of_locks):
        yield (
            "the Sovereign requires an approval by a security-officer: before the delivery leaves, run "
            "`airgap sign DELIVERY --key KEY --trust FILE`"
        )


def _ending(one: Rehearsed, trust: Trust, beliefs: Beliefs) -> Iterable[str]:
    """Keys that end while the delivery may be on its way: from then on it would be refused."""
    used = {verified.key.name for verified in beliefs.counting if verified.statement.kind in trust.require}
    used |= {key.name for key, public in key_ring(trust).keys if public.key_id == one.signer}
    for key in trust.keys:
        end = key.not_after if key.revoked is None else min(key.not_after, key.revoked.at)
        if key.name in used and end < one.expires:
            yield f"key {key.name!r} ends at {utc_text(end)}, before the delivery expires: import it before that"


@dataclass(frozen=True, slots=True)
class Next:
    """The delivery that a store would cut next in a stream."""

    stream: str
    sequence: int
    id: str = ""
    """Not known yet."""


def check_number(one: Next, last: Receipt, subject: Digest, at: datetime, sovereign: str) -> None:
    """Checks the number of the next delivery by a receipt of an earlier one, which was signed `at` a time.

    Raises `TrustError` (`older-sequence`, `sequence-taken`, `sequence-jump`).
    """
    if one.stream != last.stream:
        return
    known = Accepted(last.stream, last.sequence, last.delivery, subject, at, at)
    state = AcceptedState(sovereign, (known,))
    hint = (
        f"the Sovereign accepted number {last.sequence} of this stream, this store would cut {one.sequence}: was "
        "it restored from a backup, or did another store cut for this stream? Use another --stream"
    )
    try:
        state.standing(one, _NOTHING)
        check_stream(one, state, (one.stream,))
    except TrustError as error:
        raise error.with_hint(hint) from error
