"""Checks the paths that a job will write to, before the work starts, so that no result is lost for want of a place.

A wrong path raises `InputError`; a failure of the disk raises `StoreError`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from airgap.base.disk import disk_error
from airgap.base.errors import InputError


def check_file(path: Path, flag: str) -> None:
    """Checks that the file `path` can be written or replaced; `flag` is the flag that named it.

    Raises `InputError` (`bad-path`, `no-folder`) or `StoreError`.
    """
    said = f"{flag} {path}"
    mode = _mode(path, said)
    if path.name in ("", "..") or stat.S_ISDIR(mode):
        raise InputError("bad-path", f"{said}: this is a folder, expected a file", "name a file in it")
    # A new file replaces the existing one; a device would be lost.
    if mode and not stat.S_ISREG(mode):
        raise InputError("bad-path", f"{said}: this is a device or a pipe, expected a file", "name a file")
    if not _mode(path.parent, said):
        raise InputError("no-folder", f"{said}: there is no folder {path.parent}", f"mkdir -p {path.parent}")
    _check_folder(path.parent, said)


def check_new_file(path: Path, flag: str) -> None:
    """As `check_file`, for a file that replaces none. Raises also `InputError` (`other-file`)."""
    check_file(path, flag)
    if os.path.lexists(path):
        what = f"{flag} {path}: the file exists, and nothing replaces it"
        raise InputError("other-file", what, "name a new file, or remove this one")


def check_folder(path: Path, flag: str) -> None:
    """Checks that the folder `path` can be created or written. Raises `InputError` (`bad-path`) or `StoreError`."""
    said, there = f"{flag} {path}", path
    while not _mode(there, said) and there != there.parent:
        there = there.parent
    _check_folder(there, said)


def check_unlinked(folder: Path, inner: Sequence[str], hint: str) -> None:
    """Checks that nothing on the way `inner` below `folder` is a link: on a medium, it may lead anywhere.

    Raises `InputError` (`bad-path`).
    """
    there = folder
    for name in inner:
        there = there / name
        if there.is_symlink():
            raise InputError("bad-path", f"{there} is a link, and nothing is written through it", hint)


def _check_folder(folder: Path, said: str) -> None:
    if not stat.S_ISDIR(_mode(folder, said)):
        what = said if said.endswith(f" {folder}") else f"{said}: {folder}"
        raise InputError("bad-path", f"{what} is not a folder", "name a folder")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise disk_error(OSError(errno.EROFS, "read-only"), folder)
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise disk_error(OSError(errno.EACCES, "permission denied"), folder)


def _mode(path: Path, said: str) -> int:
    """The mode of the file or folder at `path`, 0 if there is none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EIO):
            raise disk_error(error, path) from error
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError("bad-path", f"{said}: {why}", "name another path") from error
