"""Group commit: many finished files become durable and visible with few syncs.

A small file is written and held back, unnamed, until a batch is full or someone wants to see it; then the batch's
data is synced by several threads at once (their journal commits become one), every file gets its name, and the folder
is synced once. Measured on ext4, 1,200 files of 8 KiB: 2.2 s when one thread syncs a batch, 0.6 s when eight do, which
is what a bare loop of four threads needs. A large file is synced and named by its own thread at once, so that the data
of several goes to the disk together.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.disk import begin_writing, disk_errors, sync_folder

SMALL = 256 << 10
"""Bytes up to which a file waits for its batch."""
BATCH = 128
"""Files that wait at most: each keeps a descriptor open, of which a process has 1,024."""

SYNCERS = 8
"""Threads that sync one batch: more gained nothing."""


@dataclass(frozen=True, slots=True)
class _Entry:
    fd: int
    partial: Path
    final: Path


@dataclass(slots=True)
class GroupCommit:
    """Commits files of one folder: those up to `small` bytes in batches. Safe for threads."""

    folder: Path
    small: int = SMALL
    _waiting: dict[Path, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _settling: threading.Lock = field(default_factory=threading.Lock)
    """Held while a batch is on its way: the next one fills meanwhile."""

    def finish(self, fd: int, partial: Path, final: Path, size: int) -> None:
        """Takes a whole and verified file over; `fd` stays the caller's to close. Raises `StoreError`."""
        if size > self.small:
            with disk_errors(partial):
                os.fsync(fd)
                partial.replace(final)
                sync_folder(self.folder)
            return
        with self._lock:
            # The copy of the descriptor keeps the lock on the partial file until it has its name.
            self._waiting[final] = _Entry(os.dup(fd), partial, final)
            full = len(self._waiting) >= BATCH
        if full:
            self.settle(BATCH)

    def waits(self, final: Path) -> bool:
        """True when a file is whole but has not its name yet."""
        return final in self._waiting

    def settle(self, least: int = 1) -> None:
        """Makes everything that waits durable and visible; a batch of less than `least` files goes on waiting.

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
                        begin_writing(entry.fd)  # of all, so that the syncs only wait
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
