"""`RequestBody`: the bytes to send. A request is repeated only by opening its body again."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import BinaryIO

from airgap.base.digest import CHUNK
from airgap.base.errors import DamageError
from airgap.base.streams import read_into

SEND = 64 << 10
"""Bytes handed to the socket at once. Larger pieces halve the rate at which a registry accepts them (measured)."""


@dataclass(frozen=True, slots=True)
class RequestBody:
    """`size` bytes, which `open()` returns from the beginning at each call."""

    size: int
    open: Callable[[], BinaryIO]

    @classmethod
    def of(cls, data: bytes) -> RequestBody:
        """A small body that is already in memory."""
        return cls(len(data), lambda: io.BytesIO(data))

    def pieces(self) -> Generator[memoryview, None, None]:
        """One pass: reads `CHUNK` bytes into one buffer and yields views of `SEND` bytes, each valid until the next.

        Raises `IntegrityError` (`truncated`) if the stream ends early. Bytes after `size` are not read.
        """
        left = self.size
        view = memoryview(bytearray(min(CHUNK, left)))
        with self.open() as stream:
            while left:
                filled = view[: read_into(stream, view[:left])]
                if not filled:
                    raise DamageError("truncated", f"got {self.size - left} bytes to send, expected {self.size}")
                left -= len(filled)
                for start in range(0, len(filled), SEND):
                    yield filled[start : start + SEND]
