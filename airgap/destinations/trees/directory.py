"""The embedded Sovereign's objects: plain files below `objects/<bucket>/` of one directory, no service needed.

Every step below the root uses a directory descriptor and follows no links, so a planted link has no effect. For this
reason this module writes the files itself, not with `airgap.base.disk.replacing`, which takes paths. A file appears
under its name complete, verified and durable, or not at all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import Digest, hash_stream
from airgap.base.disk import Filling, mode_in, open_to_readers
from airgap.base.errors import InputError, NotFoundError, RaceError, StoreError
from airgap.base.locks import try_lock
from airgap.content.graph import Descriptor
from airgap.content.lock import check_path
from airgap.destinations.base import Run
from airgap.destinations.trees.destination import TreeDestination
from airgap.destinations.trees.keys import folders
from airgap.destinations.trees.objects import Held, ObjectBody

OBJECTS = "objects"
"""The folder of buckets, next to `oci/` and `git/`."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Non-blocking: opening a named pipe would wait for a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DirectoryDestination(TreeDestination):
    """Trees as plain files below `root`/objects. See `TreeDestination`. Failures of the directory are `StoreError`s."""

    def __init__(self, root: Path, run: Run) -> None:
        super().__init__(str(root), DirectoryObjects(root), run)


class DirectoryObjects:
    """`Objects` over a directory, which is created with the first object. `look` always hashes."""

    def __init__(self, root: Path) -> None:
        self._root = root / OBJECTS

    def bucket(self, name: str) -> str:
        """See `Objects.bucket`: a tree's bucket is its folder."""
        if "/" in check_path(name, "bucket"):
            raise InputError("no-mapping", f"bucket {name!r}: a bucket name is a single folder name")
        return name

    def ready(self, bucket: str) -> None:
        """See `Objects.ready`: a missing folder is created later; anything that is not a folder is refused."""
        with self._mapped(bucket), self._folder(bucket):
            pass

    def look(self, bucket: str, key: str, *, deep: bool = False) -> Held | None:
        """See `Objects.look`. `deep` changes nothing: a file system has no checksum to ask for."""
        parent, _, name = f"{bucket}/{key}".rpartition("/")
        with self._mapped(f"{bucket}/{key}"), self._folder(parent) as folder:
            if folder is None or not _exists(folder, name) or _is_folder(folder, name):
                return None
            with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb", buffering=0) as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise OSError(errno.EINVAL, "not a plain file")
                digest, size = hash_stream(stream)
        return Held(digest, size)

    def open(self, bucket: str, key: str, offset: int = 0) -> BinaryIO:
        """See `Objects.open`."""
        parent, _, name = f"{bucket}/{key}".rpartition("/")
        with self._mapped(f"{bucket}/{key}"), self._folder(parent) as folder:
            if folder is None or not _exists(folder, name):
                raise NotFoundError("not-found", f"{self._root}/{bucket}/{key} is missing", side="destination")
            file = os.fdopen(os.open(name, _READ, dir_fd=folder), "rb", buffering=0)
            file.seek(offset)
            return file

    def copy(self, source: tuple[str, str], target: tuple[str, str], descriptor: Descriptor) -> bool:
        """See `Objects.copy`. False: to read and write it here costs the same."""
        return False

    def in_the_way(self, bucket: str, key: str) -> str:
        """See `Objects.in_the_way`."""
        for path in (*folders(key), key):
            parent, _, name = f"{bucket}/{path}".rpartition("/")
            with self._mapped(f"{bucket}/{path}"), self._folder(parent) as folder:
                if folder is None or not _exists(folder, name):
                    return ""
                if _is_folder(folder, name) == (path == key):
                    return path if path != key else f"{key}/"
        return ""

    def write(self, bucket: str, key: str, body: ObjectBody, replaces: Held | None) -> None:
        """See `Objects.write`. The present content is checked again while other airgap runs are locked out."""
        where = f"{bucket}/{key}"
        parent, _, name = where.rpartition("/")
        with self._mapped(where), self._folder(parent, make=True) as folder:
            if folder is None:
                raise OSError(errno.ENOTDIR, "its parent is not a folder")
            self._enough(folder, where, body.descriptor.size)
            with _temporary(folder, name) as (temporary, descriptor):
                file = Filling(descriptor)
                for piece in body.pieces():
                    file.write(piece)
                open_to_readers(descriptor, mode_in(folder))
                os.fsync(descriptor)
                now = self.look(bucket, key)
                if (now and now.digest) != (replaces and replaces.digest):
                    raise RaceError(
                        "changed-meanwhile",
                        f"{where}: got {now.digest if now else 'nothing'}, expected what it held before",
                        "another program writes there; run the import again",
                        side="destination",
                    )
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                _check_named(folder, name, descriptor, where)
            os.fsync(folder)

    def delete(self, bucket: str, key: str, held: Held) -> str:
        """See `Objects.delete`. Folders that become empty go, too."""
        where = f"{bucket}/{key}" if key else bucket
        parent, _, name = where.rpartition("/")
        with self._mapped(where), self._folder(parent) as folder:
            now = self.look(bucket, key)
            if folder is None or now is None or now.digest != held.digest:
                raise RaceError(
                    "changed-meanwhile",
                    f"{where}: got {now.digest if now else 'nothing'}, expected {held.digest}",
                    "another program writes there; run the same command again",
                    side="destination",
                )
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        for above in reversed([*folders(key)]):
            outer, _, inner = f"{bucket}/{above}".rpartition("/")
            with self._mapped(outer), self._folder(outer) as folder:
                try:
                    os.rmdir(inner, dir_fd=folder)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST):
                        raise
                    break
        return ""

    def buckets(self) -> Iterable[str]:
        """See `Objects.buckets`: whatever is in the folder of buckets."""
        with self._mapped(""):
            return sorted(os.listdir(self._root)) if self._root.is_dir() else []

    def keys(self, bucket: str) -> Iterator[str]:
        """See `Objects.keys`. Links and everything else that is not a folder count as files.

        What is no folder in place of a bucket is listed as one key, which is empty.
        """
        with self._mapped(bucket), self._folder(bucket) as top:
            if top is None:
                yield ""
                return
            for path, names, files, folder in os.fwalk(".", dir_fd=top, onerror=_raise):
                names.sort()
                links = [name for name in names if not _is_folder(folder, name)]
                below = "" if path == "." else path.removeprefix("./") + "/"
                yield from (f"{below}{name}" for name in sorted((*files, *links)))

    @contextmanager
    def _folder(self, path: str, *, make: bool = False) -> Iterator[int | None]:
        """A folder's descriptor; `None` if it, or a folder above it, is missing or is a plain file."""
        if make:
            self._root.mkdir(parents=True, exist_ok=True)
        descriptor = None
        try:
            try:
                descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                for part in path.split("/"):
                    if part in (".", ".."):  # no name of a folder: it would lead out of this one
                        raise OSError(errno.EINVAL, f"{part!r} is not the name of a folder")
                    above, descriptor = descriptor, _step(descriptor, part, make=make)
                    os.close(above)
            except (FileNotFoundError, NotADirectoryError):
                yield None
                return
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _enough(self, folder: int, where: str, size: int) -> None:
        room = os.fstatvfs(folder)
        free = room.f_bavail * room.f_frsize
        if size > free:
            raise StoreError(
                "disk-full",
                f"{self._root}/{where}: needs {size} bytes, but only {free} are free",
                "free space, then run the same command again: finished content stays",
            )

    @contextmanager
    def _mapped(self, where: str) -> Iterator[None]:
        """Turns the system's errors into `StoreError`s."""
        try:
            yield
        except OSError as error:
            what = f"{self._root}/{where}: {error.strerror or error}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError("disk-full", what, "free space, then run the same command again") from error
            if error.errno in (errno.ELOOP, errno.EMLINK):
                raise StoreError("symlink", what, "airgap does not follow links here: remove it") from error
            raise StoreError("directory", what, "check the permissions and what the path is") from error


