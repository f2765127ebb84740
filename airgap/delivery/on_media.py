"""Plain files on the media of a delivery: opened, read up to a limit, and hashed. Nothing else is opened there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from airgap.base.digest import CHUNK
from airgap.base.disk import disk_errors
from airgap.base.errors import IntegrityError, NotFoundError, TooLargeError
from airgap.base.inputs import NotPlainError, open_plain, plain_size, read_plain
from airgap.delivery.fields import INDEX_NAME, FileSum


@contextlib.contextmanager
def media_errors(path: Path) -> Iterator[None]:
    """As `disk_errors`; what is not a file raises `IntegrityError` (`not-file`)."""
    with disk_errors(path):
        try:
            yield
        except NotPlainError as error:
            hint = "copy it again from the original medium"
            raise IntegrityError("not-file", f"{path}: not a file", hint) from error


def read_on_media(path: Path, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes. Raises `StoreError`, `IntegrityError` (`not-file`, `too-large`)."""
    with media_errors(path):
        data = read_plain(path, limit)
    if data is None:
        raise TooLargeError("too-large", f"{path}: more than {limit} bytes")
    return data


def open_on_media(path: Path) -> int:
    """The descriptor of a plain file on the media. Raises `StoreError`, `IntegrityError` (`not-file`)."""
    with media_errors(path):
        return open_plain(path)[0]


def read_listed(folders: Sequence[Path], file: FileSum) -> bytes:
    """The bytes of a small file that AIRGAP.json lists, from the folder where they are right.

    Raises `IntegrityError` (`damaged-file`), `NotFoundError` (`file-missing`), `StoreError`.
    """
    problem = None
    for path in (folder / file.name for folder in folders):
        found = plain_size(path)
        if found is None:
            continue
        if found == file.size:
            data = read_on_media(path, file.size)
            if hashlib.sha256(data).hexdigest() == file.sha256:
                return data
        problem = path
    if problem is not None:
        raise IntegrityError(
            "damaged-file",
            f"{problem}: differs from {INDEX_NAME} (sha256 {file.sha256}, {file.size} bytes)",
            "copy it again from the original medium",
        )
    what = f"{file.name} is in none of the folders"
    raise NotFoundError("file-missing", what, "pass the folder that contains it")


def hash_file(path: Path, size: int) -> str:
    """sha256 in hex of a file of `size` bytes, read once in 1 MiB pieces; `""` for a file of another size.

    A file of another size is not read: a hole of any size fits on a small medium. Raises `StoreError`,
    `IntegrityError` (`not-file`).
    """
    hasher, left = hashlib.sha256(), size + 1
    with os.fdopen(open_on_media(path), "rb", buffering=0) as file, disk_errors(path):
        if os.fstat(file.fileno()).st_size == size:
            buffer = memoryview(bytearray(CHUNK))
            # One byte more than `size`, to see whether the file grows while it is read.
            while left and (count := file.readinto(buffer[:left])):
                hasher.update(buffer[:count])
                left -= count
    return hasher.hexdigest() if left == 1 else ""
