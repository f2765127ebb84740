"""Durable writing to a local disk: temp file, fsync, rename, fsync of the folder; one mapping of disk errors."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from airgap.base.errors import AirgapError, DiskFullError, StoreError

GIB = 1 << 30
WRITE = 256 << 10
"""Bytes handed to the kernel at once. For a piece of 1 MiB, the kernel makes one large folio, for which it may have to
search: writing 512 MiB took 0.13 to 0.97 s of system time in pieces of 1 MiB, 0.10 to 0.13 s in pieces of 16 to 512 KiB
(ext4, Linux 6.18)."""
EARLY = 16 << 20
"""Bytes after which the disk is asked to start writing. 8 and 32 MiB perform equally well."""


def disk_error(error: OSError, path: Path | str) -> StoreError:
    """The `StoreError` for an `OSError`: code, path and next step."""
    name = os.fspath(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            "disk-full",
            f"{name}: no space left on the disk",
            "free space or use another disk, then run the same command again",
        )
    if error.errno == errno.EFBIG:
        return StoreError(
            "file-too-large",
            f"{name}: the file system holds no file of this size (FAT32: less than 4 GiB)",
            "format the medium with exFAT or ext4, or cut the delivery with --volume-size 4095MiB",
        )
    if error.errno == errno.EROFS:
        return StoreError(
            "read-only",
            f"{name}: the file system is read-only",
            "mount it read-write, or use another folder",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return StoreError("no-permission", f"{name}: permission denied", "check the owner and mode of the folder")
    return StoreError("disk-error", f"{name}: {error.strerror or error}", "check the disk (dmesg) and the path")


@contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Maps every `OSError` inside the block to a `StoreError` about `path`."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


class Filling:
    """Writes a file from offset `at` on. The disk starts to write early, so that the last sync is short.

    Measured: writing 4 × 512 MiB in parallel into a store takes 2.0 s if the disk waits for the sync, 1.3 s if it
    starts early. A caller that needs durable bytes must still sync: only the sync reports whether the disk accepted
    them.
    """

    __slots__ = ("_begun", "_fd", "at")

    def __init__(self, fd: int, at: int = 0) -> None:
        self._fd, self.at, self._begun = fd, at, at

    def write(self, piece: memoryview) -> None:
        """Writes all of `piece` at `at`, and moves `at` forward. Raises `OSError`."""
        while piece:
            count = os.pwrite(self._fd, piece[:WRITE], self.at)
            piece, self.at = piece[count:], self.at + count
        if self.at - self._begun >= EARLY:
            begin_writing(self._fd, self._begun, self.at - self._begun)
            self._begun = self.at


def begin_writing(fd: int, offset: int = 0, size: int = 0) -> None:
    """Asks the disk to start writing `size` bytes of a file (0: all after `offset`). Errors are reported by the sync.

    Source: sync_file_range(2), SYNC_FILE_RANGE_WRITE. Python has no binding for it. Without it, only time is lost.
    """
    _sync_file_range()(fd, offset, size, 2)


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int]:
    import ctypes  # only needed when something is written

    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is None:
        return lambda _fd, _offset, _size, _flags: 0
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return lambda fd, offset, size, flags: int(found(fd, offset, size, flags))


def sync_folder(folder: Path | str) -> None:
    """Makes renames in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Creates `folder` and its missing parents durably, because its files must not be lost together with the folder.

    `mode` applies to `folder` itself. Raises `StoreError`.
    """
    with disk_errors(folder):
        if folder.is_dir():
            return
        make_folder(folder.parent)
        folder.mkdir(mode, exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def replacing(path: Path, mode: int = 0o644, *, partial: Path | None = None, sync: bool = True) -> Iterator[int]:
    """Yields the descriptor of a new file that replaces `path` at the end of the block, durably or not at all.

    The file is written under another name in the same folder, and removed if the block fails; readers of `path` see the
    old or the complete new file. `partial` sets that name. Use it for large files in folders that no one cleans up: the
    next run then overwrites the file that a killed run left. Otherwise the name is new each time. Without `sync`, the
    caller syncs the folder after the last of several files. An `OSError` inside the block is left to the caller; other
    failures raise `StoreError`.
    """
    temp = partial or path.with_name(_temporary(path.name))
    flags = os.O_TRUNC if partial else os.O_EXCL
    with disk_errors(path):
        if partial is not None:
            _make_way(partial)
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, mode)
    try:
        yield fd
        with disk_errors(path):
            os.fsync(fd)
            temp.replace(path)
            if sync:
                sync_folder(path.parent)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _make_way(path: Path) -> None:
    """Removes what no run of ours left under this name: a link, also a hard one, or a pipe that waits for a reader."""
    with suppress(FileNotFoundError):
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
            path.unlink()


def _temporary(name: str) -> str:
    """A new hidden name for a file that will be called `name`. Shortened, because a long name has no room for more."""
    return f".{name[:50]}.{secrets.token_hex(8)}.tmp"


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces `path` with `data`: readers see all of the old or all of the new bytes, even after a power failure.

    Raises `StoreError`.
    """
    with replacing(path, mode) as fd, disk_errors(path):
        Filling(fd).write(memoryview(data))


