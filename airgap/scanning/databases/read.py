"""Reads the artifact of a database from a store: which it is, of what date, and the files in it. All of it bounded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import IntegrityError
from airgap.base.gunzip import BadGzipError, Gunzip
from airgap.base.streams import read_limited
from airgap.base.strict_json import parse_json
from airgap.base.times import utc_text
from airgap.base.untar import BadTarError, TarEntry, TarReader
from airgap.content.graph import Descriptor, Node, Source
from airgap.content.scan_result import Database
from airgap.content.scanner_database import (
    METADATA,
    DatabaseType,
    created,
    database_layer,
    database_type,
    said_time,
    said_version,
)
from airgap.content.verified import verified

MAX_UNPACKED = 16 << 30
"""Bytes of a database: in 2026, that of Java archives has 1.5 GB."""
MAX_ENTRIES = 100_000
"""Files of a database: the checks are some 2,000."""
MAX_METADATA = 64 << 10
MAX_PATH = 1024
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class DatabaseArtifact:
    """The artifact of a database: nothing but its manifest was read."""

    type: DatabaseType
    node: Node
    layer: Descriptor

    @property
    def digest(self) -> Digest:
        """Of the manifest."""
        return self.node.descriptor.digest


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """What a database says about itself."""

    type: DatabaseType
    digest: Digest
    updated: datetime
    """When its maker made it."""
    next_update: datetime | None = None
    """When its maker makes the next one; `None` if it does not say."""
    version: str = ""
    """The version of its format, or of its release."""

    @property
    def record(self) -> Database:
        """As results and verdicts name it."""
        return Database(self.type.name, self.digest, self.updated)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; empty fields are left out."""
        made = {
            "name": self.type.name,
            "digest": str(self.digest),
            "updated": utc_text(self.updated),
            "nextUpdate": utc_text(self.next_update) if self.next_update else "",
            "version": self.version,
        }
        return {name: value for name, value in made.items() if value}


def artifact_of(node: Node) -> DatabaseArtifact | None:
    """The artifact with this manifest; `None` if it is no database."""
    found, layer = database_type(node), database_layer(node)
    return DatabaseArtifact(found, node, layer) if found is not None and layer is not None else None


Taker = Callable[[str, int, Iterator[bytes]], None]
"""Takes one file: its path, its size, and its pieces."""


