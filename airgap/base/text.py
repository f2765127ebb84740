"""Text for people in which what others wrote is shown, and cannot act.

A name from a medium, a lock, a server or a Git repository may contain line feeds, escape sequences of terminals, or
characters that reverse the text. A line feed forges a line of a table or of a log. So each piece of a message is made
one line (`one_line`), and only what is made of such pieces (`Lines`) has several. Imports no other module of airgap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""What Python calls printable, and shows nothing (Unicode, Default_Ignorable_Code_Point): one name for two things."""


class Lines(str):
    """A text whose line feeds and tabs are airgap's own."""

    __slots__ = ()

    @classmethod
    def of(cls, lines: Iterable[str], between: str = "\n") -> Lines:
        """Several pieces, each on one line."""
        return cls(between.join(one if isinstance(one, Lines) else one_line(one) for one in lines))


def one_line(text: str) -> str:
    """`text` on one line: everything that is not printable is replaced by an escape, as Python writes it.

    Not printable are control characters, line ends of all kinds, marks that change the direction of text or cannot be
    seen, lone surrogates, and spaces other than the usual one.
    """
    if _is_seen(text):
        return text
    return "".join(char if _is_seen(char) else _escape(char) for char in text)


def message(text: str) -> str:
    """A text as it may be shown: one line, unless it is `Lines`."""
    return text if isinstance(text, Lines) else one_line(text)


def visible(text: str) -> str:
    """The last check before a text is shown: as `one_line`, but line feeds and tabs stay."""
    if _is_seen(text):
        return text
    return "".join(char if _is_seen(char) or char in "\n\t" else _escape(char) for char in text)


def visible_json(text: str) -> str:
    """JSON text in which everything that is not printable is escaped as JSON does it; the line feeds of layout stay."""
    if _is_seen(text):
        return text
    return "".join(char if _is_seen(char) or char == "\n" else _json_escape(char) for char in text)


def _is_seen(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _UNSEEN.search(text) is None)


def _escape(char: str) -> str:
    if char == "\n":
        return "\\n"
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(char: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(char.encode("utf-16-le", "surrogatepass")).cast("H"))
