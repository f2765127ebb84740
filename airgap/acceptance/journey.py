"""The journey of a delivery: for whom, which number in which stream, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airgap.base.errors import TrustError
from airgap.base.times import CLOCK_SKEW, utc_text, utc_time
from airgap.statements.accepted_state import AcceptedState

CUT_AGAIN = "have the delivery cut again"
"""The next step where a delivery is wrong in itself."""


@dataclass(frozen=True, slots=True)
class Journey:
    """What one delivery says about its journey (AIRGAP.json, `journey`)."""

    id: str
    stream: str
    sequence: int
    sovereign: str
    created: datetime
    expires: datetime
    based_on: str = ""
    """The digest of the AIRGAP.json that it continues; `""` where it is whole."""

    @classmethod
    def of(
        cls,
        *,
        id: str,  # noqa: A002  (the field's name)
        stream: str,
        sequence: int,
        sovereign: str,
        created: str,
        expires: str,
        based_on: str = "",
    ) -> Journey:
        """The same with its times as they are written. Raises `TrustError` (`bad-journey`)."""
        try:
            start, end = utc_time(created), utc_time(expires)
        except ValueError as error:
            raise TrustError("bad-journey", f"AIRGAP.json: journey: created or expires: {error}", CUT_AGAIN) from error
        return cls(id, stream, sequence, sovereign, start, end, based_on)


def check_due(journey: Journey, state: AcceptedState, now: datetime) -> None:
    """Whether a new delivery is due. Raises `TrustError`.

    1. It was not cut in the future (`created-in-future`).
    2. What it continues was accepted here (`baseline-missing`).
    3. It has not expired (`delivery-expired`).
    """
    if journey.created > now + CLOCK_SKEW:
        raise TrustError(
            "created-in-future",
            f"the delivery was cut at {utc_text(journey.created)}, and here it is {utc_text(now)}",
            "check this machine's clock first, then that of the station",
        )
    if journey.based_on and all(journey.based_on != one.digest for one in state.deliveries):
        raise TrustError(
            "baseline-missing",
            f"the delivery continues {journey.based_on}, which was not accepted here",
            "import that delivery first, or have a whole one cut",
        )
    if now > journey.expires:
        raise TrustError(
            "delivery-expired",
            f"the delivery was good until {utc_text(journey.expires)}, and here it is {utc_text(now)}",
            f"check this machine's clock; if it is right, {CUT_AGAIN}",
        )
