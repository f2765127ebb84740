"""Whether a delivery is due: its stream and number, its times, its baseline, and its expiry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from airgap.base.digest import Digest
from airgap.base.errors import ExpiredError, TrustError
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.content.lock import Lock
from airgap.delivery.fields import CUT_AGAIN
from airgap.delivery.journey import Journey
from airgap.statements.accepted_state import Accepted, AcceptedState, Numbered
from airgap.statements.statement import Statement, article
from airgap.statements.trust import again

MAX_JUMP = 1000
"""How far a number may be above the last accepted one without an approval.

Numbers are lost where a delivery was cut and never imported: with one a day, this is enough for almost three years.
Ending a stream (2^53 - 1) by such steps would take more accepted deliveries than anybody can make.
"""
_APPROVE = "have a security-officer approve this delivery: airgap sign DELIVERY --key KEY --trust FILE"


def check_due(journey: Journey, state: AcceptedState | None, now: datetime, *, vouched: bool = False) -> None:
    """Checks whether a new delivery is due. `state` is `None` for callers that have none. Raises `TrustError`.

    1. It was not cut in the future (`created-in-future`).
    2. Each delivery that it rests on was accepted here (`baseline-missing`).
    3. It has not expired (`delivery-expired`), unless a security-officer `vouched` that it may be restored.
    """
    if journey.created > now + CLOCK_SKEW:
        raise TrustError(
            "created-in-future",
            f"the delivery was cut at {utc_text(journey.created)}, after the local time {utc_text(now)}",
            "check this machine's clock first, then the station's",
        )
    accepted = None if state is None else {one.digest for one in state.deliveries}
    lacking = [one for one in journey.based_on if accepted is not None and one.delivery not in accepted]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise TrustError(
            "baseline-missing",
            f"the delivery is based on {lacking[0].delivery}{more}, which was not accepted here",
            "import that delivery first (after a loss: also with --restore). If it is lost, `airgap want` lists what "
            "is missing, and `airgap bundle --want` cuts exactly that; or have a full delivery cut",
        )
    if now > journey.expires and not vouched:
        raise ExpiredError(
            "delivery-expired",
            f"the delivery expired at {utc_text(journey.expires)}; the local time is {utc_text(now)}",
            f"check this machine's clock; if it is right, {CUT_AGAIN}. After a loss, a delivery from the safe may be "
            "taken: have a security-officer run `airgap sign DELIVERY --restore`, then import it with --restore",
        )


def check_audience(journey: Journey, sovereign: str) -> None:
    """Raises `TrustError` (`wrong-sovereign`) unless the delivery is for this Sovereign."""
    if journey.sovereign != sovereign:
        raise TrustError(
            "wrong-sovereign",
            f"the delivery is for {journey.sovereign!r}, but this is {sovereign!r}",
            "take it to the Sovereign that it was cut for; if this is that one, pass its own Trust resource",
        )


def check_stream(journey: Numbered, state: AcceptedState, streams: Sequence[str]) -> None:
    """Checks whether a new delivery that no security-officer approved may be the next of its stream.

    1. Its stream is one of `streams`, those that the Sovereign declares. If it declares none, it is a stream from which
       something was accepted before, or nothing was accepted at all (`stream-not-declared`).
    2. Its number is at most `MAX_JUMP` above the last accepted one of its stream (`sequence-jump`): the largest number
       would end the stream for ever.

    Raises `TrustError`.
    """
    last = state.last(journey.stream)
    # 1. The stream.
    known = journey.stream in streams if streams else last is not None or not state.deliveries
    if not known:
        names = ", ".join(map(repr, sorted(streams or {one.stream for one in state.deliveries})[:5]))
        which = "declares" if streams else "declares no streams, and accepted only"
        raise TrustError(
            "stream-not-declared",
            f"the delivery is of stream {journey.stream!r:.100}; this Sovereign {which} {names}",
            "if you expect this stream, list it in `streams` of the Sovereign resource, with the others that go on; or "
            f"{_APPROVE} (the only way at a station)",
        )
    # 2. The number.
    before = 0 if last is None else last.sequence
    if journey.sequence > before + MAX_JUMP:
        raise TrustError(
            "sequence-jump",
            f"the delivery has number {journey.sequence} of stream {journey.stream!r:.100}, expected at most "
            f"{before + MAX_JUMP}: the last accepted one is {before or 'none'}",
            f"ask whoever cut it why numbers are missing. If they were used up, {_APPROVE}, or have it cut for a new "
            "stream",
        )


def check_place(journey: Journey, state: AcceptedState, signed_at: datetime) -> None:
    """Checks whether a delivery that is put before others of its stream is from before them. Raises `TrustError`.

    Whoever cuts a delivery with an old number today has not cut one that came in before the loss.
    """
    after = state.after(journey.stream, journey.sequence)
    if after is not None and signed_at > after.signed_at:
        raise TrustError(
            "older-sequence",
            f"the delivery, number {journey.sequence} of stream {journey.stream!r:.100}, was signed at "
            f"{utc_text(signed_at)}, after number {after.sequence} ({utc_text(after.signed_at)}): it cannot have come "
            "before it",
            "find out who cut it; have a new delivery cut from the same locks",
        )


def check_new_times(
    journey: Journey,
    state: AcceptedState,
    statements: Sequence[Statement],
    *,
    approved: bool,
    restore: bool = False,
) -> None:
    """Checks that no statement about AIRGAP.json claims to be too old (`signed-too-early`). Raises `TrustError`.

    1. In a stream from which something was accepted, it is not older than the delivery before it. A stream that begins
       has no such delivery: then it is not older than the last one of any stream (but for the difference of two
       clocks), unless a security-officer `approved` this delivery, or it is put in its place by `restore`. Streams
       that run in parallel do not limit each other: discs arrive in any order.
    2. It is not older than AIRGAP.json.
    """
    # 1. What was accepted already.
    before = state.before(journey.stream, journey.sequence)
    last, skew, or_else = before, timedelta(0), ""
    if before is None and not approved and not restore:
        # Another stream is cut on another machine, whose clock may differ.
        last, skew, or_else = max(state.deliveries, key=_signed_at, default=None), CLOCK_SKEW, f", or {_APPROVE}"
    for one in statements:
        if last is not None and one.signed_at + skew < last.signed_at:
            raise TrustError(
                "signed-too-early",
                f"{one.kind} statement: signed at {utc_text(one.signed_at)}, before the last accepted delivery "
                f"({utc_text(last.signed_at)}, stream {last.stream!r})",
                f"check the signer's clock, and {again(one.kind)}{or_else}",
            )
    # 2. AIRGAP.json itself.
    for one in statements:
        _check_order(
            journey.created, "the delivery", one.signed_at, f"{article(one.kind)} statement about it", one.kind
        )


def _signed_at(one: Accepted) -> datetime:
    return one.signed_at


def check_times(created: datetime, delivery: Digest, locks: Sequence[Lock], statements: Sequence[Statement]) -> None:
    """Checks that nothing claims to be older than what it speaks of (`signed-too-early`). Raises `TrustError`.

    `created` is the time of AIRGAP.json, whose digest is `delivery`.

    1. A verdict is not older than the first pull of its lock. (An approval of a lock comes before its pull, and the
       lock itself has no time.)
    2. AIRGAP.json names its evidence by digest. So neither its own time nor a signature over it is older than a
       statement in the evidence.
    """
    # 1. Pull, then verdict.
    for lock in locks:
        about = [one for one in statements if one.subject in lock.pulled_as]
        pulled = min((one.signed_at for one in about if one.kind == "pull"), default=None)
        for one in about:
            if pulled is not None and one.kind == "verdict" and one.subject == lock.digest:
                what = f"the pull statement of lock {lock.digest}"
                _check_order(pulled, what, one.signed_at, "its verdict", one.kind)
    # 2. The evidence, then AIRGAP.json, then its signatures.
    for made in (one for one in statements if one.subject != delivery):
        what = f"{article(made.kind)} statement in its evidence"
        _check_order(made.signed_at, what, created, "AIRGAP.json", "delivery")
        for one in (one for one in statements if one.subject == delivery):
            _check_order(made.signed_at, what, one.signed_at, f"{article(one.kind)} statement", one.kind)


def _check_order(made: datetime, what: str, at: datetime, who: str, kind: str) -> None:
    """Refuses `who`, a statement of a `kind`, that says `at` and speaks of `what`, which was `made` later."""
    if at + CLOCK_SKEW < made:
        raise TrustError(
            "signed-too-early",
            f"{who} says that it was made at {utc_text(at)}, but {what} was made at {utc_text(made)}",
            f"compare the clocks of the machines, then {again(kind)}",
        )
