"""An OCI layout in a tar file (`oci-archive:`), read in place. A compressed archive is unpacked to a spool first.

Source: OCI image-spec v1.1.1, image-layout.md. The tar form is the one that skopeo, buildah and podman write.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import check_free, disk_error, disk_errors
from airgap.base.errors import InputError, IntegrityError, NotFoundError, TooLargeError, WrongItemError
from airgap.base.inputs import open_plain
from airgap.base.strict_json import parse_json
from airgap.base.untar import BadTarError, TarReader
from airgap.content.graph import ANNOTATION_REF_NAME, MAX_NODE, Descriptor, descriptor_from

MAX_MEMBERS = 200_000
"""Headers of an archive, because many empty ones would fill memory. A large delivery has a hundred thousand blobs."""
MAX_SPOOL = 1 << 40
"""Bytes to which a compressed archive may unpack."""
MAX_RATIO = 100
"""How many times its own bytes an archive may unpack to, besides `UNSUSPECTED`: layers are compressed already, or as
compressible as programs are. Gzip can hold a thousand times as many zeros."""
UNSUSPECTED = 1 << 30
"""Bytes to which any archive may unpack."""

_BLOB = re.compile(r"(?:\./)?blobs/sha256/([0-9a-f]{64})\Z")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Archive:
    """A `Source` over a tar file. Raises `InputError` if it is not an OCI archive, `StoreError` for disk errors."""

    def __init__(self, path: Path, spool: Path | None = None) -> None:
        self.path = path
        self._blobs: dict[Digest, tuple[int, int]] = {}
        self._roots: list[Descriptor] = []
        try:
            self._file: BinaryIO = os.fdopen(open_plain(path, follow=True)[0], "rb")
        except OSError as error:
            raise WrongItemError(
                "no-archive", f"{path}: {error.strerror}", "check the path after `oci-archive:`"
            ) from error
        try:
            self._file = _plain(self._file, path, spool)
            self._scan()
        except BadTarError as error:
            self.close()
            raise WrongItemError("bad-archive", f"{path}: not a tar archive: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file, and with it the unpacked copy."""
        self._file.close()

    def _scan(self) -> None:
        index = None
        size = os.fstat(self._file.fileno()).st_size
        for member in TarReader(self._file, entries=MAX_MEMBERS, total=size, seek=True):
            if member.type != "file":
                continue
            match = _BLOB.match(member.name)
            if match:
                self._blobs[Digest("sha256:" + match[1])] = (member.offset, member.size)
            elif member.name.removeprefix("./") == "index.json":
                index = (member.offset, member.size)
        if index is None:
            raise WrongItemError(
                "bad-archive",
                f"{self.path}: no index.json: not an OCI archive",
                "a `docker save` archive is not an OCI archive; `skopeo copy docker-archive:… oci-archive:…` "
                "converts it",
            )
        document = parse_json(self._read(*index), f"{self.path}: index.json")
        entries = document.get("manifests") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise IntegrityError("bad-index", f"{self.path}: index.json is not an image index")
        self._roots = [descriptor_from(entry, f"{self.path}: index.json") for entry in entries]

    def _read(self, offset: int, size: int) -> bytes:
        if size > MAX_NODE:
            raise TooLargeError("too-large", f"{self.path}: index.json has {size} bytes, expected at most {MAX_NODE}")
        return os.pread(self._file.fileno(), size, offset)

    def has(self, descriptor: Descriptor) -> bool:
        """True if the archive contains the blob with its size."""
        return self._blobs.get(descriptor.digest, (0, -1))[1] == descriptor.size

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob from `offset` on. Raises `NotFoundError`."""
        where = self._blobs.get(descriptor.digest)
        if where is None:
            raise NotFoundError("blob-missing", f"{self.path}: {descriptor.digest} is not in the archive")
        left = max(0, where[1] - offset)
        return cast("BinaryIO", Slice(self._file, where[0] + offset, left, self.path))

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Names and roots in the order of index.json."""
        return [(root.annotations.get(ANNOTATION_REF_NAME, ""), root) for root in self._roots]

    def entries(self) -> list[Descriptor]:
        """The descriptors of index.json."""
        return list(self._roots)

    def digests(self) -> list[Descriptor]:
        """Every blob in the archive, as a descriptor without a media type."""
        return [Descriptor("", digest, size) for digest, (_, size) in self._blobs.items()]


class Slice(io.RawIOBase):
    """A section of a file. Keeps a reference to the file object, so that its descriptor stays open while it is read."""

    def __init__(self, file: BinaryIO, offset: int, left: int, path: Path) -> None:
        super().__init__()
        self._file, self._offset, self._left, self._path = file, offset, left, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with disk_errors(self._path):
            count = os.preadv(self._file.fileno(), [memoryview(buffer)[: self._left]], self._offset)
        self._offset += count
        self._left -= count
        return count


def _plain(file: BinaryIO, path: Path, spool: Path | None) -> BinaryIO:
    """The file itself; for a compressed file, an unnamed unpacked copy in `spool`. Raises `StoreError`."""
    magic = file.read(4)
    file.seek(0)
    if magic[:2] == _GZIP:
        stream: BinaryIO = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
    elif magic == _ZSTD:
        try:
            import zstandard
        except ImportError as error:
            raise InputError(
                "missing-extra",
                f"{path}: reading .zst needs the Python package zstandard",
                "pip install 'airgap[zstd]'",
            ) from error
        stream = zstandard.ZstdDecompressor().stream_reader(file)
    else:
        return file
    copy = _unpacked(stream, path, spool)
    file.close()
    return copy


def _unpacked(stream: BinaryIO, path: Path, spool: Path | None) -> BinaryIO:
    # The unpacked size is known only at the end; it is at least the packed size.
    with disk_errors(path):
        packed = path.stat().st_size
    check_free(spool or Path(tempfile.gettempdir()), packed, f"{path}, unpacked,")
    try:
        copy: BinaryIO = tempfile.TemporaryFile(dir=spool)  # noqa: SIM115
    except OSError as error:
        raise disk_error(error, spool or path) from error
    most = min(MAX_SPOOL, UNSUSPECTED + MAX_RATIO * packed)
    hint = "if it is known to be that large, unpack it yourself, and name the unpacked file"
    try:
        total = 0
        while piece := _next(stream, path):
            total += len(piece)
            if total > most:
                raise IntegrityError("bad-archive", f"{path}: unpacks to more than {most} bytes", hint)
            with disk_errors(spool or path):
                copy.write(piece)
        with disk_errors(spool or path):
            copy.flush()
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


def _next(stream: BinaryIO, path: Path) -> bytes:
    try:
        return stream.read(CHUNK)
    except Exception as error:  # gzip, zlib and zstandard have five unrelated exception classes for this
        raise WrongItemError("bad-archive", f"{path}: cannot be unpacked: {error}") from error
