"""`ScanSubject`: what a scanner is asked about. Kinds name those of their items; scanners take those they know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from airgap.base.digest import Digest
from airgap.content.graph import Descriptor, Source


class SubjectForm(StrEnum):
    """How the content of a subject is read."""

    IMAGE = "image"
    """An image manifest: scanners read its layers from the store."""
    FILES = "files"
    """A tree of files: an unpacked chart, the tree of a Git ref, a model, a file."""


@dataclass(frozen=True, slots=True)
class SubjectFile:
    """One file of a tree. `path` is relative, with `/`, and never leaves the tree."""

    path: str
    size: int
    open: Callable[[], BinaryIO]
    """Opens it to be read once, from its beginning; the caller closes it."""
    digest: Digest | None = None
    """The blob, where the file is one of the store."""


@dataclass(frozen=True, slots=True)
class ScanSubject:
    """One thing to scan. Results are kept by its digest: subjects with the same digest have the same content."""

    digest: Digest
    """The manifest of an image or a chart; for other kinds the root of the item's graph."""
    kind: str
    """The name of the kind of content: `image`, `chart`, `git`, `model`, `file`."""
    form: SubjectForm
    title: str
    """For people: the item's name, and its platform or ref where there are several."""
    source: Source
    node: Descriptor
    """The manifest in `source`."""
    files: Callable[[], Iterator[SubjectFile]] | None = None
    """The files of a tree; `None` for an image."""
