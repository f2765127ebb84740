"""The page: what a statement says, for people, and the codes, for the machine on the other side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError

if TYPE_CHECKING:
    import segno

WIDTH, HEIGHT = 595.0, 842.0
"""Points of A4. Source: ISO 216; PDF 32000-1, 8.3.2.3: a point is 1/72 inch."""
_EDGE = 36.0
_LINE = 10.0
_SIZE = 7.5
_CODE = 250.0
"""Points of a code's side: two beside each other. A module of version 25 is 0.7 mm wide."""
_BLOCKS = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}
_LETTERS = 118
"""Characters that fit on a line in Courier of this size."""


@dataclass(frozen=True, slots=True)
class PrintedPage:
    """What goes on paper: a heading, lines about the statement, and the codes with the pieces that they contain."""

    heading: str
    lines: Sequence[str]
    codes: Sequence[segno.QRCode]
    pieces: Sequence[str]


def as_text(page: PrintedPage, *, on_screen: bool) -> str:
    """Plain text of the page: codes of half blocks for a printer without graphics or for a screen, and their pieces.

    On a dark screen the light modules have to be drawn, on paper the dark ones.
    """
    parts = [page.heading, "", *page.lines, ""]
    for number, (code, piece) in enumerate(zip(page.codes, page.pieces, strict=True), 1):
        parts += [f"code {number} of {len(page.codes)}", _half_blocks(code, ink=not on_screen), piece, ""]
    return "\n".join(parts) + "\n"


def _half_blocks(code: segno.QRCode, *, ink: bool) -> str:
    """A code of half blocks, two rows a line; `ink` says whether a dark module is one."""
    rows = [[bool(module) is ink for module in row] for row in code.matrix_iter(border=4)]
    rows += [[not ink] * len(rows[0])] * (len(rows) % 2)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join(
        "".join(_BLOCKS[up, down] for up, down in zip(above, below, strict=True)).rstrip() for above, below in pairs
    )


def as_pdf(page: PrintedPage) -> tuple[bytes, int]:
    """The PDF, and its number of pages; the same page gives the same bytes. Raises `InputError` (`missing-extra`)."""
    out = io.BytesIO()
    canvas = _canvas(out)
    canvas.setTitle(page.heading)
    rows = -(-len(page.codes) // 2)
    below = HEIGHT - 2 * _EDGE - min(rows, 2) * (_CODE + _LINE)
    room = max(8, int(below // _LINE) - 3)
    lines = [_plain(line) for line in page.lines]
    if len(lines) > room:
        lines = [*lines[: room - 1], f"… and {len(lines) - room + 1} more lines; the codes contain everything"]
    canvas.setFont("Courier-Bold", 11)
    canvas.drawString(_EDGE, HEIGHT - _EDGE - 11, _plain(page.heading)[:78])
    top = _text(canvas, lines, HEIGHT - _EDGE - 11 - 2 * _LINE)
    pages = _codes(canvas, page, top - _LINE)
    canvas.save()
    return out.getvalue(), pages


def _text(canvas: Any, lines: Sequence[str], top: float) -> float:
    canvas.setFont("Courier", _SIZE)
    for line in lines:
        canvas.drawString(_EDGE, top, line)
        top -= _LINE
    return top


def _codes(canvas: Any, page: PrintedPage, top: float) -> int:
    """Draws the codes two by two, on more pages if there are more. Returns the number of pages."""
    pages = 1
    for number, code in enumerate(page.codes):
        column = number % 2
        if not column and top - _CODE - _LINE < _EDGE:
            canvas.showPage()
            pages += 1
            top = HEIGHT - _EDGE
        left = _EDGE + column * (WIDTH - 2 * _EDGE - _CODE)
        _draw(canvas, code, left, top - _CODE)
        canvas.setFont("Courier", _SIZE)
        name = page.pieces[number].split(":")[1]
        canvas.drawString(left + 12, top - _CODE - 6, f"code {number + 1} of {len(page.codes)}   {name}")
        if column:
            top -= _CODE + 2 * _LINE
    return pages


def _draw(canvas: Any, code: segno.QRCode, left: float, bottom: float) -> None:
    """Draws the dark modules of a code as one path, row by row, each run of modules as one rectangle."""
    matrix = [[bool(module) for module in row] for row in code.matrix_iter(border=4)]
    side = _CODE / len(matrix)
    path = canvas.beginPath()
    for at, row in enumerate(matrix):
        column = 0
        while column < len(row):
            end = column
            while end < len(row) and row[end]:
                end += 1
            if end > column:
                path.rect(left + column * side, bottom + (len(matrix) - at - 1) * side, (end - column) * side, side)
            column = end + 1
    canvas.drawPath(path, stroke=0, fill=1)


def _plain(line: str) -> str:
    """A line in the characters of the fonts that every reader has, cut to the width of the page."""
    text = line.encode("cp1252", "replace").decode("cp1252")
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _canvas(out: io.BytesIO) -> Any:
    try:
        from reportlab.pdfgen.canvas import Canvas
    except ImportError as error:
        what = "pages need the Python package reportlab"
        raise InputError("missing-extra", what, "pip install 'airgap[paper]'; or --format text") from error
    return Canvas(out, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=1)
