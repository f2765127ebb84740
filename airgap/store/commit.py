"""Group commit: many finished files become durable and visible with few syncs.

A small file is written and held back, unnamed, until a batch is full or a reader asks for the file. Then several
threads sync the batch's data at once (their journal commits become one), every file gets its name, and the folder is
synced once. Measured on ext4, 1,200 files of 8 KiB: 2.2 s if one thread syncs a batch, 0.6 s if eight do, which is what
a bare loop of four threads needs. A large file is synced and named by its own thread at once, so that the data of
several files goes to the disk together.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.disk import begin_writing, disk_errors, mode_in, open_to_readers, sync_folder

SMALL = 256 << 10
"""Bytes up to which a file waits for its batch."""
BATCH = 128
"""The most files that wait: each keeps a descriptor open, and a process has 1,024."""

SYNCERS = 8
"""Threads that sync one batch: more gained nothing."""


@dataclass(frozen=True, slots=True)
class _Entry:
    fd: int
    partial: Path
    final: Path


@dataclass(slots=True)
class GroupCommit:
    """Commits files of one folder, those up to `small` bytes in batches. Thread-safe."""

    folder: Path
    small: int = SMALL
    _waiting: dict[Path, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _settling: threading.Lock = field(default_factory=threading.Lock)
    """Held while a batch is committed; the next batch fills meanwhile."""

    def finish(self, fd: int, partial: Path, final: Path, size: int) -> None:
        """Commits a complete and verified file, now or with its batch; the caller closes `fd`. Raises `StoreError`.

        Until now nobody else could open it, because whoever can open a file can hold its lock.
        """
        with disk_errors(partial):
            open_to_readers(fd, mode_in(self.folder))
        if size > self.small:
            with disk_errors(partial):
                os.fsync(fd)
                partial.replace(final)
                sync_folder(self.folder)
            return
        with self._lock:
            # The duplicate of the descriptor keeps the lock on the partial file until it has its name.
            self._waiting[final] = _Entry(os.dup(fd), partial, final)
            full = len(self._waiting) >= BATCH
        if full:
            self.settle(BATCH)

    def waits(self, final: Path) -> bool:
        """True if a file is complete but does not have its name yet."""
        return final in self._waiting

    def settle(self, least: int = 1) -> None:
        """Makes all waiting files durable and visible. Fewer than `least` files continue to wait.

        Raises `StoreError`.
        """
        with self._settling:
            with self._lock:
                batch = list(self._waiting.values())
            if len(batch) < least:
                return
            try:
                with disk_errors(self.folder):
                    for entry in batch:
                        begin_writing(entry.fd)  # for all files first, so that the syncs only wait
                    with ThreadPoolExecutor(min(SYNCERS, len(batch)), "sync") as pool:
                        list(pool.map(os.fsync, [entry.fd for entry in batch]))
                    for entry in batch:
                        entry.partial.replace(entry.final)
                    sync_folder(self.folder)
            finally:
                with self._lock:
                    for entry in batch:
                        os.close(entry.fd)
                        del self._waiting[entry.final]