def _check_named(folder: int, name: str, descriptor: int, where: str) -> None:
    """Raises `RaceError` unless the name leads to the file that was written and hashed."""
    written = os.fstat(descriptor)
    with suppress(FileNotFoundError):
        named = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (named.st_dev, named.st_ino, named.st_size) == (written.st_dev, written.st_ino, written.st_size):
            return
    what = f"{where}: another file was there right after it was written"
    raise RaceError("changed-meanwhile", what, "another program writes there; run the import again", side="destination")


def _step(folder: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, f"{name!r} is a symbolic link") from None
        raise
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # another thread has just created it
        os.mkdir(name, 0o755, dir_fd=folder)
        os.fsync(folder)
    return _step(folder, name, make=False)


@contextmanager
def _temporary(folder: int, name: str) -> Iterator[tuple[str, int]]:
    """An empty file next to `name` for this run alone. It is removed at the end unless it was renamed.

    Its name is always the same, so the next run reuses the file of a killed run.
    """
    temporary = f".airgap-{Digest.of(name.encode()).hex[:32]}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)  # whoever can open it can hold its lock
    try:
        _lock(descriptor, folder, temporary)
        try:
            os.ftruncate(descriptor, 0)
            yield temporary, descriptor
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: int, temporary: str) -> None:
    """Raises `StoreError` (`in-use`) if another run has the file, or has just renamed it."""
    with suppress(FileNotFoundError):
        if try_lock(descriptor):
            named = os.stat(temporary, dir_fd=folder, follow_symlinks=False)
            if named.st_ino == os.fstat(descriptor).st_ino:
                return
    raise StoreError(
        "in-use", f"{temporary}: another process is writing it", "wait for it, then run the same command again"
    )


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _raise(error: OSError) -> None:
    raise error
