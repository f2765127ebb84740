"""The text form of times: RFC 3339, UTC, whole seconds (`2026-11-23T10:00:00Z`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

CLOCK_SKEW = timedelta(hours=1)
"""How far the clocks of two zones may differ. There is no time server that both sides of the gap can ask."""


def utc_text(moment: datetime) -> str:
    """`moment` in UTC, without its fraction of a second. Raises `ValueError` if it has no time zone."""
    if moment.tzinfo is None:
        raise ValueError("the time has no time zone")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def utc_time(text: object) -> datetime:
    """The moment that `text` names. Raises `ValueError` for every other notation of a time."""
    wrong = ValueError(f"got {repr(text)[:60]}, expected a time like 2026-11-23T10:00:00Z")
    if not isinstance(text, str):
        raise wrong
    try:
        moment = datetime.fromisoformat(text)
        # Each moment has exactly one text, so that a signed time cannot be written in two ways.
        same = utc_text(moment) == text
    except ValueError as error:
        raise wrong from error
    if not same:
        raise wrong
    return moment
