"""Small files, read whole up to a limit, if they are files at all: those that people name, and those that we keep."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from airgap.base.errors import InputError

_PIECE = 1 << 20
_PATH = "check the path"
_RIGHTS = "check the owner and mode of the file, and of the folders above it"
_HINTS = {
    errno.ENOENT: _PATH,
    errno.ENOTDIR: _PATH,
    errno.ENAMETOOLONG: _PATH,
    errno.ELOOP: _PATH,
    errno.ENXIO: _PATH,  # a socket
    errno.EISDIR: "name the file itself",
    errno.EINVAL: "name the file itself",  # a device, a pipe
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
}
"""What can be wrong with a path. Any other error is the disk's."""


def read_input(path: Path, limit: int, code: str, *, absent: str = "") -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises `InputError` (`code`) for a path that leads to nothing, to a folder, a device or a pipe, to a larger file,
    or to one that we may not read; `absent` is the hint for one that is not there. Faults of the disk stay an
    `OSError` with the file's name.
    """
    try:
        data = read_plain(path, limit, follow=True)
    except ValueError as error:  # a NUL in it
        raise InputError(code, f"{str(path)!r} cannot be read: {error}", _PATH) from error
    except OSError as error:
        if error.errno not in _HINTS:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        why = "not a file" if error.errno == errno.EINVAL else error.strerror
        hint = absent if absent and error.errno == errno.ENOENT else _HINTS[error.errno]
        raise InputError(code, f"{str(path)!r} cannot be read: {why}", hint) from error
    if data is None:
        what = f"{str(path)!r}: got more than {limit} bytes, expected at most that"
        raise InputError(code, what, "is it the file that you meant?")
    return data


class NotPlainError(OSError):
    """A folder, a device, a pipe or a socket, where a file was expected."""


def read_plain(path: Path, limit: int, *, follow: bool = False) -> bytes | None:
    """The bytes of a regular file; `None` for more than `limit`, of which nothing is read where it says so.

    A symbolic link is followed only with `follow`. Raises `NotPlainError` and every other `OSError`.
    """
    # Non-blocking, so that a named pipe is answered and not waited for.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            number = errno.EISDIR if stat.S_ISDIR(info.st_mode) else errno.EINVAL
            raise NotPlainError(number, os.strerror(number))
        # Files of the kernel say that they are empty, and others grow while they are read.
        pieces, left = [], 0 if info.st_size > limit else limit + 1
        while left and (piece := os.read(fd, min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(fd)
    return b"".join(pieces) if left else None
