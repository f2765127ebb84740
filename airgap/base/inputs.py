"""Reads small regular files completely, up to a limit: files that people name, and files that airgap keeps."""

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
"""What can be wrong with a path. Every other error is the disk's."""


def read_input(path: Path, limit: int, code: str, *, absent: str = "") -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises `InputError` (`code`) if `path` leads to nothing, to a folder, a device or a pipe, to a larger file, or to a
    file without read permission. `absent` is the hint if the file is missing. Disk faults remain an `OSError` with the
    file's name.
    """
    try:
        data = read_plain(path, limit, follow=True)
    except ValueError as error:  # a NUL byte in the path
        raise InputError(code, f"{str(path)!r} cannot be read: {error}", _PATH) from error
    except OSError as error:
        if error.errno not in _HINTS:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        why = "not a file" if error.errno == errno.EINVAL else error.strerror
        hint = absent if absent and error.errno == errno.ENOENT else _HINTS[error.errno]
        raise InputError(code, f"{str(path)!r} cannot be read: {why}", hint) from error
    if data is None:
        what = f"{str(path)!r}: got more than {limit} bytes, expected at most that"
        raise InputError(code, what, "check that this is the right file")
    return data


class NotPlainError(OSError):
    """A folder, a device, a pipe or a socket where a file was expected."""


def read_plain(path: Path, limit: int, *, follow: bool = False) -> bytes | None:
    """The bytes of a regular file; `None` if it is larger than `limit` (unread, if its size already says so).

    Follows a symbolic link only with `follow`. Raises `NotPlainError` and every other `OSError`.
    """
    # Non-blocking, so that opening a named pipe returns at once.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            number = errno.EISDIR if stat.S_ISDIR(info.st_mode) else errno.EINVAL
            raise NotPlainError(number, os.strerror(number))
        # Files of the kernel report size 0, and other files grow while they are read.
        pieces, left = [], 0 if info.st_size > limit else limit + 1
        while left and (piece := os.read(fd, min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(fd)
    return b"".join(pieces) if left else None
