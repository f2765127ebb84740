"""Copying a delivery to a medium, and reading it back from there: what lies on the medium is what was signed.

The files get their names when they are whole. Nothing counts as copied until it was read back past the page cache: a
stick that lies about its size, or drops what it was given, is found here and not inside.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import Filling, disk_errors, make_folder, open_to_readers, replacing, sync_folder, write_below
from airgap.base.errors import DamageError, InputError, NotFoundError
from airgap.base.inputs import open_plain, plain_size, read_plain
from airgap.base.media import ReadBack, Reading, file_system, forget_device, sync_file_system
from airgap.base.places import check_unlinked
from airgap.base.progress import Progress
from airgap.base.throttle import FREE, Throttle, read_throttled
from airgap.delivery import readme as people
from airgap.delivery.fields import INDEX_NAME, FileSum
from airgap.delivery.files import Listing
from airgap.delivery.index import MAX_INDEX, README_NAME, SIGNATURE_SUFFIX, SIGNATURES, SUMS_NAME
from airgap.delivery.read import Media

UNFINISHED = ".airgap-copy.json"
"""In a folder whose copy is not finished: the digest of the delivery."""
_MAX_MARK = 4096
_ORDER = (Reading.DIRECT, Reading.DROPPED, Reading.CACHED)


@dataclass(frozen=True, slots=True)
class Small:
    """A file that is written from memory: its names below the folder, and its bytes."""

    names: tuple[str, ...]
    data: bytes


@dataclass(slots=True)
class CopiedFiles:
    """What was copied: the state of each file, by name, and the weakest way in which one was read back."""

    files: dict[str, str] = field(default_factory=dict)
    """`written`, `present` or `differs`."""
    how: Reading = Reading.DIRECT

    @property
    def bad(self) -> list[str]:
        """The files that do not read back as they were written."""
        return [name for name, state in self.files.items() if state == "differs"]


def signature_files(signatures: Mapping[str, bytes]) -> list[Small]:
    """The signatures under names that every file system holds: their names mean nothing, and FAT ignores case."""
    made: dict[str, Small] = {}
    for name, data in sorted(signatures.items()):
        stem = name.partition(SIGNATURE_SUFFIX)[0]
        plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in stem)[:64]
        base, number = plain.lower() or "signature", 1
        while (chosen := base if number == 1 else f"{base}-{number}") in made:
            number += 1
        made[chosen] = Small((SIGNATURES, chosen + SIGNATURE_SUFFIX), data)
    return list(made.values())


def small_files(index: Listing, media: Media) -> Sequence[Small]:
    """The small files; AIRGAP.json is the last: a folder that has it is complete."""
    readme = people.readme(index, media.index_bytes)
    return (
        *signature_files(media.signatures),
        Small((README_NAME,), readme),
        Small((SUMS_NAME,), people.sums(index, media.index_bytes, readme)),
        Small((INDEX_NAME,), media.index_bytes),
    )


def check_medium(folder: Path, files: Sequence[FileSum]) -> None:
    """Raises `InputError` (`file-too-large`) if the file system of `folder` cannot hold one of the files."""
    medium = file_system(folder)
    most = medium.largest_file
    large = [one for one in files if most is not None and one.size > most]
    if large:
        raise InputError(
            "file-too-large",
            f"{folder}: {large[0].name}: got {large[0].size} bytes, expected at most {most}, the most that a file has "
            f"on {medium.type}",
            "format the medium with exFAT, or cut the delivery with --volume-size 4095MiB",
        )


def check_place(folder: Path, delivery: Digest) -> None:
    """Checks that `folder` is absent, empty, or of this delivery. What systems put on media does not count.

    Raises `InputError` (`not-empty`, `bad-path`), `StoreError`.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError("bad-path", f"{folder} is not a folder", "name a new folder on the medium")
    if not folder.exists():
        return
    check_unlinked(folder, (SIGNATURES,), "remove it, or name a new folder")
    with disk_errors(folder):
        mark = _read(folder / UNFINISHED, _MAX_MARK)
        index = _read(folder / INDEX_NAME, MAX_INDEX)
        if mark == _mark(delivery) or (mark is None and index is not None and Digest.of(index) == delivery):
            return
        there = sorted(one.name for one in folder.iterdir() if not _of_the_system(one.name))
    if mark is not None or there:
        raise InputError(
            "not-empty",
            f"{folder} is not empty: it contains {UNFINISHED if mark is not None else there[0]}",
            f"name a new folder, such as {folder / 'delivery'}",
        )


def _of_the_system(name: str) -> bool:
    return name.startswith(".") or name in ("lost+found", "System Volume Information", "$RECYCLE.BIN")


def _read(path: Path, limit: int) -> bytes | None:
    try:
        return read_plain(path, limit)
    except FileNotFoundError:
        return None


def _mark(delivery: Digest) -> bytes:
    return json.dumps({"delivery": str(delivery)}).encode() + b"\n"


