"""`Progress`: an observer that is passed down. Whoever moves bytes tells it; only the command line renders it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Thread-safe. Bytes are those of the content, whether moved or found present."""

    def start(self, what: str, total_bytes: int, total_items: int = 0) -> None:
        """A phase begins: its name, the bytes it will account for as far as they are known and its number of items."""

    def grow(self, count: int) -> None:
        """`count` more bytes belong to the phase: what only its manifests could tell."""

    def advance(self, count: int) -> None:
        """`count` more bytes are done. Negative when a blob is begun again."""

    def item(self, name: str) -> None:
        """Work on `name` begins."""

    def done(self, name: str, outcome: str) -> None:
        """Work on `name` ended: `written`, `present`, `failed`, …"""

    def note(self, message: str) -> None:
        """Something people should know, without stopping."""


class Silent:
    """A `Progress` that says nothing."""

    def start(self, what: str, total_bytes: int, total_items: int = 0) -> None:
        """Nothing."""

    def grow(self, count: int) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""

    def item(self, name: str) -> None:
        """Nothing."""

    def done(self, name: str, outcome: str) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""
