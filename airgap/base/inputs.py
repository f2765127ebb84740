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
        why = error.strerror
        hint = absent if absent and error.errno == errno.ENOENT else _HINTS[error.errno]
        raise InputError(code, f"{str(path)!r} cannot be read: {why}", hint) from error
    if data is None:
        what = f"{str(path)!r}: got more than {limit} bytes, expected at most that"
        raise InputError(code, what, "check that this is the right file")
    return data


class NotPlainError(OSError):
    """A folder, a device, a pipe or a socket where a file was expected."""


def open_plain(path: Path, *, follow: bool = False) -> tuple[int, int]:
    """Opens a regular file for reading; returns its descriptor and its size in bytes.

    Follows a symbolic link only with `follow`. Nothing else is opened: opening a device can do something, and opening a
    pipe can wait for ever. Raises `NotPlainError` and every other `OSError`.
    """
    _check_plain(os.stat(path, follow_symlinks=follow).st_mode)
    # Non-blocking, because the file may have been replaced by a named pipe in the meantime.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    try:
        info = os.fstat(fd)
        _check_plain(info.st_mode)
    except BaseException:
        os.close(fd)
        raise
    return fd, info.st_size


def plain_size(path: Path) -> int | None:
    """The size of a regular file in bytes; `None` for anything else, also a symbolic link, and for nothing."""
    try:
        info = path.lstat()
    except OSError:
        return None
    return info.st_size if stat.S_ISREG(info.st_mode) else None


def _check_plain(mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise NotPlainError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise NotPlainError(errno.EINVAL, "not a file")


def read_plain(path: Path, limit: int, *, follow: bool = False) -> bytes | None:
    """The bytes of a regular file; `None` if it is larger than `limit` (unread, if its size already says so).

    Follows a symbolic link only with `follow`. Raises `NotPlainError` and every other `OSError`.
    """
    fd, size = open_plain(path, follow=follow)
    try:
        # Files of the kernel report size 0, and other files grow while they are read.
        pieces, left = [], 0 if size > limit else limit + 1
        while left and (piece := os.read(fd, min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(fd)
    return b"".join(pieces) if left else None
