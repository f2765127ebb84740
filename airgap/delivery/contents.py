"""`contents` of AIRGAP.json: what the volumes hold, and what a delta leaves out.

Format: docs/format.md, "AIRGAP.json".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.delivery.fields import CUT_AGAIN, INDEX_NAME, FileSum, as_number, as_sum, as_text, check_fields

MAX_VOLUMES = 9999
"""The largest number that fits the digits in the file names."""
_BLOCK = 512
"""Bytes of a block of a tar: a file's header takes one, and its content begins at the next."""


@dataclass(frozen=True, slots=True)
class Root:
    """One item and the digest of its graph."""

    item: str
    kind: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of a blob: volume number from 1, offset of its first byte in that file, length in bytes."""

    volume: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Omitted:
    """A blob that is inside already: its size in bytes, and the item of the baseline that brought it there."""

    size: int
    baseline: int
    """The number of the baseline in `Journey.based_on`, from 1."""
    item: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of the delivery: the same locks, roots, baseline and volume size give the same bytes."""

    locks: tuple[Digest, ...]
    roots: tuple[Root, ...]
    volumes: tuple[FileSum, ...]
    blobs: Mapping[Digest, tuple[Extent, ...]]
    omitted: Mapping[Digest, Omitted] = field(default_factory=dict)
    """Blobs that the locks need and that no volume contains: a baseline of the journey proves that they are inside."""
    only: bool = False
    """True for a selection: it brings some items of its locks, those in `roots`, and says nothing of the others."""

    def size(self, digest: Digest) -> int:
        """The size of a blob in bytes."""
        return sum(extent.length for extent in self.blobs[digest])


def volume_name(number: int, count: int) -> str:
    """`vol-0001-of-0007.tar`."""
    return f"vol-{number:04d}-of-{count:04d}.tar"


def as_contents(value: Any) -> Contents:
    """Parses `contents`. Raises `ValueError`, `TypeError`, `KeyError`, `IntegrityError` (`bad-index`)."""
    check_fields(value, "locks roots volumes blobs", ["only", "omitted"])
    volumes = value["volumes"]
    if not 1 <= len(volumes) <= MAX_VOLUMES:
        raise ValueError(f"volumes: got {len(volumes)}, expected 1 to {MAX_VOLUMES}")
    for root in value["roots"]:
        check_fields(root, "item kind digest")
    if not value.get("omitted", True):
        raise ValueError("omitted: got no blob, expected at least one")
    if value.get("only", True) is not True:
        raise ValueError(f"only: got {value['only']!r:.80}, expected true, or that it is left out")
    if "only" in value and not value["roots"]:
        raise ValueError("only: got no root, expected at least one")
    return Contents(
        tuple(Digest(digest) for digest in value["locks"]),
        tuple(Root(as_text(r["item"]), as_text(r["kind"]), Digest(r["digest"])) for r in value["roots"]),
        tuple(as_sum(v, volume_name(n, len(volumes))) for n, v in enumerate(volumes, 1)),
        {
            Digest(digest): tuple(Extent(*map(as_number, extent)) for extent in extents)
            for digest, extents in value["blobs"].items()
        },
        {
            Digest(digest): Omitted(as_number(size), as_number(baseline), as_text(item))
            for digest, (size, baseline, item) in value.get("omitted", {}).items()
        },
        "only" in value,
    )


def contents_document(contents: Contents) -> dict[str, Any]:
    """The JSON object."""
    document: dict[str, Any] = {
        "locks": [str(digest) for digest in contents.locks],
        "roots": [{"item": root.item, "kind": root.kind, "digest": str(root.digest)} for root in contents.roots],
        **({"only": True} if contents.only else {}),
        "volumes": [volume.as_dict() for volume in contents.volumes],
        "blobs": {
            str(digest): [[e.volume, e.offset, e.length] for e in extents] for digest, extents in contents.blobs.items()
        },
    }
    if contents.omitted:
        document["omitted"] = {
            str(digest): [one.size, one.baseline, one.item] for digest, one in contents.omitted.items()
        }
    return document


def check_omitted(contents: Contents, baselines: int) -> None:
    """Checks what a delta leaves out. Raises `IntegrityError` (`bad-index`).

    A root is always in a volume, a blob is either there or left out, and each that is left out names one of the
    `baselines`.
    """
    for digest, one in contents.omitted.items():
        if digest in contents.blobs:
            raise _bad(f"{digest} is in a volume and left out")
        if not 1 <= one.baseline <= baselines:
            raise _bad(f"{digest} is left out by baseline {one.baseline}, which does not exist")
    for root in contents.roots:
        if root.digest in contents.omitted:
            raise _bad(f"the root of {root.item!r} is left out")


def check_extents(contents: Contents) -> None:
    """Checks that the blobs fit into the volumes: no byte is in two of them, and each has room for its tar header.

    So what a delivery holds is not more than what its media hold, and the number of extents is bounded too. Takes
    O(n log n). Raises `IntegrityError` (`bad-index`).
    """
    placed: list[tuple[int, int, int, Digest]] = []
    for digest, extents in contents.blobs.items():
        for number, extent in enumerate(extents):
            if extent.volume != extents[0].volume + number:
                raise _bad(f"{digest}: its parts are not in one volume after the other")
            if not 1 <= extent.volume <= len(contents.volumes):
                raise _bad(f"{digest} is in volume {extent.volume}, which does not exist")
            volume = contents.volumes[extent.volume - 1]
            if extent.offset + extent.length > volume.size:
                raise _bad(f"{digest} reaches beyond the end of {volume.name}")
            if not extent.length and len(extents) > 1:
                raise _bad(f"{digest} has a part without a byte")
            placed.append((extent.volume, extent.offset, extent.length, digest))
        if not extents:
            raise _bad(f"{digest} is in no volume")
    placed.sort()
    before, end = 0, 0
    for at, offset, length, digest in placed:
        end = end if at == before else 0
        if offset < end + _BLOCK or offset % _BLOCK:
            raise _bad(f"{digest}: byte {offset} of volume {at} is not where a file of a tar can begin")
        before, end = at, offset + length + -length % _BLOCK


def _bad(what: str) -> IntegrityError:
    return IntegrityError("bad-index", f"{INDEX_NAME}: {what}", CUT_AGAIN)
