"""The layers of images, as scanners in this process read them: verified, unpacked, within bounds, never on disk."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from airgap.base.streams import read_limited, with_head
from airgap.base.strict_json import parse_json
from airgap.base.unpack import HEAD, Bounds, Unpacked, packed_as
from airgap.content.graph import Descriptor, Source, read_node, read_verified
from airgap.content.scan_subject import ScanSubject
from airgap.content.verified import verified

PIECE = 1 << 18
"""Bytes that are unpacked at once."""
STREAMS = frozenset({"gzip", "bzip2", "xz", "zstd"})
"""How one file can be packed; `zip` and `tar` hold several."""
_PACKED_TAR = re.compile(r".*tar([+.](gzip|zstd))?\Z")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a manifest, in its order."""

    blob: Descriptor
    diff_id: str
    """The digest of the unpacked layer, as the config says; `""` if it says none."""


def layers_of(subject: ScanSubject) -> tuple[tuple[Layer, ...], int]:
    """The layers of an image, and how many the config speaks of, -1 if it has no list.

    Raises `IntegrityError`, `StoreError`.
    """
    node = read_node(subject.source, subject.node)
    blobs, config = node.children[1:], node.config
    said = _diff_ids(parse_json(read_verified(subject.source, config), "config")) if config else None
    named = said if said is not None else []
    return tuple(
        Layer(blob, named[number] if number < len(named) else "") for number, blob in enumerate(blobs)
    ), -1 if said is None else len(said)


def packed_trees(subject: ScanSubject) -> tuple[Descriptor, ...]:
    """The layers of a manifest that are tar archives by their type: of a chart, whose files come unpacked."""
    return tuple(
        blob for blob in read_node(subject.source, subject.node).children[1:] if _PACKED_TAR.match(blob.media_type)
    )


def _diff_ids(config: Any) -> list[str] | None:
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


def unpacked(stream: BinaryIO, bounds: Bounds) -> tuple[BinaryIO, str]:
    """The unpacked bytes of a stream, and how it was packed: one of `STREAMS`, or `""`. Raises what `Unpacked` does."""
    head, whole = with_head(stream, HEAD)
    form = packed_as(head)
    if form not in STREAMS:
        return whole, ""
    return cast("BinaryIO", Unpacked(whole, form, bounds)), form


def buffered(stream: BinaryIO) -> BinaryIO:
    """A stream that is read in large pieces, for a reader that asks for small ones."""
    return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", stream), PIECE))


def open_blob(source: Source, blob: Descriptor) -> BinaryIO:
    """A blob, verified when it is read to its end. Raises `NotFoundError`, `StoreError`."""
    return verified(source.open(blob), blob)


def drain(stream: BinaryIO) -> bool:
    """Reads what is left, so that all of it is verified; true if there was more than zeros."""
    found = False
    while piece := read_limited(stream, PIECE):
        found = found or any(piece.lstrip(b"\0"))
    return found
