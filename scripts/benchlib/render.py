"""Markdown and JSON of the results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from benchlib.rows import Row, Table
from benchlib.shapes import MIB

BYTES = {
    "read": "read ×",
    "written": "written ×",
    "disk_read": "from disk ×",
    "disk_written": "to disk ×",
}
HEADER = ("what", "× yardstick", "s", "CPU s", "peak MiB", *BYTES.values(), "target")
LEGEND = """\
`× yardstick`: pull, bundle, verify and cp against the bare copy loop; import and push against the bare push loop; the
whole way against both; `--version` against `python -c pass`. Each of the same round; medians over the rounds.
`read ×`, `written ×`: bytes of system calls as multiples of the content. Go counts what goes through its sockets,
Python and cp have only files there. `from disk ×`, `to disk ×`: what missed the page cache, and what has to be written.
A peak of about 9 MiB is that of the process that starts the commands.
"""


def markdown(table: Table) -> str:
    """A shape's table under its heading."""
    rounds = f"{table.rounds} round{'s' if table.rounds > 1 else ''}"
    lines = [
        f"### {table.shape.name}: {table.shape}, {table.bytes / MIB:,.1f} MiB, {rounds}",
        "",
        _line(HEADER),
        _line(["---", *["---:"] * (len(HEADER) - 2), "---"]),
        *(_line(_cells(row, table.bytes)) for row in table.rows),
    ]
    return "\n".join([*lines, *("\n" + note for note in table.notes)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row, size: int) -> list[str]:
    measured = row.peak > 0  # the loops run in our own process, where only time is theirs
    times = [f"{row.median(name) / size:.2f}" for name in BYTES]
    return [
        row.what,
        "" if row.ratio is None else f"{row.ratio:.2f}",
        f"{row.median('seconds'):.2f}",
        f"{row.median('cpu'):.2f}",
        f"{row.peak / MIB:.0f}" if measured else "",
        *(times if measured else [""] * len(BYTES)),
        row.target,
    ]


def as_json(tables: Sequence[Table], versions: Mapping[str, str]) -> str:
    """Everything, with the machine and the versions of the tools."""
    document: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "peers": dict(versions),
        "shapes": [table.as_dict() for table in tables],
    }
    return json.dumps(document, indent=1) + "\n"
