"""Amounts for people: `2 volumes`, `3.4 MiB`."""

from __future__ import annotations

from datetime import timedelta

_SIZES = {
    "": 1,
    "b": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_DIGITS = 18


def read_size(text: str) -> int:
    """Bytes of `4095MiB`, `4.7GB` or `1048576`; -1 for anything else."""
    digits = text.rstrip("bBkKmMgGtTiI")
    unit = _SIZES.get(text[len(digits) :].lower(), -1)
    whole, point, part = digits.partition(".")
    if unit <= 0 or not _is_number(whole) or (point and (unit == 1 or not _is_number(part))):
        return -1
    return int(whole) * unit + (int(part) * unit // 10 ** len(part) if point else 0)


def read_span(text: str) -> timedelta | None:
    """The time of `90s`, `30m`, `12h` or `7d`; `None` for anything else, and for more than ten years."""
    unit = _SPANS.get(text[-1:], 0)
    made = int(text[:-1]) * unit if unit and _is_number(text[:-1]) else -1
    return timedelta(seconds=made) if 0 <= made <= 3650 * 86400 else None


def span_words(span: timedelta) -> str:
    """`30 days`, `36 hours`, `90 seconds`: in the largest unit of which it has a whole number; else `1.4 days`."""
    seconds = int(span.total_seconds())
    units = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
    for unit, size in units:
        if seconds >= size and not seconds % size and seconds // size < 100:
            return count(seconds // size, unit)
    unit, size = next((one for one in units if seconds >= one[1]), units[-1])
    return f"{seconds / size:.1f} {unit}s"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS


def count(number: int, one: str, many: str = "") -> str:
    """`1 volume`, `2 volumes`; `many` is the plural, if it is not formed with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def human(size: float) -> str:
    """Bytes for people: `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
