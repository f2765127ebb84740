"""`Mender`: reads the blocks of a delivery that has parity files, and computes again what is lost or damaged.

Only what the signed AIRGAP.json vouches for decides: the table of the blocks' sums, whose pieces it lists, says which
blocks are as they were written. Nothing is written. Memory is bounded by `MEMORY`, `_COMPUTED` and
`_PIECES` MiB of the table.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from airgap.base.errors import IntegrityError
from airgap.base.inputs import open_plain, plain_size
from airgap.delivery.fields import FileSum
from airgap.delivery.files import Listing
from airgap.delivery.parity import SUM, Grid, Parity, grid_of
from airgap.erasure.code import Code

MEMORY = 32 << 20
"""Bytes of the blocks that are in memory at once, unless one stripe has more (64 MiB at most)."""
_PIECES = 8
"""Pieces of the table that are kept: each has at most 1 MiB."""
WINDOW = 1 << 20
"""Bytes of blocks that a reader has in memory, at least one block."""
_COMPUTED = 8 << 20
"""Bytes of computed blocks that are kept: several small blobs are in one block."""


class BeyondRepairError(IntegrityError):
    """More blocks of a stripe are lost than there are parity files (`beyond-repair`). `short` says how many more."""

    def __init__(self, code: str, what: str, hint: str, short: int) -> None:
        super().__init__(code, what, hint)
        self.short = short


class Mender:
    """The files of one delivery in several folders, of which any may be lost, cut short, or damaged.

    A file may be in several folders: each block is taken from the first copy in which it is good.
    """

    def __init__(self, files: Sequence[FileSum], parity: Parity, folders: Sequence[Path]) -> None:
        """`files` are those that `parity` protects; both are of a signed index."""
        self.files = (*files, *parity.files)
        self.grid: Grid = grid_of(files, parity)
        self.whole: set[int] | None = None
        """Rows whose file is good as a whole, if files were hashed: this decides where the table is lost."""
        self.code = Code(self.grid.data, self.grid.parity)
        self._sums, self._folders = parity.sums, tuple(folders)
        self._tables: OrderedDict[int, bytes | None] = OrderedDict()
        self._copies: dict[int, list[int]] = {}
        self._attached: int | None = None
        self._lock, self._working = threading.Lock(), threading.Lock()
        self.computed: set[str] = set()
        """The files of which something was lost when it was asked for, and was computed."""
        self._computed: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            for fd in (fd for copies in self._copies.values() for fd in copies):
                os.close(fd)
            self._copies.clear()

    def attached(self, row: int) -> bool:
        """Whether a file is in a folder with its full size."""
        file = self.files[row]
        return any(plain_size(folder / file.name) == file.size for folder in self._folders)

    def present(self, row: int) -> bool:
        """Whether a file can be opened in a folder, whatever its size."""
        return bool(self._open(row))

    def lacking(self) -> int:
        """How many more files would have to be attached, with their full size, so that the others can be computed."""
        if self._attached is None:
            self._attached = sum(map(self.attached, range(self.grid.rows)))
        return max(0, self.grid.data - self._attached)

    def read(self, row: int) -> bytes:
        """A small file that is protected, as a whole. Raises `BeyondRepairError`."""
        blocks = self.grid.blocks(row)
        data = memoryview(bytearray(blocks * self.grid.block))
        for piece in range(self.grid.pieces):
            for first, count in self.batches(piece, max(1, WINDOW // self.grid.block)):
                many = min(count, blocks - first)
                if many > 0:
                    self.blocks(row, first, many, data[first * self.grid.block :][: many * self.grid.block])
        return bytes(data[: self.files[row].size])

    @property
    def batch(self) -> int:
        """Stripes that are in memory at once."""
        return max(1, MEMORY // (self.grid.block * self.grid.rows))

    def batches(self, piece: int, most: int) -> Iterable[tuple[int, int]]:
        """The stripes of a part in batches of at most `most`: the first one of each, and their number."""
        first, count = self.grid.within(piece)
        return [(at, min(most, first + count - at)) for at in range(first, first + count, most)]

    def table(self, piece: int) -> bytes | None:
        """A piece of the table from the first copy that is as the index says; `None` if there is none."""
        with self._lock:
            if piece in self._tables:
                self._tables.move_to_end(piece)
                return self._tables[piece]
        found = next(self._good_pieces(piece), None)
        with self._lock:
            self._tables[piece] = found
            while len(self._tables) > _PIECES:
                self._tables.popitem(last=False)
        return found

    def _good_pieces(self, piece: int) -> Iterator[bytes]:
        size = self.grid.piece_size(piece)
        for row in range(self.grid.data, self.grid.rows):
            for fd in self._open(row):
                for offset in self.grid.copies_at(piece):
                    data = bytearray(size)
                    if _pread(fd, memoryview(data), offset) == size and self.fits(piece, data):
                        yield bytes(data)

    def fits(self, piece: int, table: bytes | bytearray) -> bool:
        """Whether a piece of the table is the one of the index."""
        return bool(sha256(table).hexdigest() == self._sums[piece])

    def _open(self, row: int) -> list[int]:
        """The open copies of a file. Those of the full size come first."""
        with self._lock:
            if row not in self._copies:
                found = []
                for folder in self._folders:
                    try:
                        found.append(open_plain(folder / self.files[row].name))
                    except OSError:  # it is not there, or the medium does not give it: a copy that has no block
                        continue
                found.sort(key=lambda copy: copy[1] != self.files[row].size)
                self._copies[row] = [fd for fd, _ in found]
            return self._copies[row]

    def fetch(self, row: int, first: int, count: int, into: memoryview) -> list[int]:
        """Reads blocks of one part as they are on the media, zeros after the end; returns the stripes that are lost.

        Where no copy of the table is left, a file is good if it was hashed as a whole. If none was, it is taken as it
        is, and nothing is computed from it.
        """
        size, table = self.grid.block, self.table(first // self.grid.per_piece)
        lost = list(range(first, first + count))
        for number, fd in enumerate(self._open(row)):
            if not lost:
                break
            if number == 0 and self._read(fd, row, first, count, into):
                lost = [at for at in lost if not self._good(table, row, at, into[(at - first) * size :][:size])]
                continue
            lost = [
                at
                for at in lost
                if not self._read(fd, row, at, 1, part := into[(at - first) * size :][:size])
                or not self._good(table, row, at, part)
            ]
        if self.grid.blocks(row) < first + count:  # zeros are never lost
            there = max(0, self.grid.blocks(row) - first) * size
            into[there : count * size] = bytes(count * size - there)
            lost = [at for at in lost if at < self.grid.blocks(row)]
        return lost

    def _read(self, fd: int, row: int, first: int, count: int, into: memoryview) -> bool:
        """Reads blocks of one copy; false if the medium gives an error. What is not there is zeros."""
        begin = self.grid.block_at(row, first)
        wanted = count * self.grid.block
        there = max(0, min(wanted, self.files[row].size - begin))
        got = _pread(fd, into[:there], begin)
        into[max(0, got) : wanted] = bytes(wanted - max(0, got))
        return got >= 0

    def _good(self, table: bytes | None, row: int, stripe: int, block: memoryview) -> bool:
        if table is None:
            return self.attached(row) if self.whole is None else row in self.whole
        at = ((stripe % self.grid.per_piece) * self.grid.rows + row) * SUM
        return bool(sha256(block).digest()[:SUM] == table[at : at + SUM])

    def blocks(self, row: int, first: int, count: int, into: memoryview) -> None:
        """Reads blocks of one part, and computes those that are lost. Raises `BeyondRepairError`."""
        lost = self.fetch(row, first, count, into)
        if not lost:
            return
        self.computed.add(self.files[row].name)
        size = self.grid.block
        with self._working:
            for begin, many in _runs([at for at in lost if (row, at) not in self._computed], self.batch):
                made = self.rebuild(begin, many, [row])[row]
                for at in range(many):
                    self._computed[row, begin + at] = bytes(made[at * size :][:size])
            for at in lost:
                self._computed.move_to_end((row, at))
                into[(at - first) * size :][:size] = self._computed[row, at]
            while len(self._computed) * size > _COMPUTED:
                self._computed.popitem(last=False)

    def rebuild(self, first: int, count: int, wanted: Collection[int]) -> Mapping[int, memoryview]:
        """The blocks of the rows `wanted` of some stripes of one part, read where they are good and computed where not.

        Reads no more rows than it needs. Raises `BeyondRepairError`.
        """
        size, rows = self.grid.block, self.grid.rows
        views: dict[int, memoryview] = {}
        lost: dict[int, set[int]] = {}
        known = [0] * count
        for row in (*sorted(wanted), *(row for row in range(rows) if row not in wanted)):
            if row not in wanted and (not any(lost[one] for one in wanted) or min(known) >= self.grid.data):
                break
            views[row] = memoryview(bytearray(count * size))
            lost[row] = set(self.fetch(row, first, count, views[row]))
            known = [many + (first + at not in lost[row]) for at, many in enumerate(known)]
        done = 0
        while done < count:
            pattern = frozenset(row for row in views if first + done in lost[row])
            end = done + 1
            while end < count and pattern == frozenset(row for row in views if first + end in lost[row]):
                end += 1
            needed = {row for row in pattern if row in wanted}
            if needed:
                self._compute(first + done, views, pattern, needed, slice(done * size, end * size), known[done])
            done = end
        return {row: views[row] for row in wanted}

    def _compute(
        self,
        stripe: int,
        views: Mapping[int, memoryview],
        lost: Collection[int],
        needed: Collection[int],
        part: slice,
        known: int,
    ) -> None:
        if known < self.grid.data:
            raise self._beyond(stripe, needed, known)
        if self.whole is None and self.table(stripe // self.grid.per_piece) is None:
            raise self._blind(needed)
        given = [views[row][part] if row in views and row not in lost else None for row in range(self.grid.rows)]
        self.code.rebuild(given, {row: views[row][part] for row in needed})

    def _blind(self, needed: Collection[int]) -> BeyondRepairError:
        return BeyondRepairError(
            "beyond-repair",
            f"{self.files[min(needed)].name}: no parity file has a good copy of the sums of the blocks",
            "run `airgap repair`, which hashes whole files",
            1,
        )

    def _beyond(self, stripe: int, needed: Collection[int], known: int) -> BeyondRepairError:
        short = self.grid.data - known
        name = self.files[min(needed)].name
        return BeyondRepairError(
            "beyond-repair",
            f"{name}: block {stripe} cannot be computed: got {known} good blocks with this number in the other files, "
            f"expected {self.grid.data}",
            "attach the other volumes and parity files too, or have this file copied again",
            short,
        )


def mender_of(index: Listing, folders: Sequence[Path]) -> Mender | None:
    """The mender of a delivery whose signature is verified; `None` if it has no parity files."""
    return None if index.parity is None else Mender(index.protected, index.parity, folders)


def _runs(stripes: Sequence[int], most: int) -> Iterable[tuple[int, int]]:
    """Consecutive numbers as (first, how many), at most `most` in one."""
    runs: list[tuple[int, int]] = []
    for at in stripes:
        if runs and at == sum(runs[-1]) and runs[-1][1] < most:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((at, 1))
    return runs


def _pread(fd: int, into: memoryview, offset: int) -> int:
    """Fills `into` from `offset` on; returns the bytes that are there, and -1 for an error of the medium."""
    got = 0
    while got < len(into):
        try:
            count = os.preadv(fd, [into[got:]], offset + got)
        except OSError:
            return -1
        if not count:
            break
        got += count
    return got
