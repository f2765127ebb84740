"""Matches a text in time that grows with its length only, whatever the pattern and whoever wrote the text.

Python's `re` tries one way after another: three stars take cubic time, and alternatives in a row exponential time. Here
all ways are followed at once, as sets of positions in the pattern, one bit a position.
Source: Glushkov, "The Abstract Theory of Automata", 1961 (the position automaton, which has no empty steps).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAX_POSITIONS = 2000
"""Single characters of a pattern, with its repetitions written out."""


@dataclass(slots=True)
class Piece:
    """A part of a pattern: its positions, and how they follow each other. Sets of positions are bits of a number."""

    items: list[str] = field(default_factory=list)
    """At each position, a regular expression for one character."""
    follow: list[int] = field(default_factory=list)
    first: int = 0
    last: int = 0
    empty: bool = True
    """Whether it matches the empty text."""

    @classmethod
    def one(cls, item: str) -> Piece:
        """One character that the regular expression `item` matches."""
        return cls([item], [0], 1, 1, empty=False)

    def then(self, other: Piece) -> None:
        """Adds what comes after it. Raises `ValueError` if it becomes too large."""
        shift = self._add(other)
        for at in _bits(self.last):
            self.follow[at] |= other.first << shift
        self.first |= other.first << shift if self.empty else 0
        self.last = other.last << shift | (self.last if other.empty else 0)
        self.empty = self.empty and other.empty

    def alternatively(self, other: Piece) -> None:
        """Adds what may stand in its place. Raises `ValueError` if it becomes too large."""
        shift = self._add(other)
        self.first |= other.first << shift
        self.last |= other.last << shift
        self.empty = self.empty or other.empty

    def repeated(self, least: int, most: int | None) -> Piece:
        """It `least` to `most` times in a row (`None`: without end). Raises `ValueError` if it becomes too large."""
        least = 0 if self.empty else least
        count = max(least, 1) if most is None else most
        made = Piece(first=self.first if count else 0, empty=not least)
        width = len(self.items)
        for number in range(count):
            shift = made._add(self)
            again = shift + width if number + 1 < count else None if most is not None else shift
            for at in _bits(self.last << shift):
                made.follow[at] |= 0 if again is None else self.first << again
            if number + 1 >= least:
                made.last |= self.last << shift
        return made

    def _add(self, other: Piece) -> int:
        shift = len(self.items)
        if shift + len(other.items) > MAX_POSITIONS:
            raise ValueError(f"with its repetitions, it has more than {MAX_POSITIONS} characters")
        self.items += other.items
        self.follow += [following << shift for following in other.follow]
        return shift

    def matcher(self) -> Matcher:
        """A matcher for whole texts."""
        places: dict[str, int] = {}
        for at, item in enumerate(self.items):
            places[item] = places.get(item, 0) | 1 << at
        kinds = tuple((re.compile(item, re.ASCII), where) for item, where in places.items())
        return Matcher(kinds, tuple(self.follow), self.first, self.last, self.empty)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A pattern that is ready to match."""

    kinds: tuple[tuple[re.Pattern[str], int], ...]
    follow: tuple[int, ...]
    first: int
    last: int
    empty: bool
    _where: dict[str, int] = field(default_factory=dict, compare=False)
    """At which positions each character of ASCII may be, as far as it was asked."""

    def matches(self, text: str) -> bool:
        """True if the pattern matches all of `text`. Takes O(length of the text) steps."""
        if not text:
            return self.empty
        active, here = self.first, 0
        for char in text:
            here = active & self._places(char)
            if not here:
                return False
            active = 0
            for at in _bits(here):
                active |= self.follow[at]
        return bool(here & self.last)

    def _places(self, char: str) -> int:
        known = self._where.get(char)
        if known is None:
            known = sum(places for item, places in self.kinds if item.fullmatch(char))
            if char.isascii():
                self._where[char] = known
        return known


def sequence(parts: Sequence[Piece]) -> Piece:
    """The parts one after the other. Raises `ValueError` if that becomes too large."""
    made = Piece()
    for part in parts:
        made.then(part)
    return made


def choice(parts: Sequence[Piece]) -> Piece:
    """One of the parts. Raises `ValueError` if that becomes too large."""
    made = sequence(parts[:1])
    for part in parts[1:]:
        made.alternatively(part)
    return made


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
