"""Checks whether a delivery is due: cut in the past, complete or based on an accepted delivery, and not expired."""

from __future__ import annotations

from datetime import datetime

from airgap.base.errors import ExpiredError, TrustError
from airgap.base.times import CLOCK_SKEW, utc_text
from airgap.delivery.index import CUT_AGAIN, Journey
from airgap.statements.accepted_state import AcceptedState


def check_due(journey: Journey, state: AcceptedState, now: datetime) -> None:
    """Checks whether a new delivery is due. Raises `TrustError`.

    1. It was not cut in the future (`created-in-future`).
    2. The delivery that it continues was accepted here (`baseline-missing`).
    3. It has not expired (`delivery-expired`).
    """
    if journey.created > now + CLOCK_SKEW:
        raise TrustError(
            "created-in-future",
            f"the delivery was cut at {utc_text(journey.created)}, after the local time {utc_text(now)}",
            "check this machine's clock first, then the station's",
        )
    if journey.based_on and all(journey.based_on != one.digest for one in state.deliveries):
        raise TrustError(
            "baseline-missing",
            f"the delivery is based on {journey.based_on}, which was not accepted here",
            "import that delivery first, or have a full delivery cut",
        )
    if now > journey.expires:
        raise ExpiredError(
            "delivery-expired",
            f"the delivery expired at {utc_text(journey.expires)}; the local time is {utc_text(now)}",
            f"check this machine's clock; if it is right, {CUT_AGAIN}",
        )
