"""`Thing`: one file that is looked at, wherever it is; `PickleFile`: a pickle that was found in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from airgap.scanning.models.blob import Blob
from airgap.scanning.models.formats import HEAD
from airgap.scanning.models.pickle_machine import PickleSeen


@dataclass(frozen=True, slots=True)
class PickleFile:
    """A pickle that was found, and the copy of it for the second opinion; `None` if it is beyond a limit."""

    path: str
    copy: Path | None
    seen: PickleSeen


@dataclass(slots=True)
class Thing:
    """A file, or what is in one: read in order by `stream`, or from any place by `blob`, which unpacks it once."""

    path: str
    size: int
    head: bytes
    """Its first `HEAD` bytes."""
    make: Callable[[], Blob]
    opener: Callable[[], BinaryIO] | None = None
    """Opens it to be read in order, where that needs no copy."""
    made: Blob | None = None

    @classmethod
    def of(cls, path: str, blob: Blob) -> Thing:
        """A file that can be read from any place."""
        return cls(path, blob.size, blob.read(0, HEAD), lambda: blob, made=blob)

    @property
    def name(self) -> str:
        """The last part of the path, in small letters."""
        return self.path.rsplit("!", 1)[-1].rsplit("/", 1)[-1].lower()

    def blob(self) -> Blob:
        """Its bytes. Raises `TooMuchError`, `BadPackedError`, `BadZipError`, and what the store raises."""
        if self.made is None:
            self.made = self.make()
            self.size = self.made.size
        return self.made

    def stream(self) -> BinaryIO:
        """Its bytes in order."""
        return self.opener() if self.opener is not None else self.blob().open()
