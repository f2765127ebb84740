"""Times as they are written: RFC 3339, UTC, whole seconds (`2026-11-23T10:00:00Z`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

CLOCK_SKEW = timedelta(hours=1)
"""How far the clocks of two zones may differ: nothing inside the gap can ask for the time."""


def utc_text(moment: datetime) -> str:
    """`moment` in UTC, its fraction of a second dropped. Raises `ValueError` without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def utc_time(text: object) -> datetime:
    """The moment that `text` names. Raises `ValueError` for every other way to write a time."""
    wrong = ValueError(f"got {repr(text)[:60]}, expected a time like 2026-11-23T10:00:00Z")
    if not isinstance(text, str):
        raise wrong
    try:
        moment = datetime.fromisoformat(text)
        # One moment has one text, so that a signed time cannot be written in two ways.
        same = utc_text(moment) == text
    except ValueError as error:
        raise wrong from error
    if not same:
        raise wrong
    return moment
