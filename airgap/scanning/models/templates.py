"""Looks at chat templates: Jinja programs that a model brings, and that servers run for every request.

A template that only formats messages needs loops, conditions, subscripts and texts. What leaves a sandbox, or runs code
where there is none (CVE-2024-34359), needs names with underscores, a filter that reaches for one, or a text that is put
together to be one. All of these are found as words of the template, whatever the template does with them.
Source: Jinja 3.1, "Template Designer Documentation" and sandbox.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from airgap.scanning.models.rules import Report

MAX_TEMPLATE = 1 << 20
"""Characters of a template: real ones have up to 20,000."""

_OPEN = re.compile(r"\{[{%#]")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_RAW_END = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_WORD = re.compile(
    r"""(?P<end>[-+]?[}%]\})|(?P<text>"(?:[^"\\]|\\.)*(?:"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z))|(?P<word>[^\W\d]\w*)"""
    r"""|(?P<number>\d[\d.]*)|(?P<other>\S)|(?P<space>\s+)""",
    re.DOTALL,
)
_NAMES = frozenset({"cycler", "joiner", "lipsum", "self"})
"""Objects of Jinja itself through which attacks go; no template of a chat needs them."""
_FILTERS = frozenset({"attr", "map_attr", "pprint", "xmlattr"})
_STATEMENTS = frozenset({"import", "include", "extends", "from"})
_REACH = frozenset(
    {"mro", "gi_frame", "f_globals", "f_builtins", "func_globals", "cr_frame", "tb_frame", "im_func", "format_map"}
)


def check_template(text: str, report: Report) -> None:
    """Reports the first words of a template that reach for the inside of Python, each once."""
    if len(text) > MAX_TEMPLATE:
        report("not-read-limit", f"a chat template of {len(text)} characters")
        return
    found: dict[str, None] = {}
    for reason in _reasons(text):
        found[reason] = None
        if len(found) == _MAX_NOTED:
            break
    for reason in found:
        report("template-unsafe", reason)


_MAX_NOTED = 10


def _reasons(text: str) -> Iterator[str]:
    """What is wrong with each expression and statement, as Jinja's own lexer would divide the text."""
    at = 0
    while (opened := _OPEN.search(text, at)) is not None:
        at = opened.end()
        if opened[0] == "{#":
            end = text.find("#}", at)
            at = len(text) if end < 0 else end + 2
        elif (raw := _RAW.match(text, opened.start())) is not None:
            ended = _RAW_END.search(text, raw.end())
            at = len(text) if ended is None else ended.end()
        else:
            close = "}}" if opened[0] == "{{" else "%}"
            before, first = "", opened[0] == "{%"
            while (match := _WORD.match(text, at)) is not None:
                at = match.end()
                if match.lastgroup == "end" and match[0].endswith(close):
                    break
                if match.lastgroup == "end":
                    at = match.start() + 1  # the end of another block is only an operator here
                if match.lastgroup == "text":
                    yield from _reason_of_text(match[0])
                    yield from _reason_of_use(match[0], _FOLLOWS.match(text, at))
                elif match.lastgroup == "word":
                    yield from _reason_of_name(match[0], before, first=first)
                if match.lastgroup != "space" and match[0] not in ("-", "+"):
                    before, first = match[0], False


def _reason_of_name(word: str, before: str, *, first: bool) -> list[str]:
    if word.startswith("__") or (before == "." and (word.startswith("_") or word in _REACH)):
        return [word]
    if before == "|" and word in _FILTERS:
        return [f"the filter {word}"]
    if first and word in _STATEMENTS:
        return [f"the statement {word}"]
    return [word] if word in _NAMES and before not in (".", "|") else []


def _reason_of_use(word: str, follows: re.Match[str] | None) -> list[str]:
    """A piece of a text, from which names could be put together."""
    if follows is None:
        return []
    taken = follows[0] == "[" or (follows[1] in _PIECES and "_" in word)
    return [f"a piece of the text {word}"] if taken else []


_FOLLOWS = re.compile(r"\s*(?:\[|\|\s*(\w+))")
_PIECES = frozenset({"first", "last", "list", "slice", "batch", "random", "reverse", "replace", "format"})


def _reason_of_text(word: str) -> list[str]:
    plain = _ESCAPE.sub(_unescaped, word[1:-1])
    return (
        [word]
        if re.search(r"__[a-z]", plain) or (plain and not plain.strip("_")) or plain in _REACH or "%c" in plain
        else []
    )


_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|N\{([^}]{1,80})\}|(.))", re.DOTALL
)


def _unescaped(match: re.Match[str]) -> str:
    """What an escape of Python stands for. One by name is taken for an underscore: no template needs it."""
    number = match[1] or match[2] or match[3]
    if number:
        return chr(min(int(number, 16), 0x10FFFF))
    if match[4]:
        return chr(int(match[4], 8))
    return "_" if match[5] else match[6]
