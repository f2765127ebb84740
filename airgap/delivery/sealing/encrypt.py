"""Writes age files, with pyrage: each with a new key, which is kept nowhere but in its header."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from airgap.delivery.sealing.recipients import Recipients


class _Reading(io.RawIOBase):
    """What is encrypted, for pyrage: asks `read` for at most so many bytes."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        super().__init__()
        self._read = read

    def read(self, size: int = -1) -> bytes:
        return self._read(size)


class _Writing(io.RawIOBase):
    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write

    def write(self, data: Any) -> int:
        self._write(data)
        return len(data)


def encrypt(read: Callable[[int], bytes], write: Callable[[bytes], None], recipients: Recipients) -> None:
    """Encrypts what `read` gives, until it gives `b""`. Memory does not grow with it.

    An error of `read` or `write` must be kept by the caller: pyrage raises another one instead. Raises `OSError`.
    """
    import pyrage

    try:
        pyrage.encrypt_io(_Reading(read), _Writing(write), recipients.opened())
    except pyrage.EncryptError as error:
        raise OSError(f"encrypting failed: {error}") from error


def encrypt_bytes(data: bytes, recipients: Recipients) -> bytes:
    """A small file, encrypted."""
    import pyrage

    return bytes(pyrage.encrypt(data, recipients.opened()))
