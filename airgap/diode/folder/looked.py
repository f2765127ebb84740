"""What lies in a watched folder, and whether it is still being written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airgap.base.disk import disk_errors

MAX_FILES = 100_000
"""Files that are looked at: ten deliveries of the largest number of volumes."""
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is known to be the same as before."""

    inode: int
    size: int
    changed: int
    """Its time of change, in nanoseconds."""


def files_below(folder: Path) -> Iterator[tuple[Path, Stamp]]:
    """The regular files below `folder`, in the order of their names; no link is followed. Raises `StoreError`."""
    left = MAX_FILES
    stack = [(folder, 0)]
    while stack:
        here, depth = stack.pop()
        with disk_errors(here):
            try:
                entries = sorted(os.scandir(here), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                if here == folder:
                    raise
                continue  # the box removed it meanwhile
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                    stack.append((Path(entry.path), depth + 1))
                if not entry.is_file(follow_symlinks=False):
                    continue
            except OSError:
                continue
            if not left:
                return
            left -= 1
            yield Path(entry.path), Stamp(info.st_ino, info.st_size, info.st_mtime_ns)


class Settled:
    """Finds the files that did not change for a while: a box may write a file for hours."""

    def __init__(self, quiet: float) -> None:
        """`quiet` is in seconds."""
        self._quiet = quiet
        self._seen: dict[Path, tuple[Stamp, float]] = {}

    def look(self, folder: Path, now: float) -> dict[Path, Stamp]:
        """The files that have been as they are for at least `quiet` seconds; `now` is a monotonic time."""
        seen = {}
        for path, stamp in files_below(folder):
            before, since = self._seen.get(path, (stamp, now))
            seen[path] = (stamp, since if before == stamp else now)
        self._seen = seen
        return {path: stamp for path, (stamp, since) in seen.items() if now - since >= self._quiet}
