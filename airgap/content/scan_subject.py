"""`ScanSubject`: what a scanner is asked about. Kinds name those of their items; scanners take those they know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Source
from airgap.content.scan_finding import ScanFinding


class SubjectForm(StrEnum):
    """How the content of a subject is read."""

    IMAGE = "image"
    """An image manifest: scanners read its layers from the store."""
    FILES = "files"
    """A tree of files: an unpacked chart, the trees of Git refs, a model, a file, the layers of another artifact."""


@dataclass(frozen=True, slots=True)
class SubjectFile:
    """One file of a tree.

    `path` is relative, with `/`, has no part `.`, `..` or empty one, and occurs once in a tree. It may have any other
    character, and parts of any length: what is no UTF-8 is escaped.
    """

    path: str
    size: int
    open: Callable[[], BinaryIO]
    """Opens it to be read once, from its beginning, before the next file is taken; the caller closes it.

    The end is reached only if the bytes are those of the store (`DamageError`)."""
    digest: Digest | None = None
    """The blob, where the file is one of the store."""


def covered() -> Iterator[ScanFinding]:
    """The `coverage` of a subject in which everything can be read."""
    return iter(())


@dataclass(frozen=True, slots=True)
class ScanSubject:
    """One thing to scan. Results are kept by its digest: subjects with the same digest have the same content."""

    digest: Digest
    """The manifest of an image or a chart; for other kinds the root of the item's graph."""
    kind: str
    """The name of the kind of content: `image`, `chart`, `git`, `model`, `file`."""
    form: SubjectForm
    title: str
    """For people: the item's name, and its platform where there are several."""
    source: Source
    node: Descriptor
    """The manifest in `source`."""
    size: int
    """Bytes of its blobs in the store: how much there is to read, and about how much space is needed to unpack it."""
    files: Callable[[], Iterator[SubjectFile]] | None = None
    """The files of a tree, one pass for each call; `None` for an image. Several threads may call it at once.

    Raises `AirgapError` if it cannot be unpacked (`bad-chart`, `git-corrupt`, …): then it was not scanned."""
    coverage: Callable[[], Iterator[ScanFinding]] = covered
    """What no scanner can look into, as its kind knows: findings of the kind `coverage`. Raises as `files` does."""
