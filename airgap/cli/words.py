"""Tables, lists, outcomes and next steps for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from airgap.base.amounts import count
from airgap.base.errors import AirgapError, InputError, IntegrityError, TrustError, UpstreamError
from airgap.base.text import one_line

INDENT = 4
"""Spaces before the columns of a table that do not fit beside the others."""


class TableLine(str):
    """A line of a table, which knows its cells: on a terminal, a table that is too wide is laid out again."""

    __slots__ = ("cells",)
    cells: tuple[str, ...]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns; the first row is the heading. A cell stays on its line, whatever is in it."""
    if not rows:
        return []
    shown = [tuple(one_line(cell) for cell in row) for row in rows]
    widths = _widths(shown)
    lines = list[str]()
    for row in shown:
        line = TableLine("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        line.cells = row
        lines.append(line)
    return lines


def fitted(lines: Sequence[str], width: int) -> list[str]:
    """The same lines, with every table in at most `width` characters where its cells allow it.

    Wide columns go to lines of their own below the others, indented. A cell is divided only if it is longer than a
    line: a digest stays whole, so that it can be copied.
    """
    made = list[str]()
    for is_table, group in groupby(lines, key=lambda line: isinstance(line, TableLine)):
        some = list(group)
        too_wide = is_table and any(len(line) > width for line in some)
        made += _folded([line.cells for line in some if isinstance(line, TableLine)], width) if too_wide else some
    return made


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]


def _folded(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """A table whose columns are divided over several lines for each row."""
    widths = _widths(rows)
    groups, used = [list[int]()], -2
    for n, wide in enumerate(widths):
        if wide <= width // 2 and used + 2 + wide <= width:
            groups[0].append(n)
            used += 2 + wide
        else:
            groups.append([n])
    lines = list[str]()
    for row in rows:
        for number, columns in enumerate(groups):
            if not columns or (number and not row[columns[0]]):
                continue
            text = "  ".join(row[n].ljust(widths[n]) for n in columns).rstrip()
            room = max(width - (INDENT if number else 0), 10)
            pieces = [text[at : at + room] for at in range(0, len(text), room)]
            lines += [" " * (INDENT if number else 0) + piece for piece in pieces]
    return lines


def and_others(names: Sequence[str]) -> str:
    """`app`, `app and 1 other`, `app and 7 others`."""
    return f"{names[0]} and {count(len(names) - 1, 'other')}" if len(names) > 1 else names[0]


def outcomes(found: Iterable[object], *, dry_run: bool) -> str:
    """How many lines ended how: `3 refused, 12 written`."""
    counts = sorted(Counter(map(str, found)).items())
    said = ", ".join(f"{number} {outcome}" for outcome, number in counts)
    return ("dry run, nothing was written: " if dry_run else "") + said


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
