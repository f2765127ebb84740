"""Parity files: what AIRGAP.json says about them, and where each block is. Format: docs/format.md, "Parity".

The volumes and evidence.tar are cut into blocks of one size. Block number s of every file is a stripe: one row of an
erasure code (`airgap.erasure`) each, zeros after a file's end. A parity file has one more row of each stripe. So any
files are computed again, as long as no more are lost than there are parity files; and a damaged place costs its block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airgap.base.digest import CHUNK
from airgap.base.errors import InputError
from airgap.delivery.fields import FileSum, as_hex, as_number, as_sum, check_fields
from airgap.erasure.code import MAX_ROWS

SUM = 16
"""Bytes of a block's sum: the beginning of its sha256."""
MIN_BLOCK = 4 << 10
"""Bytes that a disk reads at once: a smaller block is not lost alone."""
MAX_BLOCK = 256 << 10
"""A stripe of 256 files is in memory at once: 64 MiB."""
_TABLE = 2 << 10
"""Bytes of a block for each row, up to `MAX_BLOCK`: the two copies of the table are then 1/64 of a parity file."""

_FEW = 256
"""Stripes below which a block does not grow, because several damaged places would soon meet in one."""
_LARGE_TABLE = 8
"""… unless the two copies of the table then were more than a quarter of a parity file."""


@dataclass(frozen=True, slots=True)
class Parity:
    """The parity files of a delivery, in order."""

    block: int
    """Bytes of a block."""
    files: tuple[FileSum, ...]
    sums: tuple[str, ...]
    """sha256 in hex of each piece of the table of blocks' sums."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where each block and each piece of the table is: a function of the sizes, read from no parity file.

    Rows are numbered from 0: the files in the order of AIRGAP.json, then the parity files. A parity file is a sequence
    of parts. A part has the blocks of so many stripes that their sums, of all rows, are a piece of the table of about 1
    MiB; then that piece; then the piece of the part before it once more. The last piece ends the file, once more.
    """

    sizes: tuple[int, ...]
    """Bytes of each file that is protected."""
    parity: int
    """The number of parity files."""
    block: int

    @property
    def data(self) -> int:
        """The number of files that are protected."""
        return len(self.sizes)

    @property
    def rows(self) -> int:
        """The number of files, with the parity files."""
        return len(self.sizes) + self.parity

    @property
    def stripes(self) -> int:
        """The number of blocks in the largest file, and in each parity file."""
        return -(-max(self.sizes) // self.block)

    @property
    def per_piece(self) -> int:
        """Stripes of a part; the last one may have fewer."""
        return max(1, CHUNK // (SUM * self.rows))

    @property
    def pieces(self) -> int:
        """The number of parts, and of pieces of the table."""
        return -(-self.stripes // self.per_piece)

    @property
    def file_size(self) -> int:
        """Bytes of a parity file."""
        return self.stripes * (self.block + 2 * SUM * self.rows)

    def blocks(self, row: int) -> int:
        """How many blocks of a row are in its file; the others are zeros."""
        return -(-self.sizes[row] // self.block) if row < self.data else self.stripes

    def within(self, piece: int) -> tuple[int, int]:
        """The stripes of a part: the first one, and their number."""
        first = piece * self.per_piece
        return first, min(self.per_piece, self.stripes - first)

    def piece_size(self, piece: int) -> int:
        """Bytes of a piece of the table."""
        return self.within(piece)[1] * self.rows * SUM

    def part_at(self, piece: int) -> int:
        """The offset of a part in a parity file."""
        return piece * self.per_piece * self.block + (piece + max(0, piece - 1)) * self.per_piece * self.rows * SUM

    def block_at(self, row: int, stripe: int) -> int:
        """The offset of a block in its file."""
        if row < self.data:
            return stripe * self.block
        piece = stripe // self.per_piece
        return self.part_at(piece) + (stripe - piece * self.per_piece) * self.block

    def copies_at(self, piece: int) -> tuple[int, int]:
        """The offsets of the two copies of a piece of the table in each parity file."""
        first = self.part_at(piece) + self.within(piece)[1] * self.block
        if piece == self.pieces - 1:
            return first, self.file_size - self.piece_size(piece)
        return first, self.part_at(piece + 1) + self.within(piece + 1)[1] * self.block + self.piece_size(piece + 1)


def grid_of(files: Sequence[FileSum], parity: Parity) -> Grid:
    """The grid over the files that are protected."""
    return Grid(tuple(file.size for file in files), len(parity.files), parity.block)


def plan_grid(sizes: Sequence[int], parity: int) -> Grid:
    """The grid that a bundle writes. Raises `InputError` (`too-many-for-parity`) for more files than the code has rows.

    The block grows with the number of files, because the sums of all of them are in each parity file.
    """
    rows = len(sizes) + parity
    if rows > MAX_ROWS:
        raise InputError(
            "too-many-for-parity",
            f"parity: got {len(sizes) - 1} volumes, {parity} parity files and evidence.tar, expected at most "
            f"{MAX_ROWS} files together",
            "choose a larger --volume-size, or bundle the locks one after the other",
        )
    block = MIN_BLOCK
    while block < min(MAX_BLOCK, _TABLE * rows) and (
        2 * _FEW * block <= max(sizes) or block < _LARGE_TABLE * SUM * rows
    ):
        block *= 2
    return Grid(tuple(sizes), parity, block)


def parity_names(many: int) -> tuple[str, ...]:
    """`parity-01-of-02.par`, …: numbered from 1."""
    return tuple(f"parity-{number:02d}-of-{many:02d}.par" for number in range(1, many + 1))


def as_parity(value: Any, files: Sequence[FileSum]) -> Parity:
    """Parses `parity`; `files` are those that it protects. Raises `ValueError`, `TypeError`, `KeyError`."""
    check_fields(value, "blockSize files sums")
    block, listed = as_number(value["blockSize"]), value["files"]
    if not MIN_BLOCK <= block <= MAX_BLOCK or block & (block - 1):
        raise ValueError(f"blockSize: got {block}, expected a power of two from {MIN_BLOCK} to {MAX_BLOCK}")
    if not 1 <= len(listed) <= MAX_ROWS - len(files):
        raise ValueError(f"parity: got {len(listed)} and {len(files)} other files, expected at most {MAX_ROWS}")
    made = tuple(as_sum(one, name) for one, name in zip(listed, parity_names(len(listed)), strict=True))
    parity = Parity(block, made, tuple(map(as_hex, value["sums"])))
    grid = grid_of(files, parity)
    if not grid.stripes:
        raise ValueError("parity: got no file with a byte, expected at least one")
    if odd := next((file for file in made if file.size != grid.file_size), None):
        raise ValueError(f"size of {odd.name}: got {odd.size}, expected {grid.file_size}")
    if len(parity.sums) != grid.pieces:
        raise ValueError(f"sums: got {len(parity.sums)}, expected {grid.pieces}")
    return parity


def parity_document(parity: Parity) -> dict[str, Any]:
    """The JSON object."""
    return {
        "blockSize": parity.block,
        "files": [file.as_dict() for file in parity.files],
        "sums": list(parity.sums),
    }