def copy_files(
    sources: Sequence[Path],
    files: Sequence[FileSum],
    small: Sequence[Small],
    folder: Path,
    delivery: Digest,
    progress: Progress,
    throttle: Throttle = FREE,
) -> CopiedFiles:
    """Copies `files` from the folders `sources`, writes the `small` ones, syncs the medium, and reads all back.

    `throttle` limits how fast the large ones are copied.

    1. Mark the folder. 2. Copy each large file, hashed on the way; one that is there with its size is only read back.
    3. Write the small files; AIRGAP.json must be the last of them. 4. Sync the file system, and let the kernel forget
    the files. 5. Read everything back and compare. 6. If all is right, remove the mark.

    The same command goes on after an interruption, and writes what read back wrong again. Raises `StoreError`,
    `IntegrityError` (`damaged-file`), `NotFoundError` (`file-missing`).
    """
    # 1.
    make_folder(folder)
    write_below(folder, (UNFINISHED,), _mark(delivery))
    done = CopiedFiles()
    _note_whole(folder, files, done, progress)
    # 2.
    todo = [one for one in files if one.name not in done.files]
    progress.start("copy", sum(one.size for one in todo), len(todo))
    for file in todo:
        _copy(sources, file, folder, progress, throttle)
        done.files[file.name] = "written"
    # 3.
    for one in small:
        write_below(folder, one.names, one.data)
    # 4.
    sync_file_system(folder)
    forget_device(file_system(folder))
    # 5.
    listed = [*todo, *(FileSum("/".join(s.names), hashlib.sha256(s.data).hexdigest(), len(s.data)) for s in small)]
    _compare(folder, listed, done, progress)
    # 6.
    if not done.bad:
        with disk_errors(folder):
            (folder / UNFINISHED).unlink()
            sync_folder(folder)
    return done


def _note_whole(folder: Path, files: Sequence[FileSum], done: CopiedFiles, progress: Progress) -> None:
    """Notes which files an earlier run has brought whole: they are read back here, and not copied again."""
    there = [one for one in files if plain_size(folder / one.name) == one.size]
    if there:
        forget_device(file_system(folder))
        progress.start("look at what is there", sum(one.size for one in there), len(there))
    for one in there:
        if _reads_back(folder, one, done, progress):
            done.files[one.name] = "present"


def _compare(folder: Path, files: Sequence[FileSum], done: CopiedFiles, progress: Progress) -> None:
    progress.start("read back", sum(one.size for one in files), len(files))
    for one in files:
        right = _reads_back(folder, one, done, progress)
        done.files[one.name] = done.files.get(one.name, "written") if right else "differs"
        progress.done(one.name, done.files[one.name])


def _reads_back(folder: Path, file: FileSum, done: CopiedFiles, progress: Progress) -> bool:
    progress.item(file.name)
    back, hasher, size = ReadBack(folder / file.name), hashlib.sha256(), 0
    for piece in back.pieces():
        hasher.update(piece)
        size += len(piece)
        progress.advance(len(piece))
    done.how = max(done.how, back.how, key=_ORDER.index)
    return size == file.size and hasher.hexdigest() == file.sha256


def _copy(sources: Sequence[Path], file: FileSum, folder: Path, progress: Progress, throttle: Throttle) -> None:
    """Copies one file from the first source that has it whole. Raises as `copy_files`."""
    progress.item(file.name)
    damaged = None
    for path in (source / file.name for source in sources):
        if plain_size(path) is None:
            continue
        target = folder / file.name
        try:
            with replacing(target, partial=target.with_name(f".{file.name}.partial"), sync=False) as fd:
                _fill(path, file, target, fd, progress, throttle)
                open_to_readers(fd, 0o644)
        except DamageError as error:
            damaged = error
        else:
            progress.done(file.name, "copied")
            return
    raise damaged or NotFoundError(
        "file-missing", f"{file.name} is in none of the folders", "pass the folder that contains it"
    )


def _fill(path: Path, file: FileSum, target: Path, target_fd: int, progress: Progress, throttle: Throttle) -> None:
    """Copies the bytes, hashed on the way. Raises `DamageError` (`damaged-file`) if they are not those of the index."""
    hasher, filling, buffer = hashlib.sha256(), Filling(target_fd), memoryview(bytearray(CHUNK))
    copied = 0
    with disk_errors(path):
        fd, size = open_plain(path)
    with os.fdopen(fd, "rb", buffering=0) as source:
        while size == file.size and copied < size:
            with disk_errors(path):
                count = read_throttled(throttle, buffer, source.readinto)
            if not count:
                break
            hasher.update(buffer[:count])
            with disk_errors(target):
                filling.write(buffer[:count])
            copied += count
            progress.advance(count)
    if copied != file.size or hasher.hexdigest() != file.sha256:
        progress.advance(-copied)
        raise DamageError(
            "damaged-file",
            f"{path}: differs from {INDEX_NAME}: expected {file.size} bytes with sha256 {file.sha256}",
            "copy it again from the original, or cut the delivery again",
        )
