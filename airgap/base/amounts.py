"""Amounts for people: `2 volumes`, `3.4 MiB`."""

from __future__ import annotations


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
