"""`Shelf`: where a destination keeps a signed record of this Sovereign, so that it outlives the state folder.

In a registry it is an OCI artifact under its own tag; in an embedded Sovereign it is a file. Nothing in it is trusted
here: the reader checks the signature. Shape: docs/format.md, "What destinations keep".
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.base.disk import disk_errors, make_folder, write_durably
from airgap.base.errors import IntegrityError, NotFoundError, UpstreamError
from airgap.base.inputs import NotPlainError, read_plain
from airgap.content.graph import (
    ANNOTATION_TITLE,
    EMPTY_BLOB,
    OCI_EMPTY,
    OCI_MANIFEST,
    Descriptor,
    Node,
    Opener,
    parse_node,
    read_verified,
)
from airgap.store.memory import Memory
from airgap.store.registry.repository import RegistryRepository

ARTIFACT_TYPE = "application/vnd.airgap.accepted.v1"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
FILE = "accepted.sigstore.json"
MAX_RECORD = 64 << 20
"""Largest record in bytes, the same limit as for every statement with many entries: some 190,000 deliveries."""
OWN = 12
"""Hex digits of its digest in the tag of a list that never moves."""
MAX_TAG = 128
"""Longest tag in characters (OCI distribution-spec v1.1.1, "Pulling manifests")."""


class Shelf(Protocol):
    """A place for one record."""

    @property
    def url(self) -> str:
        """The destination, as the Sovereign resource names it."""

    @property
    def where(self) -> str:
        """The exact location, for display."""

    def read(self) -> bytes | None:
        """Returns the record, or `None` if there is none.

        Raises `IntegrityError` (`bad-record`), `UpstreamError`, `StoreError`.
        """

    def write(self, data: bytes) -> None:
        """Replaces the record with `data` and reads it back. Raises the errors of `read`, and `UpstreamError`."""


def record_name(sovereign: str) -> str:
    """The name under which a Sovereign's list is kept: a valid tag, however long the Sovereign's name is."""
    name = f"accepted-{sovereign}"
    if len(name) <= MAX_TAG and re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        return name
    return f"accepted-{Digest.of(sovereign.encode()).hex}"


@dataclass(frozen=True, slots=True)
class RegistryShelf:
    """A record in a repository of a registry."""

    url: str
    repository: RegistryRepository
    tag: str

    @property
    def where(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"

    def read(self) -> bytes | None:
        """The layer of the artifact under the tag."""
        try:
            node = parse_node(*self.repository.manifest(self.tag))
        except NotFoundError:
            return None
        if not _is_list(node):
            raise self._bad(f"an artifact of type {node.artifact_type[:100]!r}, expected {ARTIFACT_TYPE}")
        try:
            return read_verified(self.repository, node.children[1], MAX_RECORD)
        except NotFoundError as error:
            raise self._bad("an artifact without a layer") from error

    def write(self, data: bytes) -> None:
        """Writes the blobs, then the manifest, then the tag. A registry does not detect two concurrent writers.

        Each list has a second tag, which never moves: a clean-up of what has no tag finds nothing, and the earlier
        lists stay. One that an earlier version wrote without it gets it now.
        """
        config = Descriptor.of(OCI_EMPTY, EMPTY_BLOB)
        layer = Descriptor.of(BUNDLE_TYPE, data)
        manifest = canonical(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": ARTIFACT_TYPE,
                "config": config.as_dict(),
                "layers": [{**layer.as_dict(), "annotations": {ANNOTATION_TITLE: FILE}}],
            }
        )
        root = Descriptor.of(OCI_MANIFEST, manifest)
        for descriptor, content in ((config, EMPTY_BLOB), (layer, data), (root, manifest)):
            self.repository.put(descriptor, _opener(content))
        source = Memory(self.where)
        source.add(OCI_MANIFEST, manifest)
        self.repository.publish({**self._before(), self._own_tag(root.digest): root, self.tag: root}, source)
        _check_kept(self, data)

    def is_list(self, name: str) -> bool:
        """True if a tag or digest in this repository is a list, whoever signed it: nothing that could be run."""
        try:
            return _is_list(parse_node(*self.repository.manifest(name)))
        except (NotFoundError, IntegrityError):
            return False

    def _before(self) -> dict[str, Descriptor]:
        """The list that will be replaced, under its own tag."""
        try:
            descriptor, data = self.repository.manifest(self.tag)
            if _is_list(parse_node(descriptor, data)):
                return {self._own_tag(descriptor.digest): descriptor}
        except (NotFoundError, IntegrityError):
            pass
        return {}

    def _own_tag(self, digest: Digest) -> str:
        suffix = f"-{digest.hex[:OWN]}"
        return self.tag[: MAX_TAG - len(suffix)] + suffix

    def _bad(self, what: str) -> IntegrityError:
        return IntegrityError("bad-record", f"{self.where}: {what}", "find out which client wrote it")


@dataclass(frozen=True, slots=True)
class FolderShelf:
    """A record in a file in the folder of an embedded Sovereign."""

    url: str
    path: Path

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    def read(self) -> bytes | None:
        """Reads the file. Anything but a plain file is an error."""
        with disk_errors(self.path):
            try:
                data = read_plain(self.path, MAX_RECORD)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except NotPlainError:
                data = None
        if data is None:
            what = f"not a file of at most {MAX_RECORD} bytes"
            raise IntegrityError("bad-record", f"{self.path}: {what}", "find out which program wrote it")
        return data

    def write(self, data: bytes) -> None:
        """Writes the file durably."""
        make_folder(self.path.parent)
        write_durably(self.path, data)
        _check_kept(self, data)


def _is_list(node: Node) -> bool:
    return node.artifact_type == ARTIFACT_TYPE and [one.media_type for one in node.children[1:]] == [BUNDLE_TYPE]


def _check_kept(shelf: Shelf, data: bytes) -> None:
    if shelf.read() != data:
        raise UpstreamError(
            "record-differs",
            f"{shelf.where}: other content was there right after the list of accepted deliveries was written",
            "another client writes the list: find out which one, then import again",
            side="destination",
        )


def _opener(data: bytes) -> Opener:
    return lambda offset: io.BytesIO(data[offset:])
