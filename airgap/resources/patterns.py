"""Patterns in policies: for names (`ghcr.io/acme/**`), and anchored ones for identities (`^…$`).

A pattern for identities is a small part of regular expressions: literals, `.`, classes, groups, alternatives in groups
and repetitions. Other features are refused, because people misread them. What is matched comes from strangers, so all
patterns are matched in linear time (`airgap.resources.linear`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from airgap.resources.linear import Matcher, Piece, choice, sequence
from airgap.resources.problems import quoted

MAX_PATTERN = 500
"""Characters of a pattern."""
MAX_IDENTITY = 500
"""Characters of an identity. Identities of build systems have up to 300."""
MAX_LOOSE = 3
"""Repetitions that can end in several places: nobody reads a pattern with more of them."""
MAX_CHOICES = 6
"""`?` and groups with alternatives: likewise."""

_TOKEN = re.compile(
    r"(?P<escape>\\[dws]|\\[^A-Za-z0-9])"
    r"|(?P<set>\[\^?(?:\\[dws]|\\[^A-Za-z0-9]|[^\]\[\\])+\])"
    r"|(?P<open>\((?:\?:)?(?!\?))|(?P<close>\))|(?P<or>\|)"
    r"|(?P<repeat>[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})"
    r"|(?P<any>\.)|(?P<literal>[^\\\[\](){}|*+?.^$])"
)
_OPERATORS = ("--", "&&", "~~", "||")
"""In classes of a later Python these may be operations on sets."""
_ANYBODY = ("", "x", "x@example.org", "https://example.org/x")
"""Arbitrary identities: a pattern that matches one of them matches anyone."""


@cache
def check_pattern(text: str) -> str | None:
    """The reason why a pattern for identities is refused; `None` for a valid one."""
    if len(text) > MAX_PATTERN:
        return f"got {len(text)} characters, expected at most {MAX_PATTERN}"
    if not text.startswith("^") or not text.endswith("$") or re.search(r"(?<!\\)(?:\\\\)*\\\$\Z", text):
        return f"got {quoted(text)}, expected a pattern from ^ to $: without them it would match a part of an identity"
    complaint = _grammar(text[1:-1])
    if complaint:
        return f"got {quoted(text)}: {complaint}"
    try:
        re.compile(text, re.ASCII)
        matcher = _matcher(text)
    except (re.error, OverflowError, ValueError) as error:
        return f"got {quoted(text)}, expected a valid regular expression: {error}"
    if any(matcher.matches(identity) for identity in _ANYBODY):
        return f"got {quoted(text)}, expected a pattern for particular identities: this one matches anyone"
    return None


def tokens(body: str) -> Iterator[tuple[str, str]]:
    """The type and the text of each token between the anchors of a pattern that `check_pattern` accepts."""
    at = 0
    while (token := _TOKEN.match(body, at)) is not None:
        yield str(token.lastgroup), token.group()
        at = token.end()


def pattern_matches(pattern: str, text: str) -> bool:
    """True if `pattern` matches all of `text`. `check_pattern` must have accepted the pattern."""
    return len(text) <= MAX_IDENTITY and _matcher(pattern).matches(text)


@cache
def _matcher(pattern: str) -> Matcher:
    """For a pattern whose grammar is right. Raises `ValueError` if it becomes too large, `re.error`."""
    groups: list[tuple[list[Piece], list[Piece]]] = []
    # The alternatives of the innermost group that are complete, and the parts of the one that is being read.
    before: list[Piece] = []
    line: list[Piece] = []
    for kind, text in tokens(pattern[1:-1]):
        match kind:
            case "open":
                groups.append((before, line))
                before, line = [], []
            case "or":
                before.append(sequence(line))
                line = []
            case "close":
                group = choice([*before, sequence(line)])
                before, line = groups.pop()
                line.append(group)
            case "repeat":
                line[-1] = line[-1].repeated(*bounds(text))
            case _:
                line.append(Piece.one(text))
    return sequence(line).matcher()


def bounds(repeat: str) -> tuple[int, int | None]:
    """How often a repetition such as `*` or `{2,3}` repeats at least and at most (`None`: without end)."""
    if repeat in "*+?":
        return int(repeat == "+"), 1 if repeat == "?" else None
    first, comma, second = repeat.strip("{}").partition(",")
    return int(first), int(second) if second else None if comma else int(first)


def _grammar(body: str) -> str:
    """The complaint about a pattern between its anchors, `""` for none."""
    walk, at = _Walk(body), 0
    while at < len(body):
        token = _TOKEN.match(body, at)
        complaint = walk.take(token) if token is not None else _stranger(body[at:])
        if complaint or token is None:
            return complaint
        at = token.end()
    if walk.groups:
        return "a '(' is not closed"
    if walk.loose > MAX_LOOSE:
        return f"more than {MAX_LOOSE} repetitions that can end in several places"
    return f"more than {MAX_CHOICES} '?' and groups with '|'" if walk.choices > MAX_CHOICES else ""


class _Walk:
    """Reads a pattern's tokens one by one, and counts those that make a matcher try more than one way."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.loose = self.choices = 0
        self.groups: list[str] = []
        """For each open group: `repeat` and `or`, if it contains these."""
        self._last, self._inside = "", ""
        """The type of the previous token; what the group closed last contains."""

    def take(self, token: re.Match[str]) -> str:
        """The complaint about a token, `""` for none."""
        kind, before, self._last = str(token.lastgroup), self._last, str(token.lastgroup)
        match kind:
            case "open":
                self.groups.append("")
            case "set" if any(two in token.group() for two in _OPERATORS):
                return f"{quoted(token.group()[:40])}: a class with a doubled character; write it once"
            case "close" if not self.groups:
                return "a ')' has no matching '('"
            case "close":
                self._inside = self.groups.pop()
                self.choices += "or" in self._inside
                self._note(self._inside)
            case "or" if not self.groups:
                return "'|' splits the whole pattern, so that ^ and $ apply to one side each; write ^(?:…|…)$"
            case "or":
                self._note("or")
            case "repeat":
                return self._repeat(token, before)
        return ""

    def _repeat(self, token: re.Match[str], before: str) -> str:
        if before in ("", "open", "or", "repeat"):
            return f"nothing to repeat before {quoted(token.group())}"
        if before == "close" and self._inside and token.group() != "?":
            return "a repeated group with repetitions or alternatives in it; write out what it stands for"
        self._note("repeat")
        self.choices += token.group() == "?"
        self.loose += _is_loose(self.body, token)
        return ""

    def _note(self, what: str) -> None:
        self.groups[-1:] = [self.groups[-1] + what] if self.groups else []


