"""`Fanout`: one pass over a source, shared by several writers, so that a blob for several registries is read once.

Each writer has its own `Opener`. Its first pass, from the beginning, is the shared one: the first writer that needs the
next piece reads it for all. Any other pass (a retry, a resumed upload) reads the source alone. The fastest writer is at
most `WINDOW` pieces ahead of the slowest. A writer that takes nothing for `PATIENCE` seconds is dropped from the shared
pass and continues alone, so that a registry that hangs does not delay the others.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from copy import copy
from typing import BinaryIO, cast

from airgap.base.digest import CHUNK
from airgap.base.streams import fill
from airgap.content.graph import Opener

WINDOW = 4
"""Pieces of 1 MiB that are kept for the slowest writer: enough to hide a pause, and 32 MiB for eight blobs at once."""
PATIENCE = 10.0
"""Seconds without any progress: longer than a busy registry pauses, shorter than a timeout."""


class Fanout:
    """Shares one pass of `opener` among the readers from `reader`; `alone` opens the source for their other passes.

    Thread-safe. A context manager, which closes the source.
    """

    def __init__(self, opener: Opener, alone: Opener) -> None:
        self._opener = opener
        self.alone = alone
        self._stream: BinaryIO | None = None
        self._turn = threading.Condition()
        self._pieces: deque[memoryview] = deque()
        self._first = 0
        """Number of the first piece that is kept."""
        self._at: dict[FanoutReader, int] = {}
        """The number of the piece that each reader of the shared pass needs next."""
        self._reading = self._ended = False
        self._error: BaseException | None = None
        self._moves = 0

    def __enter__(self) -> Fanout:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def reader(self) -> FanoutReader:
        """Adds a reader. All readers must be added before the first one reads."""
        made = FanoutReader(self)
        self._at[made] = 0
        return made

    def piece(self, reader: FanoutReader) -> memoryview | None:
        """The piece that `reader` needs, empty at the end; `None` if the reader was dropped from the shared pass.

        Raises the error that the source raised.
        """
        while True:
            with self._turn:
                number = self._at.get(reader)
                if number is None:
                    return None
                if number - self._first < len(self._pieces):
                    return self._pieces[number - self._first]
                if self._error is not None:
                    raise copy(self._error)
                if self._ended:
                    return memoryview(b"")
                mine = not self._reading and len(self._pieces) < WINDOW
                if mine:
                    self._reading = True
                else:
                    self._wait()
            if mine:
                self._read()

    def passed(self, reader: FanoutReader) -> None:
        """Marks the reader's piece as consumed."""
        with self._turn:
            if reader in self._at:
                self._at[reader] += 1
                self._trim()

    def leave(self, reader: FanoutReader) -> None:
        """Removes `reader` from the shared pass."""
        with self._turn:
            self._at.pop(reader, None)
            self._trim()

    def _wait(self) -> None:
        moves = self._moves
        moved = self._turn.wait(PATIENCE) or moves != self._moves
        if not moved and not self._reading:
            for reader, number in list(self._at.items()):
                if number == self._first:
                    del self._at[reader]
            self._trim()

    def _trim(self) -> None:
        """Drops the pieces that every reader has consumed."""
        self._moves += 1
        slowest = min(self._at.values(), default=self._first + len(self._pieces))
        while self._first < slowest and self._pieces:
            self._pieces.popleft()
            self._first += 1
        self._turn.notify_all()

    def _read(self) -> None:
        """Reads the next piece, one thread at a time. Its buffer is new: a dropped reader may still use the last."""
        error: BaseException | None = None
        view = memoryview(bytearray(CHUNK))
        filled = 0
        try:
            if self._stream is None:
                self._stream = self._opener(0)
            filled = fill(self._stream, view)
        except BaseException as caught:  # noqa: BLE001  (every reader gets it)
            error = caught
        with self._turn:
            if filled:
                self._pieces.append(view[:filled])
            self._error, self._ended, self._reading = error, filled < CHUNK, False
            self._moves += 1
            self._turn.notify_all()


class FanoutReader:
    """An `Opener` over a `Fanout`."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._fresh = True

    def __call__(self, offset: int) -> BinaryIO:
        """The bytes from `offset` on: from the shared pass the first time, else from the reader's own pass."""
        if self._fresh and not offset:
            self._fresh = False
            return cast("BinaryIO", _Shared(self._fanout, self))
        self.leave()
        return self._fanout.alone(offset)

    def leave(self) -> None:
        """Leaves the shared pass, so that the other readers do not wait for this one."""
        self._fresh = False
        self._fanout.leave(self)


class _Shared(io.RawIOBase):
    """One reader's stream of the shared pass."""

    def __init__(self, fanout: Fanout, reader: FanoutReader) -> None:
        super().__init__()
        self._fanout, self._reader = fanout, reader
        self._at = 0
        self._own: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        piece = None if self._own is not None else self._fanout.piece(self._reader)
        if piece is None:
            if self._own is None:
                self._own = self._fanout.alone(self._at)
            count: int = self._own.readinto(buffer) or 0  # type: ignore[attr-defined]
            self._at += count
            return count
        begin = self._at % CHUNK
        count = min(len(buffer), len(piece) - begin)
        buffer[:count] = piece[begin : begin + count]
        self._at += count
        if count and self._at % CHUNK == 0:
            self._fanout.passed(self._reader)
        return count

    def close(self) -> None:
        if not self.closed:
            self._reader.leave()
            if self._own is not None:
                self._own.close()
        super().close()
