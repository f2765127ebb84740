"""Writing parity files: one pass over the finished volumes and evidence.tar, which reads them back from the medium."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

from airgap.base.disk import Filling, disk_errors, replacing
from airgap.base.errors import IntegrityError
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.delivery.fields import FileSum
from airgap.delivery.mend import MEMORY
from airgap.delivery.on_media import open_on_media
from airgap.delivery.parity import SUM, Grid, Parity, parity_names
from airgap.erasure.code import Code


def write_parity(grid: Grid, files: Sequence[FileSum], folder: Path, progress: Progress) -> Parity:
    """Writes the parity files of `files` into the same folder, and returns what AIRGAP.json says of them.

    Each file is hashed as a whole on the way. Raises `IntegrityError` (`damaged-file`) if the medium does not give what
    was written, and `StoreError`. Memory: `MEMORY`, or one stripe.
    """
    names = parity_names(grid.parity)
    code = Code(grid.data, grid.parity)
    with ExitStack() as stack:
        sources = [_Source(folder / file.name, file, grid.block) for file in files]
        for source in sources:
            stack.callback(source.close)
        sinks = [
            PartWriter(
                stack.enter_context(replacing(path, partial=path.with_name(f".{path.name}.partial"))), path, grid
            )
            for path in (folder / name for name in names)
        ]
        sums = [_write_part(grid, piece, sources, sinks, code, progress) for piece in range(grid.pieces)]
        for source in sources:
            source.check()
        made = tuple(
            FileSum(name, sink.hasher.hexdigest(), grid.file_size) for name, sink in zip(names, sinks, strict=True)
        )
    return Parity(grid.block, made, tuple(sums))


_JOBS = 4
"""Files that are read and hashed at once."""


class _Source:
    """A finished file, which is read once from its beginning to its end, and hashed."""

    def __init__(self, path: Path, file: FileSum, block: int) -> None:
        self._path, self._file, self._block = path, file, block
        self._hasher = sha256()
        self._fd = open_on_media(path)
        self._at = 0

    def read(self, into: memoryview) -> list[bytes]:
        """Fills whole blocks, with zeros after the end; returns their sums."""
        wanted = max(0, min(len(into), self._file.size - self._at))
        got = 0
        with disk_errors(self._path):
            while got < wanted and (count := os.preadv(self._fd, [into[got:wanted]], self._at)):
                got, self._at = got + count, self._at + count
        self._hasher.update(into[:got])
        into[got:] = bytes(len(into) - got)
        return [sha256(into[at : at + self._block]).digest()[:SUM] for at in range(0, len(into), self._block)]

    def check(self) -> None:
        """Raises `IntegrityError` (`damaged-file`) if the bytes were not those that were written."""
        if self._hasher.hexdigest() != self._file.sha256:
            raise IntegrityError(
                "damaged-file",
                f"{self._path}: read back, it has another sha256 than what was written",
                "use another medium, and bundle again",
            )

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)


class PartWriter:
    """A parity file that is written from its beginning to its end: blocks, then pieces of the table."""

    def __init__(self, fd: int, path: Path, grid: Grid) -> None:
        self.hasher = sha256()
        self._file, self._path, self._grid = Filling(fd), path, grid
        self._before = b""

    def blocks(self, data: memoryview) -> None:
        """Adds blocks of the present part."""
        self.hasher.update(data)
        with disk_errors(self._path):
            self._file.write(data)

    def table(self, piece: int, table: bytes) -> None:
        """Ends a part: its piece of the table, and that of the part before; after the last part, its own once more."""
        last = table if piece == self._grid.pieces - 1 else b""
        self.blocks(memoryview(table + self._before + last))
        self._before = table


def _write_part(
    grid: Grid,
    piece: int,
    sources: Sequence[_Source],
    sinks: Sequence[PartWriter],
    code: Code,
    progress: Progress,
) -> str:
    """Writes a part of each parity file. Returns the sha256 of its piece of the table."""
    first, count = grid.within(piece)
    batch = max(1, MEMORY // (grid.block * grid.rows))
    table: list[bytes] = []
    for begin in range(first, first + count, batch):
        many = min(batch, first + count - begin) * grid.block
        rows = [memoryview(bytearray(many)) for _ in range(grid.rows)]
        columns = parallel(_JOBS, lambda pair: pair[0].read(pair[1]), zip(sources, rows, strict=False), "parity")
        code.encode(rows[: grid.data], rows[grid.data :])
        for sink, row in zip(sinks, rows[grid.data :], strict=True):
            sink.blocks(row)
            progress.advance(len(row))
            columns.append([sha256(row[at : at + grid.block]).digest()[:SUM] for at in range(0, many, grid.block)])
        table += [b"".join(stripe) for stripe in zip(*columns, strict=True)]
    whole = b"".join(table)
    for sink in sinks:
        sink.table(piece, whole)
        progress.advance(2 * len(whole))
    return sha256(whole).hexdigest()
