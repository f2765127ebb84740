"""A graph whose manifest is computed and whose leaves are files, each with its own opener."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from airgap.base.canonical import canonical
from airgap.base.digest import Digest, hash_stream
from airgap.base.disk import disk_errors
from airgap.base.errors import InputError, NotFoundError
from airgap.base.inputs import open_plain
from airgap.content.graph import OCI_MANIFEST, Descriptor, Opener
from airgap.store.memory import Memory


class Gathered:
    """A `Source`: nodes and config in memory, leaves by `openers`. Leaves are not verified: the reader must hash."""

    def __init__(self, memory: Memory, openers: Mapping[Digest, Opener]) -> None:
        self._memory, self._openers = memory, openers

    def has(self, descriptor: Descriptor) -> bool:
        """True for nodes, and for leaves that have an opener."""
        return self._memory.has(descriptor) or descriptor.digest in self._openers

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob from `offset` on. Raises any error of its opener."""
        if self._memory.has(descriptor):
            return self._memory.open(descriptor, offset)
        opener = self._openers.get(descriptor.digest)
        if opener is None:
            raise NotFoundError("blob-missing", f"no source has {descriptor.digest}")
        return opener(offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """The roots of the store in memory."""
        return self._memory.roots()


def artifact(artifact_type: str, config: tuple[str, bytes], layers: Sequence[Descriptor]) -> tuple[Memory, Descriptor]:
    """Builds an OCI artifact's manifest as canonical JSON; returns a store in memory (with the config) and the root.

    A pure function of its arguments. Source: OCI image-spec v1.1.1, manifest.md, "Guidelines for Artifact Usage".
    """
    memory = Memory(artifact_type)
    config_descriptor = memory.add(*config)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config_descriptor.as_dict(),
        "layers": [
            {**layer.as_dict(), "annotations": dict(layer.annotations)} if layer.annotations else layer.as_dict()
            for layer in layers
        ],
    }
    return memory, memory.add(OCI_MANIFEST, canonical(document))


def open_file(path: Path) -> Opener:
    """Opens a local file again for each offset. Does not follow a symbolic link. Raises `StoreError`."""

    def at(offset: int) -> BinaryIO:
        with disk_errors(path):
            file = os.fdopen(open_plain(path)[0], "rb", buffering=0)
            file.seek(offset)
        return file

    return at


def hash_local(path: Path) -> tuple[Digest, int]:
    """Digest and size of a regular file. Raises `InputError` (`not-a-file`) for a link, a folder or a missing file."""
    if path.is_symlink() or not path.is_file():
        raise InputError("not-a-file", f"{path}: not a plain file", "pass a file; airgap does not follow links")
    with open_file(path)(0) as stream:
        return hash_stream(stream)
