"""Reading a delivery in place, from one folder or several: nothing is unpacked, nothing is written to media."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from airgap.delivery.index import (
    EVIDENCE_NAME,
    INDEX_NAME,
    MAX_INDEX,
    MAX_SIGNATURE,
    MAX_SIGNATURES,
    SIGNATURES,
    Contents,
    Extent,
)
from airgap.digest import CHUNK, Digest
from airgap.errors import InputError, IntegrityError, NotFoundError
from airgap.graph import Descriptor
from airgap.store.files import disk_errors


@dataclass(frozen=True, slots=True)
class Media:
    """The small files of a delivery as they lie there, unparsed and unbelieved; all folders that hold some of it."""

    folders: tuple[Path, ...]
    index_bytes: bytes
    signatures: Mapping[str, bytes]
    """File name → bytes, from every folder."""

    @property
    def digest(self) -> Digest:
        """Of AIRGAP.json: the name of this delivery."""
        return Digest.of(self.index_bytes)


def open_media(folders: Sequence[Path]) -> Media:
    """Finds AIRGAP.json and the signatures in `folders`; reads nothing else.

    Raises `InputError` (`no-delivery`, `other-delivery`), `IntegrityError` for files over their limits.
    """
    found: dict[bytes, Path] = {}
    signatures: dict[str, bytes] = {}
    for folder in folders:
        path = folder / INDEX_NAME
        if path.is_file():
            found.setdefault(_read(path, MAX_INDEX), folder)
        signed = folder / SIGNATURES
        if signed.is_dir():
            _signatures(signed, signatures)
    if not found:
        names = ", ".join(str(folder) for folder in folders)
        raise InputError(
            "no-delivery",
            f"{names}: no {INDEX_NAME} there",
            "name the folder that holds it, and besides it those that hold the other volumes",
        )
    if len(found) > 1:
        names = " and ".join(str(folder) for folder in found.values())
        raise InputError(
            "other-delivery",
            f"{names} hold different deliveries",
            "import them one after the other",
        )
    return Media(tuple(folders), next(iter(found)), signatures)


def _signatures(folder: Path, into: dict[str, bytes]) -> None:
    with disk_errors(folder):
        names = sorted(entry.name for entry in folder.iterdir())
    for name in names:
        if len(into) >= MAX_SIGNATURES:
            raise IntegrityError(
                "too-many-signatures", f"{folder}: more than {MAX_SIGNATURES} signatures"
            )
        data = _read(folder / name, MAX_SIGNATURE)
        # The same file on two disks is one signature; two different ones of one name both count.
        key = name if into.get(name, data) == data else f"{name} ({folder})"
        into[key] = data


def _read(path: Path, limit: int) -> bytes:
    with disk_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            data = file.read(limit + 1)
    if len(data) > limit:
        raise IntegrityError("too-large", f"{path}: more than {limit} bytes")
    return data


@dataclass(slots=True)
class Volumes:
    """A `Source` over the volumes: blobs by `pread`, wherever their extents are."""

    contents: Contents
    folders: tuple[Path, ...]
    _fds: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def missing(self) -> list[str]:
        """Names of volumes that no folder holds with their full size."""
        return [v.name for n, v in enumerate(self.contents.volumes, 1) if self._find(n) is None]

    def _find(self, number: int) -> Path | None:
        volume = self.contents.volumes[number - 1]
        for folder in self.folders:
            path = folder / volume.name
            try:
                if not path.is_symlink() and path.stat().st_size == volume.size:
                    return path
            except OSError:
                continue
        return None

    def has(self, descriptor: Descriptor) -> bool:
        """True when every volume that holds a part of the blob is there."""
        extents = self.contents.blobs.get(descriptor.digest, ())
        return bool(extents) and all(self._find(extent.volume) for extent in extents)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob from `offset` on. Raises `NotFoundError` naming the volume that is not there."""
        extents = self.contents.blobs.get(descriptor.digest)
        if extents is None:
            raise NotFoundError("not-in-delivery", f"{descriptor.digest} is not in this delivery")
        pieces = []
        for extent in extents:
            if offset < extent.length:
                pieces.append((self._fd(extent), extent.offset + offset, extent.length - offset))
            offset = max(0, offset - extent.length)
        return io.BufferedReader(_Extents(pieces), CHUNK) if len(pieces) > 1 else _Extents(pieces)  # type: ignore[return-value]

    def _fd(self, extent: Extent) -> int:
        with self._lock:
            if extent.volume not in self._fds:
                path = self._find(extent.volume)
                if path is None:
                    name = self.contents.volumes[extent.volume - 1].name
                    raise NotFoundError(
                        "volume-missing",
                        f"{name} is in none of the folders, or has not its full size",
                        "insert the disk that holds it and name its folder as well",
                    )
                with disk_errors(path):
                    self._fds[extent.volume] = os.open(
                        path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                    )
            return self._fds[extent.volume]

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Items and their roots; the media type is not in the index, so it is left empty."""
        return [
            (root.item, Descriptor("", root.digest, self.contents.size(root.digest)))
            for root in self.contents.roots
        ]

    def close(self) -> None:
        """Lets the media go, so that they can be unmounted."""
        with self._lock:
            for fd in self._fds.values():
                os.close(fd)
            self._fds.clear()


class _Extents(io.RawIOBase):
    """Pieces of files, one after the other. Owns no file descriptor."""

    def __init__(self, pieces: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self._pieces = pieces

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while self._pieces:
            fd, offset, left = self._pieces[0]
            if not left:
                self._pieces.pop(0)
                continue
            with disk_errors("medium"):
                count = os.preadv(fd, [memoryview(buffer)[:left]], offset)
            if not count:
                raise IntegrityError(
                    "truncated",
                    f"a volume ends {left} bytes too early",
                    "run `airgap verify` on it",
                )
            self._pieces[0] = (fd, offset + count, left - count)
            return count
        return 0


def hash_file(path: Path) -> tuple[str, int]:
    """sha256 in hex and size in bytes of a whole file, read once in 1 MiB pieces. Raises `StoreError`."""
    hasher, size = hashlib.sha256(), 0
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with disk_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(view[:count])
                size += count
    return hasher.hexdigest(), size


def read_evidence(media: Media, sha256: str, size: int) -> bytes:
    """The bytes of evidence.tar, checked against the signed index. Raises `IntegrityError`, `NotFoundError`."""
    problem = None
    for folder in media.folders:
        path = folder / EVIDENCE_NAME
        if not path.is_file():
            continue
        data = _read(path, size)
        if len(data) == size and hashlib.sha256(data).hexdigest() == sha256:
            return data
        problem = path
    if problem is not None:
        raise IntegrityError(
            "damaged-file",
            f"{problem}: differs from what {INDEX_NAME} says (sha256 {sha256}, {size} bytes)",
            "copy it again from the original medium",
        )
    raise NotFoundError(
        "file-missing",
        f"{EVIDENCE_NAME} is in none of the folders",
        "name the folder that holds it",
    )
