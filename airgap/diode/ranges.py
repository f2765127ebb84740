"""`Ranges`: which bytes of a file are there, as sorted ranges that do not touch each other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """A set of byte numbers, kept as ranges [begin, end). Not thread-safe."""

    __slots__ = ("_begins", "_ends", "count")

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        self.count = 0
        """How many bytes are in the set."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._begins, self._ends, strict=True))

    def __len__(self) -> int:
        """The number of ranges."""
        return len(self._begins)

    def add(self, begin: int, end: int) -> None:
        """Adds the bytes from `begin` to before `end`."""
        if begin >= end:
            return
        first = bisect_left(self._ends, begin)  # the first range that reaches or touches `begin`
        after = bisect_right(self._begins, end)  # the first range that is wholly behind `end`
        if first < after:
            begin, end = min(begin, self._begins[first]), max(end, self._ends[after - 1])
            self.count -= sum(self._ends[n] - self._begins[n] for n in range(first, after))
        self._begins[first:after], self._ends[first:after] = [begin], [end]
        self.count += end - begin

    def remove(self, begin: int, end: int) -> None:
        """Removes the bytes from `begin` to before `end`."""
        first, after = bisect_right(self._ends, begin), bisect_left(self._begins, end)
        if begin >= end or first >= after:
            return
        kept = [(self._begins[first], begin), (end, self._ends[after - 1])]
        kept = [(one, other) for one, other in kept if one < other]
        self.count -= sum(self._ends[n] - self._begins[n] for n in range(first, after))
        self.count += sum(other - one for one, other in kept)
        self._begins[first:after] = [one for one, _ in kept]
        self._ends[first:after] = [other for _, other in kept]

    def covers(self, begin: int, end: int) -> bool:
        """True if all bytes from `begin` to before `end` are in the set."""
        at = bisect_right(self._begins, begin) - 1
        return begin >= end or (at >= 0 and self._ends[at] >= end)

    def holes(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The ranges from `begin` to before `end` that are not in the set."""
        found, at = [], begin
        for number in range(bisect_right(self._ends, begin), len(self._begins)):
            if self._begins[number] >= end:
                break
            if at < self._begins[number]:
                found.append((at, self._begins[number]))
            at = max(at, self._ends[number])
        if at < end:
            found.append((at, end))
        return found

    def touches(self, begin: int, end: int) -> bool:
        """True if adding these bytes would make no further range."""
        return bisect_left(self._ends, begin) < bisect_right(self._begins, end)

    def first_end(self) -> int:
        """The end of the range that begins at 0; 0 if there is none."""
        return self._ends[0] if self._begins and self._begins[0] == 0 else 0

    def lacking(self, size: int) -> list[tuple[int, int]]:
        """The ranges below `size` that are not in the set."""
        return self.holes(0, size)
