"""What parity costs: writing it, checking, and computing lost volumes; by ISA-L and by plain Python.

`python -m benchlib.parity FOLDER [--mib 256] [--volumes 8] [--parity 2]`, with PYTHONPATH=scripts:. in the
clone. It takes twice the content in FOLDER while it runs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from airgap.base.progress import Silent
from airgap.delivery.fields import FileSum
from airgap.delivery.mend import WINDOW, Mender
from airgap.delivery.parity import Parity, plan_grid
from airgap.delivery.parity_write import write_parity
from airgap.delivery.repair import diagnose, write_mended
from airgap.erasure.engine import Engine, IsaL, PlainPython, best_engine

_PIECE = 1 << 20
_JOBS = 2


def main(arguments: list[str]) -> int:
    """Prints a table of MB/s of protected content, and of resident memory."""
    parser = argparse.ArgumentParser(prog="benchlib.parity")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mib", type=int, default=256, help="of one volume")
    parser.add_argument("--volumes", type=int, default=8)
    parser.add_argument("--parity", type=int, default=2)
    options = parser.parse_args(arguments)
    folder = options.folder / "parity-bench"
    files = [_volume(folder / f"vol-{at}", options.mib) for at in range(options.volumes)]
    engines: list[Engine] = [best_engine()] if isinstance(best_engine(), IsaL) else []
    try:
        for engine in [*engines, PlainPython()]:
            with (
                mock.patch("airgap.erasure.engine.best_engine", return_value=engine),
                mock.patch("airgap.erasure.code.best_engine", return_value=engine),
            ):
                _measure(folder, files, options.parity, engine.name)
    finally:
        shutil.rmtree(folder)
    return 0


def _volume(path: Path, mib: int) -> FileSum:
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(mib):
            piece = os.urandom(_PIECE)
            hasher.update(piece)
            file.write(piece)
    return FileSum(path.name, hasher.hexdigest(), mib << 20)


def _measure(folder: Path, files: list[FileSum], many: int, name: str) -> None:
    total = sum(file.size for file in files)
    grid = plan_grid([file.size for file in files], many)
    made: list[Parity] = []

    def timed(what: str, work: Callable[[], object]) -> None:
        start, used = time.perf_counter(), time.process_time()
        work()
        took, processor = time.perf_counter() - start, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{what:30} {total / took / 1e6:6.0f} MB/s, {total / processor / 1e6:6.0f} a processor second, {peak} MiB"
        )

    size = files[0].size >> 20
    print(f"{name}: {len(files)} volumes of {size} MiB, {many} parity files, blocks of {grid.block >> 10} KiB")
    timed("bundle: write parity", lambda: made.append(write_parity(grid, files, folder, Silent())))
    mender = Mender(files, made[0], [folder])
    timed("import: all is whole", lambda: _read_all(mender))
    mender.close()
    away = [(folder / file.name).rename(folder / f"{file.name}.away") for file in files[:many]]
    mender = Mender(files, made[0], [folder])
    timed(f"import: {many} volumes are lost", lambda: _read_all(mender))
    states = ["lost"] * many + ["good"] * (grid.rows - many)
    diagnose(mender, states, _JOBS)
    out = folder / "out"
    out.mkdir()
    timed(f"repair: {many} volumes", lambda: write_mended(mender, [file.name for file in files[:many]], out, Silent()))
    mender.close()
    shutil.rmtree(out)
    for path in away:
        path.rename(path.with_suffix(""))


def _read_all(mender: Mender) -> None:
    for row in range(mender.grid.data):
        _read(mender, row)


def _read(mender: Mender, row: int) -> None:
    """As an import reads a volume in its order."""
    count = max(1, WINDOW // mender.grid.block)
    view = memoryview(bytearray(count * mender.grid.block))
    for piece in range(mender.grid.pieces):
        for first, many in mender.batches(piece, count):
            mender.blocks(row, first, many, view[: many * mender.grid.block])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
