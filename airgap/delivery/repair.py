"""What of a delivery is damaged, whether its parity files mend it, and the mended files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from airgap.base.disk import Filling, disk_errors, replacing
from airgap.base.errors import IntegrityError
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.delivery.mend import MEMORY, Mender
from airgap.delivery.parity import SUM
from airgap.delivery.parity_write import PartWriter


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Which blocks are lost, and how many more files would be needed."""

    lost: Mapping[str, tuple[int, int]]
    """By the name of each bad file: its lost blocks, and its blocks."""
    hopeless: int
    """Stripes that have more lost blocks than there are parity files."""
    short: int
    """In the worst stripe: how many blocks too many are lost. 0 if everything can be computed."""


def diagnose(mender: Mender, states: Sequence[str], jobs: int) -> Diagnosis:
    """Reads the blocks of the files that are not `good`; `states` are those of all files, in the order of the grid.

    Sets `mender.whole`. Memory grows with the number of damaged places, not with what AIRGAP.json says of sizes.
    """
    grid = mender.grid
    mender.whole = {row for row, state in enumerate(states) if state == "good"}
    bad = [row for row in range(grid.rows) if row not in mender.whole]
    found: dict[str, tuple[int, int]] = {}
    # Where the number of lost blocks changes, and by how many: a file that is not there is one range, however large.
    changes: Counter[int] = Counter()
    for row, lost in zip(bad, parallel(jobs, lambda row: _lost(mender, row), bad, "repair"), strict=True):
        found[mender.files[row].name] = (sum(end - begin for begin, end in lost), grid.blocks(row))
        for begin, end in lost:
            changes[begin] += 1
            changes[end] -= 1
    hopeless = short = many = last = 0
    for at, change in sorted(changes.items()):
        hopeless += at - last if many > grid.parity else 0
        many, last = many + change, at
        short = max(short, many - grid.parity)
    return Diagnosis(found, hopeless, short)


def _lost(mender: Mender, row: int) -> list[tuple[int, int]]:
    """The stripes whose block of a row is lost, as ranges."""
    if not mender.present(row):
        return [(0, mender.grid.blocks(row))]
    found: list[tuple[int, int]] = []
    most = max(1, (MEMORY // 32) // mender.grid.block)
    view = memoryview(bytearray(most * mender.grid.block))
    for piece in range(mender.grid.pieces):
        for first, count in mender.batches(piece, most):
            for at in mender.fetch(row, first, count, view):
                if found and found[-1][1] == at:
                    found[-1] = (found[-1][0], at + 1)
                else:
                    found.append((at, at + 1))
    return found


def write_mended(mender: Mender, wanted: Collection[str], folder: Path, progress: Progress) -> None:
    """Writes the files `wanted` as they were, each only if its sha256 is that of the index.

    One pass over the blocks of the other files. Raises `BeyondRepairError`, `StoreError`, and `IntegrityError`
    (`not-mended`): then no file was written.
    """
    grid = mender.grid
    rows = [row for row in range(grid.rows) if mender.files[row].name in wanted]
    with ExitStack() as stack:
        sinks: dict[int, Any] = {}
        for row in rows:
            path = folder / mender.files[row].name
            fd = stack.enter_context(replacing(path, partial=path.with_name(f".{path.name}.partial")))
            sinks[row] = (
                PartWriter(fd, path, grid) if row >= grid.data else _DataWriter(fd, path, mender.files[row].size)
            )
        for piece in range(grid.pieces):
            for first, count in mender.batches(piece, mender.batch):
                made = mender.rebuild(first, count, rows)
                for row in rows:
                    sinks[row].blocks(made[row])
                    progress.advance(len(made[row]))
            parity = [row for row in rows if row >= grid.data]
            table = _table(mender, piece) if parity else b""
            for row in parity:
                sinks[row].table(piece, table)
        for row in rows:
            if sinks[row].hasher.hexdigest() != mender.files[row].sha256:
                raise _not_mended(mender.files[row].name)


class _DataWriter:
    """A file that parity protects, written from its beginning to its end."""

    def __init__(self, fd: int, path: Path, size: int) -> None:
        self.hasher = sha256()
        self._file, self._path, self._left = Filling(fd), path, size

    def blocks(self, data: memoryview) -> None:
        """Adds blocks; the zeros after the end of the file are left out."""
        piece = data[: self._left]
        self._left -= len(piece)
        self.hasher.update(piece)
        with disk_errors(self._path):
            self._file.write(piece)


def _table(mender: Mender, piece: int) -> bytes:
    """A piece of the table; computed from the blocks of all files where every copy of it is lost."""
    known = mender.table(piece)
    if known is not None:
        return known
    grid, made = mender.grid, []
    for first, count in mender.batches(piece, mender.batch):
        rows = mender.rebuild(first, count, range(grid.rows))
        made += [
            sha256(rows[row][at * grid.block :][: grid.block]).digest()[:SUM]
            for at in range(count)
            for row in range(grid.rows)
        ]
    table = b"".join(made)
    if not mender.fits(piece, table):
        raise _not_mended("the table of the blocks")
    return table


def _not_mended(what: str) -> IntegrityError:
    return IntegrityError(
        "not-mended",
        f"{what}: what was computed is not what AIRGAP.json says; nothing was written",
        "have the damaged files copied again from the original medium",
    )
