"""`Progress`: an observer that jobs receive. Code that moves bytes reports to it; only the command line renders it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Thread-safe. Bytes count content, whether it was moved or already present."""

    def start(self, what: str, total_bytes: int, total_items: int = 0) -> None:
        """A phase begins: its name, its total bytes as far as they are known, and its number of items."""

    def grow(self, count: int) -> None:
        """The phase has `count` more bytes, which became known only from its manifests."""

    def advance(self, count: int) -> None:
        """`count` more bytes are done. Negative if a blob starts again."""

    def item(self, name: str) -> None:
        """Work on `name` begins."""

    def done(self, name: str, outcome: str) -> None:
        """Work on `name` ended: `written`, `present`, `failed`, …"""

    def note(self, message: str) -> None:
        """Reports something that people should know, without stopping."""


class Silent:
    """A `Progress` that reports nothing."""

    def start(self, what: str, total_bytes: int, total_items: int = 0) -> None:
        """Does nothing."""

    def grow(self, count: int) -> None:
        """Does nothing."""

    def advance(self, count: int) -> None:
        """Does nothing."""

    def item(self, name: str) -> None:
        """Does nothing."""

    def done(self, name: str, outcome: str) -> None:
        """Does nothing."""

    def note(self, message: str) -> None:
        """Does nothing."""
