"""Problems of a resource file as messages: file, line, column, got, expected, nearest correct word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from airgap.base.errors import InputError
from airgap.base.text import Lines

Steps = tuple[str | int, ...]
"""The path to a value: field names and list indexes from the top of the document."""

MAX_SHOWN = 20
"""Problems that one error lists: more do not fit on a screen."""
MAX_QUOTED = 80
"""Characters of a value that a message shows."""
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_LOGIN = re.compile(r"(?:(?<=://)|\A)[^\s/@:]*:[^\s/@]*@(?!sha256:)")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A position in a file, both numbers from 1, columns in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake and where it is."""

    mark: Mark
    text: str


Found = tuple[Steps, Problem]
"""The steps to an unsound value (`()` if all values can be used), and the problem."""


MAX_DIGITS = 15
"""Digits of a whole number: every reader of JSON represents it exactly."""


@dataclass(frozen=True, slots=True)
class Number:
    """A YAML number, kept as written: only a field for a whole number accepts one, so `1.10` never becomes 1.1."""

    text: str

    @property
    def whole(self) -> bool:
        """True for digits alone, without a sign, a point or a leading zero."""
        text = self.text
        return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS and text == str(int(text))


def answer(label: str, problems: Iterable[Problem], hint: str = "") -> InputError:
    """One error for all problems of a file, sorted by position, one per line (`bad-resource`)."""
    ordered = sorted(set(problems))
    lines = [f"{label}:{problem.mark}: {problem.text}" for problem in ordered[:MAX_SHOWN]]
    if len(ordered) > MAX_SHOWN:
        lines.append(f"{label}: and {len(ordered) - MAX_SHOWN} more")
    return InputError("bad-resource", Lines.of(lines), hint)


def spell(steps: Steps) -> str:
    """Steps in the usual notation, such as `spec.images[0].ref`."""
    made = ""
    for step in steps:
        if isinstance(step, int):
            made += f"[{step}]"
        elif PLAIN_NAME.match(step):
            made += f".{step}"
        else:
            made += f"[{quoted(step)}]"
    return made.removeprefix(".")


def quoted(text: str) -> str:
    """`text` in quotes, shortened, with control characters escaped, and without `user:password@` of a URL or a host."""
    text = _LOGIN.sub("…@", text)
    if len(text) > MAX_QUOTED:
        text = text[: MAX_QUOTED - 1] + "…"
    return repr(text)


def describe(value: object) -> str:
    """A value as a message shows it after the word "got". Lists and maps are only named as such."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case Number(text):
            return f"the number {text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + '…'}"
        case str():
            return quoted(value)
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "a map" if value else "an empty map"


def nearest(word: str, words: Iterable[str]) -> str:
    """The word of `words` that was probably meant, `""` if none is close. Ignores case, hyphens and spaces."""
    table = {_folded(one): one for one in words}
    # A word longer than every field name is not a misspelling, and comparing it takes time.
    close = difflib.get_close_matches(_folded(word[:MAX_QUOTED]), table, n=1, cutoff=0.65)
    return table[close[0]] if close else ""


def listed(words: Iterable[str], last: str = "or") -> str:
    """`a, b or c`."""
    *most, final = words
    return f"{', '.join(most)} {last} {final}" if most else final


def _folded(word: str) -> str:
    return re.sub(r"[-_ ]", "", word).lower()
