"""Bytes as pieces that each fit into one code, in any order: `AG1:<id>:<number>:<count>:<base45>`.

Format: docs/format.md, "On paper". The id holds pieces of different pages apart, and shows a piece that was misread.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from airgap.base import base45
from airgap.base.errors import InputError

PIECE = 900
"""Bytes of a piece: with its head, a QR code of version 25 at level M, which telephones read from paper."""
MAX_PIECES = 2000
"""Pieces of one statement: 1.8 MB, which nobody scans."""
_ID = 10
"""Hex digits of the id: the beginning of the sha256 of all bytes."""
_HEAD = re.compile(r"AG1:([0-9A-F]{10}):([0-9]{1,4}):([0-9]{1,4}):")
_FORM = re.compile(_HEAD.pattern + r"([0-9A-Z $%*+\-./:]+)")
_LONGEST = 4296
"""Characters of a code: version 40, level L. Source: ISO/IEC 18004, table 7."""


def split(data: bytes) -> list[str]:
    """The pieces of `data`, in order. Raises `InputError` (`page-too-large`)."""
    count = max(1, -(-len(data) // PIECE))
    if count > MAX_PIECES:
        raise InputError(
            "page-too-large",
            f"the statement needs {count} codes, expected at most {MAX_PIECES}",
            "carry the file itself, on a medium",
        )
    name = _id(data)
    return [
        f"AG1:{name}:{number}:{count}:{base45.encode(data[(number - 1) * PIECE : number * PIECE])}"
        for number in range(1, count + 1)
    ]


def find(text: str) -> list[str]:
    """All pieces in a text, in the order in which they stand there: the rest of a line from a head on.

    One look at each line, however it is made: texts come from outside.
    """
    found = ((line, _HEAD.search(line)) for line in text.splitlines())
    pieces = (line[head.start() :].rstrip() for line, head in found if head is not None)
    return [piece for piece in pieces if len(piece) <= _LONGEST and _FORM.fullmatch(piece)]


def join(pieces: Iterable[str]) -> bytes:
    """The bytes of all pieces of one page, which may repeat and be in any order.

    Raises `InputError` (`no-pieces`, `other-page`, `pieces-missing`, `bad-piece`).
    """
    parts: dict[int, str] = {}
    heads: set[tuple[str, int]] = set()
    for piece in pieces:
        match = _FORM.fullmatch(piece)
        if match is None:
            raise InputError("bad-piece", f"got {piece[:40]!r}, expected AG1:… of a page by airgap", "scan it again")
        heads.add((match[1], int(match[3])))
        parts[int(match[2])] = match[4]
    if not heads:
        raise InputError(
            "no-pieces",
            "there is no code of a page by airgap",
            "pass a sharp picture (PNG, JPEG) of the whole page, or the text of its codes (AG1:…)",
        )
    if len(heads) > 1:
        raise InputError("other-page", "the codes are of different pages", "pass the codes of one statement alone")
    [(name, count)] = heads
    absent = [number for number in range(1, count + 1) if number not in parts][:20]
    if absent or len(parts) != count:
        raise InputError(
            "pieces-missing",
            f"got {len(parts)} of {count} codes; missing: {', '.join(map(str, absent))}",
            "scan these too: pictures and texts of the same page may be passed together",
        )
    try:
        data = b"".join(base45.decode(parts[number]) for number in range(1, count + 1))
    except ValueError as error:
        raise InputError("bad-piece", str(error), "a code was misread: scan it again") from error
    if _id(data) != name:
        raise InputError("bad-piece", "the codes do not belong together, or one was misread", "scan the page again")
    return data


def _id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_ID].upper()
