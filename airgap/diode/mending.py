"""What was lost on the road is computed again, if the delivery has parity files: nobody has to send anything."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import partial

from airgap.base.disk import check_free
from airgap.base.progress import Silent
from airgap.delivery.mend import BeyondRepairError, mender_of
from airgap.delivery.parity import grid_of
from airgap.delivery.repair import write_mended
from airgap.diode.assembly import Assembly


def may_be_mended(assembly: Assembly) -> bool:
    """True if no stripe lacks more blocks than there are parity files. Reads nothing."""
    parity, missing = assembly.index.parity, assembly.missing()
    if parity is None or not missing:
        return False
    grid = grid_of(assembly.index.protected, parity)
    edges: list[tuple[int, int]] = []
    for row in range(grid.rows):
        reached, stripes, begin_of = 0, range(grid.blocks(row)), partial(grid.block_at, row)
        for begin, end in missing.get(row, ()):
            # Two holes in one block are one lost block.
            first = max(reached, bisect_right(stripes, begin, key=begin_of) - 1)
            after = bisect_left(stripes, end, key=begin_of)
            if first < after:
                edges += [(first, 1), (after, -1)]
                reached = after
    lost = 0
    for _, step in sorted(edges):
        lost += step
        if lost > len(parity.files):
            return False
    return True


def mend(assembly: Assembly) -> list[str]:
    """Computes the files that are not whole, and returns their names; none if the sums of blocks say that it cannot be.

    Each is written beside the one that came, and takes its place if it has its sha256. Raises `StoreError`, and
    `IntegrityError` (`not-mended`).
    """
    numbers = list(assembly.missing())
    files = [assembly.files[number] for number in numbers]
    check_free(assembly.folder, sum(file.size for file in files), "what is computed")
    mender = mender_of(assembly.index, [assembly.folder])
    if mender is None:
        return []
    names = [file.name for file in files]
    try:
        mender.whole = {row for row in range(mender.grid.rows) if assembly.good(mender.files[row].name)}
        with assembly.replacing(numbers):
            write_mended(mender, names, assembly.folder, Silent())
    except BeyondRepairError:
        return []
    finally:
        mender.close()
    return names