def write_below(
    folder: Path, names: Sequence[str], data: bytes, *, exists: AirgapError | None = None, mode: int = 0o644
) -> None:
    """Writes the file `names` below `folder`, durably or not at all. With `exists`, it replaces nothing: raises that.

    `folder` is what a person named. Below it, no link is followed, because a medium may contain any link; folders that
    are missing are created. Raises `StoreError`.
    """
    *inner, name = names
    path = folder.joinpath(*names)
    temp = _temporary(name)
    with disk_errors(path), ExitStack() as stack:
        at = _folder_below(folder, inner, stack)
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)
        stack.callback(os.close, fd)
        try:
            Filling(fd).write(memoryview(data))
            os.fsync(fd)
            if exists is None:
                os.rename(temp, name, src_dir_fd=at, dst_dir_fd=at)
            elif not _given_name(at, temp, name):
                raise exists
            os.fsync(at)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temp, dir_fd=at)
            raise


def _folder_below(folder: Path, inner: Sequence[str], stack: ExitStack) -> int:
    """The descriptor of the folder `inner` below `folder`, which is created; a link in `inner` is an `OSError`."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, at)
    for name in inner:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=at)
            os.fsync(at)
        at = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        stack.callback(os.close, at)
    return at


_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems without hard links answer: FAT, exFAT, some network file systems."""


def _given_name(at: int, temp: str, name: str) -> bool:
    """Renames a file in a folder; false if the new name exists. Only file systems without hard links leave a gap."""
    try:
        os.link(temp, name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        os.unlink(temp, dir_fd=at)
        return True
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(temp, name, src_dir_fd=at, dst_dir_fd=at)
        return True
    return False


def make_private(folder: Path) -> bool:
    """Creates `folder`, or closes it, so that no other account can read, change or lock what is in it.

    Returns true if it was open before. A folder of root that only the group of its files may use is left as it is: that
    is what Kubernetes makes of a volume with `fsGroup`. Raises `StoreError` (`folder-open`) if others can still write.
    """
    make_folder(folder, 0o700)
    with disk_errors(folder):
        before = os.stat(folder)
        ours = before.st_uid == os.geteuid()
        if ours and before.st_mode & 0o077:
            with perhaps_without_modes():  # what counts is what it says afterwards
                os.chmod(folder, stat.S_IMODE(before.st_mode) & ~0o077)
        after = os.stat(folder)
    if after.st_mode & (0o077 if ours else 0o002):
        raise StoreError(
            "folder-open",
            f"{folder}: other accounts may use this folder: got mode {stat.S_IMODE(after.st_mode):o} and owner "
            f"{after.st_uid}, expected 700 and {os.geteuid()}",
            f"name a folder below it, such as {folder / 'airgap'}, which airgap creates for itself; or change the mode "
            "or the mount options",
        )
    return after.st_mode != before.st_mode


def mode_in(folder: Path | int) -> int:
    """The mode for a file that is as open as its folder, at most 0644. Raises `OSError`."""
    return 0o600 | (0o044 & os.stat(folder).st_mode)


def open_to_readers(fd: int, mode: int) -> None:
    """Gives a finished file its mode, where the file system has modes: nobody locks it any more. Raises `OSError`."""
    with perhaps_without_modes():
        os.fchmod(fd, mode)


@contextmanager
def perhaps_without_modes() -> Iterator[None]:
    """Lets pass what file systems without modes answer: FAT by the kernel EPERM, by FUSE ENOSYS or EOPNOTSUPP."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def check_free(folder: Path, needed: int, what: str) -> None:
    """Raises `StoreError` (`disk-full`) if the disk of `folder` has less than `needed` bytes free for `what`."""
    probe = folder
    while not probe.exists() and probe != probe.parent:
        probe = probe.parent
    with disk_errors(probe):
        disk = os.statvfs(probe)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise DiskFullError(
            "disk-full",
            f"{folder}: {what} needs {needed / GIB:.2f} GiB ({needed} bytes), {free / GIB:.2f} GiB ({free}) are free",
            "free space or use another disk; nothing was written",
        )
