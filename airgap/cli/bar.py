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

BARS = (20, 10)
"""Characters of the bar itself: the largest that fits."""
SHORTEST = 12
"""Characters of the current item that say something: a name that would be shorter is left out."""


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
                if self._terminal:
                    width = shutil.get_terminal_size().columns - 1
                    line = self.line(width)
                    self._stream.write("\r" + line[:width].ljust(min(self._drawn, width)))
                    self._drawn = min(len(line), width)
                else:
                    self._stream.write(self.line() + "\n")
                self._stream.flush()

    def line(self, width: int = 0) -> str:
        """The text that is shown: `pull  42 %  1.2 GiB of 2.9 GiB  310.0 MiB/s  0:00:05 left  3/12  docker.io/…`.

        With `width`, it has at most so many characters: first the name is shortened and the bar left out, then whole
        parts; no number is cut.
        """
        parts = self._parts()
        while width and len(parts) > 1 and _length(parts) > width:
            parts.pop(max(range(1, len(parts)), key=lambda n: (parts[n][0], n)))
        texts = [text for _, text in parts]
        spare = (width or 10_000) - _length(parts)
        name = one_line(self._item) if self._item else ""
        if name and spare - 2 >= min(len(name), SHORTEST):
            texts.append(name if len(name) <= spare - 2 else f"…{name[len(name) - spare + 3 :]}")
            spare -= len(texts[-1]) + 2
        size = next((one for one in BARS if one + 3 <= spare), 0)
        if self._total and not self._plain and size:
            filled = self._share() * size // 100
            texts[1] = f"[{'#' * filled}{'.' * (size - filled)}] {texts[1]}"
        return "  ".join(texts)

    def _share(self) -> int:
        return min(100, 100 * self._done // self._total) if self._total else 0

    def _parts(self) -> list[tuple[int, str]]:
        """The parts but for the bar and the name, each with the order in which it is left out: the largest first."""
        from airgap.base.amounts import human

        rate = self._done / max(time.monotonic() - self._began, 0.001)
        parts = [(0, self._what)]
        if self._total:
            parts.append((0, f"{self._share():3d} %"))
            parts.append((1, f"{human(self._done)} of {human(self._total)}"))
        elif self._done or not self._items:
            parts.append((1, human(self._done)))
        if self._total or self._done or not self._items:  # a phase that judges and moves no bytes counts items only
            parts.append((4, f"{human(rate)}/s"))
        if self._total and rate > 0:
            left = max(0, int((self._total - self._done) / rate))
            parts.append((2, f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"))
        if self._items:
            parts.append((3, f"{self._items_done}/{self._items}"))
        return parts

    def _erase(self) -> None:
        if self._terminal and self._drawn and self._stream is not None:
            self._stream.write("\r" + " " * self._drawn + "\r")
            self._stream.flush()
            self._drawn = 0


def _length(parts: list[tuple[int, str]]) -> int:
    return sum(len(text) for _, text in parts) + 2 * (len(parts) - 1)
