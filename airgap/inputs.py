"""Small files that people name: a lock, a receipt, a public key. Read whole up to a limit, if they are files at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from airgap.errors import InputError

_PIECE = 1 << 20
_HINT = "check the path"
_REASONS = {
    errno.ENOENT: ("there is no such file", _HINT),
    errno.ENOTDIR: ("there is no such file, a part of the path is not a folder", _HINT),
    errno.ENAMETOOLONG: ("the path is too long", _HINT),
    errno.ELOOP: ("symbolic links that lead nowhere", _HINT),
    errno.ENXIO: ("not a file", _HINT),  # a socket
    errno.EACCES: ("permission denied", "check the owner and mode of the file, and of the folders above it"),
}
_REASONS[errno.EPERM] = _REASONS[errno.EACCES]


def read_input(path: Path, limit: int, code: str, *, absent: str = "") -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises `InputError` (`code`) for a path that leads to nothing, to a folder, a device or a pipe, to a larger file,
    or to one that we may not read; `absent` is the hint for one that is not there. Faults of the disk stay an
    `OSError` with the file's name.
    """
    try:
        # Non-blocking, so that a named pipe is answered and not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:
        raise InputError(code, f"{str(path)!r}: not a path: {error}", _HINT) from error
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        what, hint = _REASONS[error.errno]
        near = absent if absent and error.errno in (errno.ENOENT, errno.ENOTDIR) else hint
        raise InputError(code, f"{path}: {what}", near) from error
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            kind = "a folder" if stat.S_ISDIR(info.st_mode) else "a device or a pipe"
            raise InputError(code, f"{path}: this is {kind}, expected a file", "name the file itself")
        data = b"" if info.st_size > limit else _read(fd, limit + 1, path)
    finally:
        os.close(fd)
    if max(info.st_size, len(data)) > limit:
        what = f"{path}: got more than {limit} bytes, expected at most that"
        raise InputError(code, what, "is it the file that you meant?")
    return data


def _read(fd: int, count: int, path: Path) -> bytes:
    pieces = []
    try:
        while count and (piece := os.read(fd, min(count, _PIECE))):
            pieces.append(piece)
            count -= len(piece)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    return b"".join(pieces)
