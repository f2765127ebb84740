"""How far an anchored pattern of a Policy reaches. One that everybody at a host could match is refused.

Whoever may open an account at a host chooses its name. So an identity that is a URL is fixed up to the end of the first
segment after the host (`https://github.com/acme/`), and one that is an address is fixed from its beginning, and in its
domain. What follows may vary. `airgap.resources.patterns` checks the grammar first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from airgap.resources.patterns import bounds, check_pattern, tokens
from airgap.resources.problems import quoted

_MAX_FREE = 3
"""Characters of a host or an account that may be any of a class: `team[0-9]{2}` names its accounts, `.{1,39}` none."""
_CLASSES = (r"\d", r"\w", r"\s")
_ONE = re.compile(r"\[(?:\\?[^\w^\\]|\w)\]", re.ASCII)
"""A class of one character, such as `[.]`: it is that character."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a pattern: one character, or a group of alternatives; it occurs from `least` to `most` times."""

    character: str = ""
    """A literal character; empty for a class, for `.`, and for a group."""
    alternatives: tuple[tuple[_Piece, ...], ...] = ()
    dot: bool = False
    """True for a `.` that is not repeated."""
    least: int = 1
    most: int | None = 1
    """`None`: any number of times."""

    @property
    def any(self) -> bool:
        """True for a character of which several are possible."""
        return not self.character and not self.alternatives

    @property
    def loops(self) -> bool:
        """True if it, or anything in it, may occur any number of times."""
        return self.most is None or any(one.loops for branch in self.alternatives for one in branch)


class _At(StrEnum):
    """How much of a URL was read."""

    SCHEME = "scheme"
    COLON = "scheme:"
    SLASH = "scheme:/"
    HOST = "host"
    SEGMENT = "segment"
    FIXED = "fixed"


_STEPS = {
    (_At.SCHEME, ":"): _At.COLON,
    (_At.COLON, "/"): _At.SLASH,
    (_At.SLASH, "/"): _At.HOST,
    (_At.HOST, "/"): _At.SEGMENT,
    (_At.SEGMENT, "/"): _At.FIXED,
}
_BACK = {_At.COLON: _At.SCHEME, _At.SLASH: _At.SCHEME}
_DOT = r"a '.' stands for any character; write '\.' for a dot"
_HOST_VARIES = "its host is not fixed, so anyone who has a host can match it; write one pattern for each host"
_ACCOUNT_VARIES = (
    "anyone who opens an account at that host can match it; write the account, with the '/' after it, such as"
    r" ^https://github\.com/acme/.*$"
)
_ADDRESS_VARIES = (
    "everybody with an address at that host can match it; list the addresses, such as ^(?:amina|badr)@bank\\.example$"
)


@cache
def check_reach(text: str) -> str | None:
    """The reason why a pattern for signers or issuers is refused; `None` for a valid one.

    It is refused by `check_pattern`, if it has a `.` for one character (an unescaped dot), or if it does not fix whom
    it speaks of: everybody at a host could match it.
    """
    complaint = check_pattern(text)
    if complaint is not None:
        return complaint
    pieces = _parse(text[1:-1])
    complaint = _DOT if _has_dot(pieces) else _reach(pieces)
    return f"got {quoted(text)}: {complaint}" if complaint else None


def _reach(pieces: Sequence[_Piece]) -> str:
    complaint = _url(pieces)
    if not complaint:
        return ""
    other = _address(pieces)
    return complaint if other is None else other


