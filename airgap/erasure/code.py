"""`Code`: k data rows and r parity rows of one length. Any k of them give all the others.

Systematic Cauchy Reed-Solomon over GF(256): byte c of parity row p is the sum over the data rows i of
`1 / ((k + p) ^ i)` times byte c of row i (`airgap.erasure.field.cauchy`). Rows are numbered from 0, and the parity rows
come after the data rows. Test vectors: docs/format.md, "Parity".
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from airgap.erasure.engine import Engine, Row, Tables, best_engine
from airgap.erasure.field import cauchy, inverse, times

MAX_ROWS = 256
"""Data and parity rows together: the field has so many numbers."""
_MAX_PLANS = 64
"""Matrices that one code keeps for the losses that it met last."""

_Losses = tuple[tuple[int, ...], tuple[int, ...]]


class Code:
    """The code for `data` and `parity` rows. It keeps no bytes of them, and several threads may use it at once.

    With ISA-L (`airgap.erasure.engine`), the interpreter's lock is released while rows are computed.
    """

    def __init__(self, data: int, parity: int, engine: Engine | None = None) -> None:
        """Raises `ValueError` unless there is at least one row of each, and at most `MAX_ROWS` together."""
        if data < 1 or parity < 1 or data + parity > MAX_ROWS:
            raise ValueError(f"got {data} data and {parity} parity rows, expected 1 or more, at most {MAX_ROWS} in all")
        self.data, self.parity = data, parity
        self.engine = engine or best_engine()
        self._matrix = tuple(cauchy(data, row) for row in range(parity))
        self._lock = threading.Lock()
        self._plans: OrderedDict[_Losses, Tables] = OrderedDict()

    def encode(self, data: Sequence[Row], parity: Sequence[Row]) -> None:
        """Computes all parity rows from all data rows, into the buffers of `parity`. Raises `ValueError`."""
        self._check(data, parity)
        wanted = tuple(range(self.data, self.data + self.parity))
        self._tables(tuple(range(self.data)), wanted).multiply(data, parity, len(parity[0]))

    def rebuild(self, rows: Sequence[Row | None], wanted: Mapping[int, Row]) -> None:
        """Computes the rows `wanted` into their buffers, from any `data` of `rows`; a row that is lost is None.

        `rows` has all rows in order, the parity rows last. The first ones that are there are used: data before parity.
        Raises `ValueError` if too few are there.
        """
        if len(rows) != self.data + self.parity:
            raise ValueError(f"got {len(rows)} rows, expected {self.data + self.parity}")
        used = tuple([at for at, row in enumerate(rows) if row is not None][: self.data])
        if len(used) < self.data:
            raise ValueError(f"got {len(used)} rows, expected at least {self.data} that are not lost")
        if not wanted:
            return
        sources = [row for at in used if (row := rows[at]) is not None]
        targets = tuple(sorted(wanted))
        into = [wanted[at] for at in targets]
        if not 0 <= targets[0] <= targets[-1] < len(rows):
            raise ValueError(f"got row {targets[-1]}, expected 0 to {len(rows) - 1}")
        self._check(sources, into, lost=True)
        self._tables(used, targets).multiply(sources, into, len(into[0]))

    def rebuild_in(self, memory: Row, places: Sequence[int], there: bytes, wanted: Sequence[int], size: int) -> None:
        """As `rebuild`, for rows of `size` bytes that all lie in one writable buffer, each at its place of `places`.

        `there` has a byte for each row, 0 if it is lost; `wanted` are numbers of lost rows in order.
        """
        used = tuple([at for at, one in enumerate(there) if one][: self.data])
        if len(used) < self.data or len(there) != self.data + self.parity or len(places) != len(there) or size < 1:
            raise ValueError(f"got {len(used)} of {len(there)} rows, expected {self.data} that are not lost")
        tables = self._tables(used, tuple(wanted))
        tables.multiply_in(memory, [places[at] for at in used], [places[at] for at in wanted], size)

    def _check(self, sources: Sequence[Row], targets: Sequence[Row], *, lost: bool = False) -> None:
        if len(sources) != self.data or (not lost and len(targets) != self.parity):
            raise ValueError(f"got {len(sources)} and {len(targets)} rows, expected {self.data} and {self.parity}")
        size = len(targets[0])
        for row in (*sources, *targets):
            if len(row) != size or not size:
                raise ValueError(f"got a row of {len(row)} bytes, expected all to have the same, and at least 1")

    def _tables(self, used: tuple[int, ...], wanted: tuple[int, ...]) -> Tables:
        with self._lock:
            if (known := self._plans.get((used, wanted))) is not None:
                self._plans.move_to_end((used, wanted))
                return known
        made = self.engine.tables(self._coefficients(used, wanted))
        with self._lock:
            self._plans[used, wanted] = made
            while len(self._plans) > _MAX_PLANS:
                self._plans.popitem(last=False)
        return made

    def _coefficients(self, used: Sequence[int], wanted: Sequence[int]) -> list[bytes]:
        """The matrix that makes rows `wanted` of rows `used`. Only a part as large as the losses is inverted."""
        have = [at for at in used if at < self.data]
        helping = [self._matrix[at - self.data] for at in used if at >= self.data]
        there = set(have)
        lost = [at for at in range(self.data) if at not in there]
        solved: dict[int, bytes] = {}
        if lost:
            undo = inverse([bytes([row[at] for at in lost]) for row in helping])
            known = [_without(row, lost) for row in helping]
            from_data = times(undo, known) if have else tuple(b"" for _ in lost)
            solved = {at: left + right for at, left, right in zip(lost, from_data, undo, strict=True)}
        if not solved.keys() >= set(wanted):  # else the usual case: only what was lost of the data
            solved |= {at: bytes(int(at == one) for one in used) for at in have}
        made = []
        for at in wanted:
            if at >= self.data and not lost:
                made.append(self._matrix[at - self.data])
            elif at >= self.data:
                made.append(times([self._matrix[at - self.data]], [solved[one] for one in range(self.data)])[0])
            else:
                made.append(solved[at])
        return made


def _without(row: bytes, lost: Sequence[int]) -> bytes:
    """The bytes of a row but for those at the places `lost`, which are in order."""
    pieces, begin = [], 0
    for at in lost:
        pieces.append(row[begin:at])
        begin = at + 1
    return b"".join([*pieces, row[begin:]])
