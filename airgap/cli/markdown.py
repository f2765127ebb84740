"""Our own documents on a terminal: paragraphs and tables wrapped to its width, links as the command that shows them."""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections.abc import Iterator, Set
from dataclasses import dataclass

NARROWEST, WIDEST = 40, 100
"""Columns: wider lines are hard to read."""
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_BULLET = re.compile(r"(\s*(?:[-*]|\d+\.) )(.*)")


@dataclass(frozen=True, slots=True)
class Page:
    """A document, as its links need it: its own name, to which they are relative, and the names of all documents."""

    name: str
    known: Set[str]


def render(markdown: str, page: Page, width: int) -> list[str]:
    """The lines of a document for people; `width` in columns."""
    columns = max(NARROWEST, min(width, WIDEST))
    lines = markdown.splitlines()
    found: list[str] = []
    at = 0
    while at < len(lines):
        end = _end(lines, at)
        found += _block(lines[at:end], page, columns)
        at = end
    return found


def _end(lines: list[str], at: int) -> int:
    """The first line after the block that begins at `at`."""
    kind = _kind(lines[at])
    end = at + 1
    if kind == "code":
        while end < len(lines) and _kind(lines[end]) != "code":
            end += 1
        return min(end + 1, len(lines))
    if kind in ("heading", "blank"):
        return end
    while end < len(lines) and _kind(lines[end]) == ("text" if kind == "item" else kind):
        end += 1
    return end


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    if line.startswith("```"):
        return "code"
    if line.startswith("#"):
        return "heading"
    if line.startswith("|"):
        return "table"
    return "item" if _BULLET.match(line) else "text"


def _block(lines: list[str], page: Page, width: int) -> Iterator[str]:
    kind = _kind(lines[0])
    if kind == "blank":
        yield ""
    elif kind == "code":
        yield from (f"    {line}".rstrip() for line in lines[1:] if not line.startswith("```"))
    elif kind == "heading":
        title = _spans(lines[0].lstrip("# "), page)
        yield from _wrap(title, width, "", "")
        yield ("=" if lines[0].startswith("# ") else "-") * min(len(title), width)
    elif kind == "table":
        yield from _table([_cells(line) for line in lines], page, width)
    else:
        yield from _paragraph(lines, page, width)


def _paragraph(lines: list[str], page: Page, width: int) -> list[str]:
    bullet = _BULLET.match(lines[0])
    first, rest = (bullet[1], bullet[2]) if bullet else ("", lines[0])
    text = _spans(" ".join([rest, *(line.strip() for line in lines[1:])]), page)
    return _wrap(text, width, first, " " * len(first))


def _wrap(text: str, width: int, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _table(rows: list[list[str]], page: Page, width: int) -> Iterator[str]:
    """Side by side if every row fits; otherwise a row is a paragraph below its first cell."""
    head, *body = [
        [_spans(cell, page) for cell in row] for row in rows if not all(set(cell) <= set("-:") for cell in row)
    ]
    widths = [max(len(row[n]) for row in [head, *body] if n < len(row)) for n in range(len(head))]
    if sum(widths) + 2 * len(widths) <= width:
        rules = ["-" * one for one in widths]
        for row in [head, rules, *body]:
            yield "  ".join(cell.ljust(one) for cell, one in zip(row, widths, strict=False)).rstrip()
        return
    for row in body:
        yield from _wrap(row[0], width, "", "")
        for name, cell in zip(head[1:], row[1:], strict=False):
            label = f"{name}: " if name and len(head) > 2 else ""
            yield from _wrap(label + cell, width, "    ", "    ") if cell else ()


def _spans(text: str, page: Page) -> str:
    """Text without the marks of bold type; a link is its words, and how to see what it leads to."""
    return _LINK.sub(lambda found: _link(found[1], found[2], page), text).replace("**", "")


def _link(words: str, target: str, page: Page) -> str:
    if re.match(r"[a-z]+://", target):
        return f"{words} ({target})"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page.name), target.partition("#")[0]))
    name = path.removeprefix("../").removeprefix("docs/").removesuffix(".md")
    return f"{words} (`airgap help {name}`)" if name in page.known else words