def _parse(body: str) -> tuple[_Piece, ...]:
    """The pieces of a pattern between its anchors."""
    stack: list[list[list[_Piece]]] = [[[]]]
    for kind, text in tokens(body):
        branch = stack[-1][-1]
        match kind:
            case "open":
                stack.append([[]])
            case "or":
                stack[-1].append([])
            case "close":
                group = stack.pop()
                stack[-1][-1].append(_Piece(alternatives=tuple(tuple(one) for one in group)))
            case "repeat":
                branch[-1] = _repeated(branch[-1], text)
            case "any":
                branch.append(_Piece(dot=True))
            case "literal" | "escape" if text not in _CLASSES:
                branch.append(_Piece(text[-1]))
            case "set" if _ONE.fullmatch(text):
                branch.append(_Piece(text[-2]))
            case _:
                branch.append(_Piece())
    return tuple(stack[0][0])


def _repeated(piece: _Piece, repeat: str) -> _Piece:
    least, most = bounds(repeat)
    # Whoever repeats a dot means any characters.
    return replace(piece, dot=False, least=least, most=most)


def _has_dot(pieces: Sequence[_Piece]) -> bool:
    return any(one.dot or any(_has_dot(branch) for branch in one.alternatives) for one in pieces)


class _Varies(Exception):  # noqa: N818  (no error of the program: an answer)
    """A repetition before the end of the part that must be fixed."""


def _url(pieces: Sequence[_Piece]) -> str:
    """The complaint about a pattern that is read as one for URLs."""
    try:
        _walk(pieces, frozenset({_At.SCHEME}))
    except _Varies as found:
        return str(found)
    return ""


def _walk(pieces: Sequence[_Piece], states: frozenset[_At], free: int = 0) -> tuple[frozenset[_At], int]:
    """Where a reader of the pattern may be after it read these pieces, and how many free characters it read by then."""
    for piece in pieces:
        open_ = states - {_At.FIXED}
        free += (piece.most or 0) if open_ and piece.any else 0
        if open_ and (piece.most is None or free > _MAX_FREE):
            raise _Varies(_ACCOUNT_VARIES if open_ == {_At.SEGMENT} else _HOST_VARIES)
        after, states = states, states if piece.least == 0 else frozenset()
        for turn in range(1, (piece.most or 1) + 1):
            after, free = _once(piece, after, free)
            states |= after if turn >= piece.least else frozenset()
    return states, free


def _once(piece: _Piece, states: frozenset[_At], free: int) -> tuple[frozenset[_At], int]:
    if piece.alternatives:
        ends = [_walk(branch, states, free) for branch in piece.alternatives]
        return frozenset[_At]().union(*(end for end, _ in ends)), max(count for _, count in ends)
    return frozenset(_STEPS.get((one, piece.character), _BACK.get(one, one)) for one in states), free


def _address(pieces: Sequence[_Piece]) -> str | None:
    """The complaint about a pattern that is read as one for addresses; `None` if it is not one."""
    if len(pieces) == 1 and pieces[0].alternatives and pieces[0].most == 1:
        return next((one for one in map(_reach, pieces[0].alternatives) if one), "")
    places = [index for index, one in enumerate(pieces) if one.character == "@" and one.least == one.most == 1]
    if not places or _contains(pieces, "/:"):
        return None
    domain = pieces[places[-1] + 1 :]
    if any(one.loops for one in domain) or _free(domain) > _MAX_FREE:
        return _HOST_VARIES
    return "" if _begins_fixed(pieces[: places[-1]]) else _ADDRESS_VARIES


def _free(pieces: Sequence[_Piece]) -> int:
    """How many characters of a text without loops may be any of a class."""
    return sum(
        (one.most or 0) * (max(map(_free, one.alternatives)) if one.alternatives else int(one.any)) for one in pieces
    )


def _contains(pieces: Sequence[_Piece], characters: str) -> bool:
    return any(
        (one.character and one.character in characters) or any(_contains(some, characters) for some in one.alternatives)
        for one in pieces
    )


def _begins_fixed(pieces: Sequence[_Piece]) -> bool:
    if not pieces or not pieces[0].least or pieces[0].most is None:
        return False
    first = pieces[0]
    return bool(first.character) or (bool(first.alternatives) and all(_begins_fixed(one) for one in first.alternatives))
