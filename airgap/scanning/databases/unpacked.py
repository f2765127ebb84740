"""The databases that a station uses, unpacked: once for each digest, checked before use, gone when no longer named."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import Digest, hash_stream
from airgap.base.disk import check_free, disk_errors, make_private, write_durably
from airgap.base.errors import DamageError, InputError, IntegrityError, NotFoundError
from airgap.base.inputs import open_plain, read_plain
from airgap.base.locks import locked, open_lock, try_lock
from airgap.base.progress import Progress, Silent
from airgap.base.strict_json import decode_json
from airgap.content.graph import read_node
from airgap.content.scan_result import Database
from airgap.content.scanner_database import DATABASE_TYPES, METADATA, DatabaseType
from airgap.scanning.databases.read import (
    MAX_METADATA,
    DatabaseArtifact,
    DatabaseInfo,
    FileWriter,
    artifact_of,
    info_of,
    read_files,
    unpacked_size,
)
from airgap.store.layout import Layout

MAX_SEAL = 32 << 20
"""Bytes of a seal, which has a line for each file."""
_LOCK = ".lock"
_PULL_AGAIN = "run `airgap pull` again with the lock that names it, then scan again"


@dataclass(frozen=True, slots=True)
class UnpackedDatabase:
    """One database, its folder, and size and sha256 (hex) of each file by its path in the folder."""

    info: DatabaseInfo
    folder: Path
    files: Mapping[str, tuple[int, str]]


class Databases:
    """The databases of one run. While the object lives, no other process removes their files. Thread-safe when open."""

    def __init__(self, store: Layout, folder: Path, artifacts: Sequence[DatabaseArtifact], progress: Progress) -> None:
        self._store, self._folder, self._artifacts, self._progress = store, folder, artifacts, progress
        self._kept = dict[Digest, UnpackedDatabase]()
        self._checked = set[Digest]()
        self._locks = list[int]()
        weakref.finalize(self, _close, self._locks)

    @classmethod
    def open(cls, store: Layout, wanted: Mapping[str, str], folder: Path, progress: Progress = Silent()) -> Databases:  # noqa: B008  (it has no state)
        """Finds databases in a store by their names, and unpacks into `folder` those that are not there yet.

        `wanted` has the name of an item for each name of a `DatabaseType`. `folder` belongs to this class alone: it is
        closed to other accounts, and what nobody names any more is removed from it. Raises `InputError`
        (`database-missing`), `IntegrityError` (`database-schema`; damage), `StoreError` (`disk-full`, `folder-open`).
        """
        artifacts = [_find(store, kind, wanted[kind.name]) for kind in DATABASE_TYPES if kind.name in wanted]
        made = cls(store, folder, artifacts, progress)
        make_private(folder)
        with locked(folder / _LOCK):
            for artifact in artifacts:
                made._hold(artifact)
                made._kept[artifact.digest] = made._sealed(artifact) or made._unpack(artifact)
            made._clean()
        return made

    @property
    def infos(self) -> tuple[DatabaseInfo, ...]:
        """What each says about itself."""
        return tuple(self._kept[one.digest].info for one in self._artifacts)

    @property
    def records(self) -> tuple[Database, ...]:
        """How a `ScannerIdentity` names them, sorted by name."""
        return tuple(sorted((one.record for one in self.infos), key=lambda one: one.name))

    def ready(self) -> tuple[UnpackedDatabase, ...]:
        """The databases, with every file hashed since this object was made; a changed one is unpacked again.

        Call it before a scanner is started, and not where only dates are asked: it reads all files. Raises like `open`.
        """
        with locked(self._folder / _LOCK):
            for artifact in self._artifacts:
                kept = self._kept[artifact.digest]
                if artifact.digest not in self._checked and not _intact(kept):
                    self._progress.note(f"{artifact.type.name}: the unpacked files were changed: unpacking them again")
                    kept = self._unpack(artifact)
                    self._kept[artifact.digest] = kept
                self._checked.add(artifact.digest)
        return tuple(self._kept[one.digest] for one in self._artifacts)

    def link_into(self, cache: Path) -> None:
        """Makes `cache`, a new folder, a cache folder of Trivy that has the databases. Raises like `ready`.

        Every file is a link, and every folder is one: Trivy does not look for checks behind a link to a folder.
        """
        for one in self.ready():
            place, folder = cache / one.info.type.place, one.folder.absolute()
            with disk_errors(place):
                for path in one.files:
                    (place / path).parent.mkdir(parents=True, exist_ok=True)
                    (place / path).symlink_to(folder / path)

    # The files of one database are FOLDER/<hex of the artifact>/, its seal FOLDER/<hex>.json; FOLDER/<hex>.lock is
    # locked by everybody who uses it. All of it changes only under FOLDER/.lock.

    def _hold(self, artifact: DatabaseArtifact) -> None:
        path = self._folder / f"{artifact.digest.hex}.lock"
        with disk_errors(path):
            fd = open_lock(path)
            self._locks.append(fd)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(fd, fcntl.LOCK_SH)

    def _seal(self, digest: Digest) -> Path:
        return self._folder / f"{digest.hex}.json"

    def _sealed(self, artifact: DatabaseArtifact) -> UnpackedDatabase | None:
        """A database that was unpacked before, as far as a glance shows; `None` if it is not there, or not whole."""
        folder = self._folder / artifact.digest.hex
        try:
            said = decode_json(read_plain(self._seal(artifact.digest), MAX_SEAL) or b"")
            files = {str(path): (int(size), str(digest)) for path, (size, digest) in said["files"].items()}
            metadata = b""
            if artifact.type.schema:
                metadata = read_plain(folder / METADATA, MAX_METADATA) or b""
                if Digest.of(metadata).hex != files[METADATA][1]:
                    return None
            if any((folder / path).stat().st_size != size for path, (size, _) in files.items()):
                return None
            return UnpackedDatabase(info_of(artifact, metadata), folder, files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IntegrityError):
            return None

    def _unpack(self, artifact: DatabaseArtifact) -> UnpackedDatabase:
        """Makes the folder of a database anew. It appears whole, and is sealed last."""
        digest = artifact.digest
        folder, partial = self._folder / digest.hex, self._folder / f".{digest.hex}.partial"
        _remove(partial)
        check_free(self._folder, unpacked_size(artifact, self._store), f"{artifact.type.name}, unpacked,")
        files = dict[str, tuple[int, str]]()
        self._progress.start("unpack", artifact.layer.size, 1)
        self._progress.item(artifact.type.name)
        try:
            with disk_errors(partial):
                partial.mkdir(0o700)
            info = read_files(artifact, self._store, FileWriter(partial, files).take)
        except BaseException as error:
            _remove(partial)
            if isinstance(error, DamageError | NotFoundError):
                raise error.with_hint(_PULL_AGAIN) from error
            raise
        with disk_errors(folder):
            self._seal(digest).unlink(missing_ok=True)
            _remove(folder)
            _set_modes(partial)
            partial.rename(folder)
        write_durably(self._seal(digest), json.dumps({"files": files}).encode(), 0o600)
        self._progress.advance(artifact.layer.size)
        self._progress.done(artifact.type.name, "written")
        self._checked.add(digest)
        return UnpackedDatabase(info, folder, files)

    def _clean(self) -> None:
        """Removes what is in the folder and not of these databases, unless another process uses it."""
        mine = {one.digest.hex for one in self._artifacts}
        with disk_errors(self._folder):
            found = {name.lstrip(".").partition(".")[0] for name in os.listdir(self._folder) if name != _LOCK}
        for stem in found - mine:
            lock = self._folder / f"{stem}.lock"
            with disk_errors(lock):
                fd = open_lock(lock)
                try:
                    if not try_lock(fd):
                        continue
                    (self._folder / f"{stem}.json").unlink(missing_ok=True)
                    _remove(self._folder / stem)
                    _remove(self._folder / f".{stem}.partial")
                    lock.unlink(missing_ok=True)
                finally:
                    os.close(fd)


def _close(locks: Sequence[int]) -> None:
    for fd in locks:
        os.close(fd)


def _find(store: Layout, kind: DatabaseType, name: str) -> DatabaseArtifact:
    root = store.find(name)
    if root is None:
        raise InputError(
            "database-missing",
            f"{store.path}: there is no {name!r}, which the Station resource names as its {kind.name}",
            f"add it to the request's `images:`, then lock and pull it; `airgap ls {store.path}` lists what is there",
        )
    found = artifact_of(read_node(store, root))
    if found is None or found.type != kind:
        is_what = f"a {found.type.name}" if found else "no database of a scanner"
        raise InputError(
            "database-missing",
            f"{store.path}: {name!r} is {is_what}, but the Station resource names it as its {kind.name}",
            "correct the name in the Station resource",
        )
    return found


def _intact(one: UnpackedDatabase) -> bool:
    """True if the folder holds exactly the files of its seal. Reads all of them."""
    try:
        found = {
            str(Path(top, name).relative_to(one.folder)) for top, _, names in os.walk(one.folder) for name in names
        }
        if found != one.files.keys():
            return False
        for path, (size, wanted) in one.files.items():
            fd, there = open_plain(one.folder / path)
            with os.fdopen(fd, "rb") as file:
                if there != size or hash_stream(file)[0].hex != wanted:
                    return False
    except OSError:
        return False
    return True


def _set_modes(folder: Path) -> None:
    for top, _, names in os.walk(folder):
        for name in names:
            os.chmod(os.path.join(top, name), 0o400)
        os.chmod(top, 0o500)


def _remove(path: Path) -> None:
    """Removes a folder in which nobody may write, or a file. Raises `StoreError`."""
    with disk_errors(path):
        if not os.path.lexists(path):
            return
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        for top, _, _ in os.walk(path):
            os.chmod(top, 0o700)
        shutil.rmtree(path)