def _is_loose(body: str, repeat: re.Match[str]) -> bool:
    """Whether a repetition can end in several places. It cannot if it does not match the character that follows."""
    if repeat.group() == "?":
        return False
    follows = _TOKEN.match(body, repeat.end())
    if follows is None or follows.lastgroup not in ("literal", "escape") or follows.group() in (r"\d", r"\w", r"\s"):
        return repeat.end() < len(body)
    item = _before(body, repeat.start())
    return not item or re.fullmatch(item, follows.group()[-1], re.ASCII) is not None


def _before(body: str, end: int) -> str:
    """The single character or class that ends at `end`; `""` for a group."""
    at, item = 0, ""
    while at < end:
        token = _TOKEN.match(body, at)
        if token is None:
            return ""
        at, item = token.end(), "" if token.lastgroup == "close" else token.group()
    return item


def _stranger(rest: str) -> str:
    if rest[0] in "^$":
        return f"{quoted(rest[0])} in the middle; write {quoted(chr(92) + rest[0])} for the character itself"
    return f"{quoted(rest[:12])} is not supported; use characters, '.', [classes], (?:groups) and repetitions"


_ANYTHING = "\x01"
"""Represents the text that `**` matches. No name contains this character, and `*` does not match it."""


_STARS = {"**": Piece.one("(?s:.)").repeated(0, None), "*": Piece.one(f"[^/{_ANYTHING}]").repeated(0, None)}


@cache
def _name_matcher(pattern: str) -> Matcher:
    pieces = re.split(r"(\*\*|\*|.)", pattern, flags=re.DOTALL)
    return sequence([_STARS.get(piece) or Piece.one(re.escape(piece)) for piece in pieces if piece]).matcher()


def name_matches(pattern: str, name: str) -> bool:
    """True if `pattern` matches a name without scheme, tag and digest. `*` stays within a segment, `**` does not."""
    return _name_matcher(pattern).matches(name)


def name_covers(wide: str, narrow: str) -> bool:
    """True if `wide` matches every name that `narrow` matches. False also if that cannot be determined.

    One star of `wide` must match everything that a star of `narrow` matches.
    """
    return name_matches(wide, narrow.replace("**", _ANYTHING))
