"""Where `extract` writes: a file or a folder that appears whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import CHUNK
from airgap.base.disk import Filling, disk_errors, make_folder, mode_in, open_to_readers, replacing, sync_folder
from airgap.base.errors import InputError, StoreError
from airgap.base.locks import try_lock
from airgap.base.places import check_file, check_folder
from airgap.content.graph import Descriptor, Source
from airgap.content.verified import verified

FREE = "name a new file or folder"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that was written, or would be: its path below the target (`""` for the target itself), sha256 and size."""

    path: str
    sha256: str
    size: int

    def as_dict(self) -> dict[str, str | int]:
        """The object of `--json`."""
        return {"path": self.path, "sha256": self.sha256, "size": self.size}


def check_new_file(to: Path) -> None:
    """Raises `InputError` (`not-empty`, `bad-path`, `no-folder`), `StoreError` if no new file can be written."""
    check_file(to, "--to")
    if os.path.lexists(to):
        raise exists(to)


def check_new_folder(to: Path) -> None:
    """Raises `InputError` (`not-empty`, `bad-path`), `StoreError` if no folder can be made, or an empty one filled."""
    check_folder(to, "--to")
    if os.path.lexists(to) and (to.is_symlink() or not to.is_dir() or any(to.iterdir())):
        raise exists(to)


def check_staged(to: Path) -> None:
    """As `check_new_folder`, for a folder that is `staged`: a new one takes its place, which must be possible."""
    check_new_folder(to)
    if os.path.ismount(to):
        raise InputError("not-empty", f"{to} is the top of a disk", f"name a new folder in it, such as {to / 'out'}")
    if to.name in ("", "..") or (to.is_dir() and to.samefile(".")):
        what = f"--to {to}: a new folder would take the place of this one, and nothing would be in it from here"
        raise InputError("bad-path", what, f"name a new folder, such as {to / 'out'}")


def exists(to: Path) -> InputError:
    """The error for a target that is there: existing files must not be taken for extracted ones."""
    return InputError("not-empty", f"{to} exists", FREE)


def write_file(source: Source, descriptor: Descriptor, path: Path) -> None:
    """Writes a blob to a new file, hashed on the way; it has its name only if it is right.

    Its hidden name is new each time: an item may have a file of any name, such as `.x.partial` next to `x`. Raises
    `InputError` (`key-collision`) if the disk has the name, as one without upper and lower case may; `IntegrityError`.
    """
    if os.path.lexists(path):
        what = f"{path} was written already: this disk takes two names for one, such as upper and lower case"
        raise InputError("key-collision", what, "extract to a disk of Linux (ext4, xfs, btrfs)")
    with replacing(path) as fd, verified(source.open(descriptor), descriptor) as stream:
        file = Filling(fd)
        while piece := stream.read(CHUNK):
            with disk_errors(path):
                file.write(memoryview(piece))
        with disk_errors(path):
            open_to_readers(fd, mode_in(path.parent))


@contextmanager
def staged(to: Path) -> Iterator[Path]:
    """A hidden folder next to `to`. At the end of the block, its folder `new` takes the place of `to`, durably.

    If the block fails, everything is removed. What a killed run left is removed first. Raises `StoreError` (`locked`)
    if another process writes there.
    """
    make_folder(to.parent)
    partial = to.with_name(f".{to.name[:50]}.partial")
    with disk_errors(to):
        partial.mkdir(exist_ok=True)
        held = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks
            if not try_lock(held):
                what = f"{partial}: another airgap process is working here"
                raise StoreError("locked", what, "wait until it ends, then run the same command again")
        try:
            with disk_errors(partial):
                for left in partial.iterdir():
                    shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
                (partial / "new").mkdir()
            yield partial
            with disk_errors(to):
                sync_below(partial / "new")
                if os.path.lexists(to) and (not to.is_dir() or any(to.iterdir())):
                    raise exists(to)
                (partial / "new").rename(to)
                sync_folder(to.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(held)


def sync_below(folder: Path) -> None:
    """Makes all files and folders of a tree durable. Raises `OSError`."""
    for at, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(at, name)
            if not os.path.islink(path):
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        sync_folder(at)
