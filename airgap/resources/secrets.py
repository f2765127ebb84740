"""Small files that hold a secret: read when it is used, never kept, never shown."""

from __future__ import annotations

from pathlib import Path

from airgap.errors import InputError

MAX_SECRET = 64 << 10
"""Bytes of a secret's file: tokens with many claims reach a few KiB."""


def read_file(path: Path, limit: int, code: str = "secret-file") -> bytes:
    """A small file's bytes. Raises `InputError` (`code`) when it cannot be read or has more than `limit` bytes."""
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        # ValueError: a NUL byte in the path.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(code, f"{str(path)!r} cannot be read: {reason}") from error
    if len(data) > limit:
        raise InputError(code, f"{str(path)!r}: got more than {limit} bytes, expected at most that")
    return data


def read_secret(path: Path) -> str:
    """The password or token in a file, without one newline at its end.

    Who may read the file is not checked: mounted Kubernetes secrets are 0644 within their pod.
    Raises `InputError` (`secret-file`); its text never holds any of the content.
    """
    try:
        secret = read_file(path, MAX_SECRET).decode()
    except UnicodeDecodeError:
        # The decoder's own error holds the bytes.
        raise InputError("secret-file", f"{str(path)!r} is not text, expected a secret in UTF-8") from None
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise InputError("secret-file", f"{str(path)!r} is empty, expected a secret")
    if any(ord(char) < 32 or ord(char) == 127 for char in secret):
        # It would end up in a header, where a line break begins the next one.
        raise InputError("secret-file", f"{str(path)!r} has several lines or control characters, expected a secret")
    return secret
