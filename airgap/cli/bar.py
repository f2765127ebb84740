"""Progress for people: bytes, rate, time left and the current item, on a terminal or as a line every 30 s."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from typing import Protocol

from airgap.base.text import message as shown
from airgap.base.text import one_line, visible

REFRESH = 0.2
"""Seconds between two drawings: smooth, without load."""
QUIET = 30.0
"""Seconds between two lines where there is no terminal: the log shows progress and stays short."""


class Stream(Protocol):
    """The stream on which a bar is drawn."""

    def write(self, text: str) -> object:
        """Writes `text`."""

    def flush(self) -> None:
        """Shows what was written."""

    def isatty(self) -> bool:
        """True for a terminal."""


class Bar:
    """A `Progress` on a stream (`None`: only in the log). Thread-safe; one thread draws."""

    def __init__(self, stream: Stream | None, log: Callable[[str], None], *, plain: bool) -> None:
        self._stream, self._log, self._plain = stream, log, plain
        self._terminal = stream is not None and stream.isatty()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._what, self._total, self._done, self._item = "", 0, 0, ""
        self._items, self._items_done = 0, 0
        self._began = time.monotonic()
        self._drawn = 0
        self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)
        self._thread.start()

    def start(self, what: str, total_bytes: int, total_items: int = 0) -> None:
        """Begins a phase."""
        with self._lock:
            self._what, self._total, self._items = what, total_bytes, total_items
            self._done = self._items_done = 0
            self._item, self._began = "", time.monotonic()
        self._log(f"{what}: {total_bytes} bytes, {total_items} items")

    def grow(self, count: int) -> None:
        """Adds bytes to the total of the phase."""
        with self._lock:
            self._total += count

    def advance(self, count: int) -> None:
        """Counts bytes as done."""
        with self._lock:
            self._done += count

    def item(self, name: str) -> None:
        """Sets the current item."""
        with self._lock:
            self._item = name

    def done(self, name: str, outcome: str) -> None:
        """Counts an item as done."""
        with self._lock:
            self._items_done += 1
        self._log(f"{self._what}: {name}: {outcome}")

    def note(self, message: str) -> None:
        """Writes a line above the bar."""
        self._log(message)
        if self._stream is not None:
            with self._lock:
                self._erase()
                self._stream.write(visible(shown(message)) + "\n")
                self._stream.flush()

    def close(self) -> None:
        """Stops drawing and clears the line."""
        self._end.set()
        self._thread.join()
        with self._lock:
            self._erase()

    def _draw(self) -> None:
        while not self._end.wait(REFRESH if self._terminal else QUIET):
            with self._lock:
                if self._stream is None or not self._what:
                    continue
                line = self.line()
                if self._terminal:
                    width = shutil.get_terminal_size().columns - 1
                    self._stream.write("\r" + line[:width].ljust(min(self._drawn, width)))
                    self._drawn = min(len(line), width)
                else:
                    self._stream.write(line + "\n")
                self._stream.flush()

    def line(self) -> str:
        """The text that is shown: `pull  42 %  1.2 GiB of 2.9 GiB  310.0 MiB/s  0:05 left  3/12  docker.io/…`."""
        from airgap.cli.words import human

        elapsed = max(time.monotonic() - self._began, 0.001)
        rate = self._done / elapsed
        parts = [self._what]
        if self._total:
            share = min(100, 100 * self._done // self._total)
            filled = share // 5
            bar = "" if self._plain else f"[{'#' * filled}{'.' * (20 - filled)}] "
            parts.append(f"{bar}{share:3d} %  {human(self._done)} of {human(self._total)}")
        elif self._done or not self._items:
            parts.append(human(self._done))
        if self._total or self._done or not self._items:  # a phase that judges and moves no bytes counts items only
            parts.append(f"{human(rate)}/s")
        if self._total and rate > 0:
            left = max(0, int((self._total - self._done) / rate))
            parts.append(f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left")
        if self._items:
            parts.append(f"{self._items_done}/{self._items}")
        if self._item:
            parts.append(one_line(self._item))
        return "  ".join(parts)

    def _erase(self) -> None:
        if self._terminal and self._drawn and self._stream is not None:
            self._stream.write("\r" + " " * self._drawn + "\r")
            self._stream.flush()
            self._drawn = 0
