"""Group commit: many finished files become durable and visible with few syncs.

A file is reported as present only after its data, its rename and its folder were synced. While one thread syncs,
others queue up, and the next leader takes them all: on a busy disk the cost of a rename's sync is shared.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from airgap.errors import AirgapError
from airgap.store.files import disk_error

SMALL = 256 << 10
"""Files up to this size are synced by the leader, one after the other (the journal commit of the first covers the
rest); larger ones by their own thread, so that the data of several goes to the disk at once."""


@dataclass(slots=True)
class _Entry:
    fd: int
    partial: Path
    final: Path
    sync: bool
    done: bool = False
    error: AirgapError | None = None


@dataclass(slots=True)
class GroupCommit:
    """Commits files of one folder."""

    folder: Path
    _queue: list[_Entry] = field(default_factory=list)
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _leading: bool = False

    def finish(self, fd: int, partial: Path, final: Path, size: int) -> None:
        """Syncs `fd`, renames `partial` to `final`, syncs the folder; returns when all three are done.

        Raises `StoreError`.
        """
        entry = _Entry(fd, partial, final, size <= SMALL)
        if not entry.sync:
            try:
                os.fsync(fd)
            except OSError as error:
                raise disk_error(error, partial) from error
        batch: list[_Entry] = []
        with self._turn:
            self._queue.append(entry)
            while self._leading and not entry.done:
                self._turn.wait()
            if not entry.done:
                self._leading = True
                batch, self._queue = self._queue, []
        if batch:
            try:
                self._commit(batch)
            finally:
                with self._turn:
                    self._leading = False
                    for member in batch:
                        member.done = True
                    self._turn.notify_all()
        if entry.error is not None:
            raise entry.error

    def _commit(self, batch: list[_Entry]) -> None:
        for entry in batch:
            try:
                if entry.sync:
                    os.fsync(entry.fd)
                entry.partial.replace(entry.final)
            except OSError as error:
                entry.error = disk_error(error, entry.partial)
        try:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            for entry in batch:
                entry.error = entry.error or disk_error(error, self.folder)