def read_files(artifact: DatabaseArtifact, source: Source, take: Taker) -> DatabaseInfo:
    """Reads every file of a database in one pass, and gives what it says about itself.

    The layer is verified on the way: only after the return, the files are those of the digest. Every entry is a plain
    file or a folder below the archive's top, and no path comes twice. Raises `IntegrityError` (`database-schema` for an
    artifact that is not what its media type says; damage), and what the source raises.
    """
    paths, folders = set[str](), set[str]()
    metadata = b""
    with _unpacked(artifact, source) as tar:
        for entry in tar:
            path = _path(entry)
            if entry.type == "folder":
                continue
            above = {"/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1)}
            if entry.type != "file" or not path or path in paths or path in folders or above & paths:
                raise refuse(artifact, f"it has {entry.name[:80]!r}, expected plain files below one folder, each once")
            paths.add(path)
            folders |= above
            if path == METADATA and artifact.type.schema:
                if entry.size > MAX_METADATA:
                    raise refuse(artifact, f"{METADATA} has {entry.size} bytes, expected at most {MAX_METADATA}")
                metadata = tar.read(entry.size)
                take(path, entry.size, iter((metadata,)))
            else:
                take(path, entry.size, _pieces(tar))
    missing = [path for path in artifact.type.files if path not in paths]
    if missing or not paths:
        raise refuse(artifact, f"{', '.join(missing) or 'every file'} is missing")
    return info_of(artifact, metadata)


@dataclass(frozen=True, slots=True)
class FileWriter:
    """Writes the files of a database below `folder`, which nobody else uses; without one, it only hashes them."""

    folder: Path | None
    files: dict[str, tuple[int, str]]
    """Gets size and sha256 (hex) of each, by its path."""

    def take(self, path: str, size: int, pieces: Iterator[bytes]) -> None:
        """A `Taker`. Raises `StoreError`."""
        hasher = sha256()
        with self._opened(path) as fd:
            for piece in pieces:
                hasher.update(piece)
                if fd is not None:
                    with disk_errors(path):
                        _write(fd, piece)
        self.files[path] = (size, hasher.hexdigest())

    @contextmanager
    def _opened(self, path: str) -> Iterator[int | None]:
        if self.folder is None:
            yield None
            return
        target = self.folder / path
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            yield fd
        finally:
            os.close(fd)


def read_info(artifact: DatabaseArtifact, source: Source) -> DatabaseInfo:
    """What a database says about itself. Unpacks all of it, some 300 MB a second, and keeps nothing."""
    if not artifact.type.schema:
        return info_of(artifact, b"")
    return read_files(artifact, source, lambda _path, _size, pieces: _drain(pieces))


def unpacked_size(artifact: DatabaseArtifact, source: Source) -> int:
    """What a gzip file says of its unpacked size, in its last four bytes; the layer's own size, if that is more.

    It is a claim, and wrong above 4 GiB. It only says early what the disk would say later.
    """
    if artifact.layer.size < 4:
        return artifact.layer.size
    with source.open(artifact.layer, artifact.layer.size - 4) as stream:
        return max(int.from_bytes(read_limited(stream, 4), "little"), artifact.layer.size)


def refuse(artifact: DatabaseArtifact, what: str) -> IntegrityError:
    """The error for an artifact that is no database which Trivy can read."""
    return IntegrityError(
        "database-schema",
        f"{artifact.type.name} {artifact.digest}: {what}",
        "lock and pull a database that fits the scanner: a tag such as trivy-db:2 names the version of the format",
    )


@contextmanager
def _unpacked(artifact: DatabaseArtifact, source: Source) -> Iterator[TarReader]:
    """The archive in the layer. At the end, all of the layer was read and is verified."""
    with verified(source.open(artifact.layer), artifact.layer) as stream:
        try:
            plain = cast("BinaryIO", Gunzip(stream, MAX_UNPACKED))
            yield TarReader(plain, entries=MAX_ENTRIES, total=MAX_UNPACKED)
            _drain(iter(lambda: plain.read(_PIECE), b""))
        except (BadTarError, BadGzipError) as error:
            # Damage is the cause that counts, and shows at the end of the layer.
            _drain(iter(lambda: stream.read(_PIECE), b""))
            raise refuse(artifact, f"its layer is not a tar.gz within the limits: {error}") from error


def _write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def _pieces(tar: TarReader) -> Iterator[bytes]:
    while piece := tar.read(_PIECE):
        yield piece


def _drain(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


def _path(entry: TarEntry) -> str:
    """The path below the archive's top, `""` if it is none."""
    parts = entry.name.rstrip("/").split("/")
    if parts[0] == ".":
        parts = parts[1:]
    good = all(part not in ("", ".", "..") and part.isprintable() and "\\" not in part for part in parts)
    return "/".join(parts) if good and len(entry.name) <= MAX_PATH else ""


def info_of(artifact: DatabaseArtifact, metadata: bytes) -> DatabaseInfo:
    """What a database says about itself: in `metadata`, the bytes of its file; where it has none, in the manifest.

    Raises `IntegrityError` (`database-schema`).
    """
    kind, digest = artifact.type, artifact.digest
    if not kind.schema:
        when = created(artifact.node)
        if when is None:
            raise refuse(artifact, "its manifest does not say when it was created; `oras push` writes that")
        return DatabaseInfo(kind, digest, when, None, said_version(artifact.node))
    said = parse_json(metadata, METADATA, lambda what: refuse(artifact, what))
    fields = said if isinstance(said, dict) else {}
    version, updated = fields.get("Version"), said_time(fields.get("UpdatedAt"))
    if type(version) is not int or version != kind.schema:
        raise refuse(artifact, f"{METADATA}: Version: got {version!r:.40}, expected {kind.schema}")
    if updated is None:
        raise refuse(artifact, f"{METADATA}: UpdatedAt: got {fields.get('UpdatedAt')!r:.60}, expected a time")
    return DatabaseInfo(kind, digest, updated, said_time(fields.get("NextUpdate")), str(version))
