"""What kinds say to scanners: the files of a tree, the manifests of a graph, and what nobody can look into."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, cast

from airgap.base.streams import with_head
from airgap.base.text import one_line
from airgap.base.unpack import HEAD, packed_as
from airgap.content.forms import Tree
from airgap.content.graph import ANNOTATION_TITLE, Descriptor, Node, Source, by_platform, walk
from airgap.content.item import Item
from airgap.content.platforms import CONFIG_TYPES
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_subject import ScanSubject, SubjectFile, SubjectForm, covered
from airgap.content.verified import verified

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LAYER = re.compile(
    r"application/vnd\.(oci\.image\.layer\.(nondistributable\.)?v1\.tar([+.](gzip|zstd))?"
    r"|docker\.image\.rootfs\.(diff|foreign\.diff)\.tar([+.](gzip|zstd))?)\Z"
)
"""The media types of layers that container engines unpack."""
MAX_SHOWN = 1000
"""Characters of a text that a finding of a kind shows."""
_SKIP = 1 << 20
"""Bytes that are skipped at once."""
_READABLE = frozenset(
    {
        "application/vnd.in-toto+json",
        "application/vnd.dsse.envelope.v1+json",
        "application/vnd.dev.cosign.simplesigning.v1+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.cyclonedx+json",
        "application/spdx+json",
        "text/spdx+json",
        "text/plain",
    }
)
"""Layers that are texts, if their bytes are: whoever reads them has read everything. BuildKit puts attestations in an
index."""


def tree_subject(item: Item, tree: Tree) -> ScanSubject:
    """The files of an item that arrives as a tree."""
    layers = tree.entries.values()
    return ScanSubject(
        digest=tree.root.digest,
        kind=item.kind,
        form=SubjectForm.FILES,
        title=item.name,
        source=tree.source,
        node=tree.root,
        size=sum({layer.digest: layer.size for layer in layers}.values()),
        files=lambda: (blob_file(tree.source, path, layer) for path, layer in tree.entries.items()),
    )


def graph_subjects(item: Item, root: Descriptor, source: Source) -> Iterator[ScanSubject]:
    """Each manifest of a graph that is carried: an image, or another artifact, whose layers are read as files.

    Raises any error of reading manifests.
    """
    nodes = [found for found in walk(source, root, by_platform(item.platforms)) if isinstance(found, Node)]
    manifests = [node for node in nodes if not node.descriptor.is_index]
    platforms = {child.digest: child.platform for node in nodes if node.descriptor.is_index for child in node.children}
    for node in manifests:
        several = len(manifests) > 1
        platform = platforms.get(node.descriptor.digest, "") or node.descriptor.digest.hex[:12]
        title = f"{item.name} ({platform})" if several else item.name
        yield manifest_subject(item, node, source, title)


def manifest_subject(item: Item, node: Node, source: Source, title: str) -> ScanSubject:
    """One manifest: an image, or the layers of another artifact as files."""
    layers = node.children[1:]
    config = node.config.media_type if node.config else ""
    image = config in CONFIG_TYPES and all(_LAYER.match(layer.media_type) for layer in layers)
    readable = all(layer.media_type in _READABLE for layer in layers)
    return ScanSubject(
        digest=node.descriptor.digest,
        kind=item.kind,
        form=SubjectForm.IMAGE if image else SubjectForm.FILES,
        title=title,
        source=source,
        node=node.descriptor,
        size=sum({child.digest: child.size for child in node.children}.values()),
        files=None if image else partial(_layer_files, node, source),
        coverage=covered if image else partial(_texts if readable else _artifact, node, source),
    )


def _layer_files(node: Node, source: Source) -> Iterator[SubjectFile]:
    paths = Paths()
    for number, layer in enumerate(node.children):
        said = layer.annotations.get(ANNOTATION_TITLE, "") if number else "config"
        yield blob_file(source, paths.plain(said or layer.digest.hex), layer)


def _texts(node: Node, source: Source) -> Iterator[ScanFinding]:
    """Nothing, if each blob is a text: there are engines that unpack a layer of any type into a container."""
    for blob in node.children:
        with verified(source.open(blob), blob) as stream:
            head, whole = with_head(stream, HEAD)
            text = not packed_as(head)
            while piece := whole.read(_SKIP):
                text = text and b"\0" not in piece
        if not text:
            yield not_read("artifact", f"{blob.digest} has the type {blob.media_type}, and is no text")


def _artifact(node: Node, _source: Source) -> Iterator[ScanFinding]:
    yield not_read(
        "artifact",
        f"this artifact is no image: its layers were read as plain files (type {node.artifact_type or 'unknown'})",
    )


def not_read(name: str, title: str, path: str = "") -> ScanFinding:
    """The finding that something could not be looked into."""
    kept = [one_line(text)[:MAX_SHOWN] for text in (title, path)]
    return ScanFinding(FindingKind.COVERAGE, name, Severity.UNKNOWN, title=kept[0], path=kept[1])


def blob_file(source: Source, path: str, blob: Descriptor) -> SubjectFile:
    """A blob of the store as a file."""
    return SubjectFile(path, blob.size, lambda: verified(source.open(blob), blob), blob.digest)


class Paths:
    """Makes names of strangers plain relative paths, each of them once."""

    def __init__(self) -> None:
        self._files = set[str]()
        self._folders = set[str]()

    def plain(self, name: str) -> str:
        """The path for a name: without parts that leave the tree, and with a number where it was given before.

        No path goes through another, so that all can be written below one folder.
        """
        parts = ["__" if part == ".." else part for part in name.split("/") if part not in ("", ".")] or ["unnamed"]
        if self._files.intersection(_parents(parts)):
            parts = ["~".join(parts)]
        made = "/".join(parts)
        path, number = made, 1
        while path in self._files or path in self._folders:
            number += 1
            path = f"{made}~{number}"
        self._files.add(path)
        self._folders.update(_parents(parts))
        return path


def _parents(parts: list[str]) -> Iterator[str]:
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


class StreamPiece(io.RawIOBase):
    """The next `size` bytes of a stream that goes on after them. Reading more, or after `close`, gives nothing."""

    def __init__(self, read: Callable[[int], bytes], size: int) -> None:
        super().__init__()
        self._read, self._left = read, size

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Reads once into `buffer`; returns the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._read(min(len(view), self._left))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def end(self) -> None:
        """Reads what is left, so that the stream is after the piece: a file was not read to its end, or not at all."""
        while self._left and (data := self._read(min(self._left, _SKIP))):
            self._left -= len(data)
        self._left = 0


def piece(read: Callable[[int], bytes], size: int) -> tuple[StreamPiece, Callable[[], BinaryIO]]:
    """A piece of a stream, and what opens it for a reader."""
    made = StreamPiece(read, size)
    return made, lambda: cast("BinaryIO", _Kept(made))


class _Kept(io.RawIOBase):
    """A reader of a piece: closing it does not close the piece, whose rest is still to be read."""

    def __init__(self, inner: StreamPiece) -> None:
        super().__init__()
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._inner.readinto(buffer)
