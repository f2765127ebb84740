"""Numbers, sizes, tables and next steps for people."""

from __future__ import annotations

from collections.abc import Sequence

from airgap.base.errors import AirgapError, InputError, IntegrityError, TrustError, UpstreamError
from airgap.base.text import one_line


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns; the first row is the heading. A cell stays on its line, whatever is in it."""
    if not rows:
        return []
    shown = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in shown) for n in range(len(shown[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def count(number: int, one: str, many: str = "") -> str:
    """`1 volume`, `2 volumes`; `many` is the plural, if it is not formed with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def and_others(names: Sequence[str]) -> str:
    """`app`, `app and 1 other`, `app and 7 others`."""
    return f"{names[0]} and {count(len(names) - 1, 'other')}" if len(names) > 1 else names[0]


def human(size: float) -> str:
    """Bytes for people: `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def next_step(error: AirgapError) -> str:
    """The next step after an error: its own, or else that of its class."""
    if error.hint:
        return error.hint
    if isinstance(error, InputError):
        return "correct what the message names, then run the same command again"
    if isinstance(error, IntegrityError | TrustError):
        return "do not use it: ask for it to be made or delivered again"
    where = f" at the {error.side}" if isinstance(error, UpstreamError) and error.side else ""
    return f"correct that{where}, then run the same command again: finished work is kept"
