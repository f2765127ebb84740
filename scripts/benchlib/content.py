"""Makes a shape's images on the disk: layers that look like real ones to every tool, and do not compress."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.content.graph import OCI_CONFIG, OCI_MANIFEST, Descriptor
from airgap.store.layout import Layout
from benchlib.shapes import Shape

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
HEADER = bytes.fromhex("1f8b08000000000000ff")
BLOCK = 65_535
"""Bytes of a stored deflate block, the largest that there are (RFC 1951, 3.2.4)."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its name with a tag, its manifest, and the blobs of it, config first."""

    name: str
    manifest: Descriptor
    blobs: tuple[Descriptor, ...]

    @property
    def repository(self) -> str:
        """The name without the tag."""
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Content:
    """What a shape is on the disk: a layout without a signature or a lock."""

    layout: Layout
    images: tuple[Image, ...]
    layers: tuple[Path, ...]
    """The files of the layers that differ: what the yardsticks copy and push."""
    bytes: int

    def places(self) -> list[tuple[str, Path]]:
        """Each layer once, with the repository of the first image that has it."""
        found: dict[Path, str] = {}
        for image in self.images:
            for blob in image.blobs[1:]:
                found.setdefault(self.layout.blob_path(blob.digest), image.repository)
        return [(repository, path) for path, repository in found.items()]


def make(shape: Shape, folder: Path) -> Content:
    """Random content of a shape in a new layout at `folder`.

    Layers are gzip files of stored blocks: skopeo compresses what is not, and would be measured at that.
    """
    layout = Layout(folder, create=True)
    made = [_layer(layout, shape.size) for _ in range(shape.blobs)]
    common, own = made[: shape.shared], iter(made[shape.shared :])
    images = []
    for number in range(shape.images):
        layers = common + [next(own) for _ in range(shape.layers - shape.shared)]
        images.append(_image(layout, number, layers))
    paths = tuple(layout.blob_path(blob.digest) for blob, _ in made)
    return Content(layout, tuple(images), paths, sum(blob.size for blob, _ in made))


def _layer(layout: Layout, size: int) -> tuple[Descriptor, Digest]:
    """A layer of about `size` bytes, with the digest of what it unpacks to."""
    whole, plain = hashlib.sha256(), hashlib.sha256()
    path = layout.path / "new-layer"
    with path.open("wb") as file:
        for piece in _gzip(size, plain):
            whole.update(piece)
            file.write(piece)
        length = file.tell()
    blob = Descriptor(LAYER, Digest.from_hash(whole), length)
    path.replace(layout.blob_path(blob.digest))
    return blob, Digest.from_hash(plain)


def _gzip(size: int, plain: hashlib._Hash) -> Iterator[bytes]:
    """Random bytes as a gzip file. Source: RFC 1952; RFC 1951, 3.2.4."""
    checksum, left = 0, size
    yield HEADER
    while left:
        data = os.urandom(min(BLOCK, left))
        left -= len(data)
        plain.update(data)
        checksum = zlib.crc32(data, checksum)
        yield struct.pack("<BHH", 0 if left else 1, len(data), len(data) ^ 0xFFFF) + data
    yield struct.pack("<II", checksum, size & 0xFFFF_FFFF)


def _image(layout: Layout, number: int, layers: list[tuple[Descriptor, Digest]]) -> Image:
    config = canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"number": str(number)}},
            "rootfs": {"type": "layers", "diff_ids": [str(plain) for _, plain in layers]},
        }
    )
    blobs = (_put(layout, OCI_CONFIG, config), *(blob for blob, _ in layers))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": blobs[0].as_dict(),
        "layers": [blob.as_dict() for blob in blobs[1:]],
    }
    return Image(f"app{number}:v1", _put(layout, OCI_MANIFEST, canonical(document)), blobs)


def _put(layout: Layout, media_type: str, data: bytes) -> Descriptor:
    descriptor = Descriptor.of(media_type, data)
    layout.put(descriptor, lambda offset: cast("BinaryIO", io.BytesIO(data[offset:])))
    return descriptor
