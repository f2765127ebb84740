"""Planning: decides before anything is written which byte of which volume contains what.

A plan is a pure function of the blobs in their order and the volume size. Therefore an interrupted bundle continues
with the same plan, and two people who cut the same content get the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airgap.base.digest import Digest
from airgap.base.errors import InputError
from airgap.content.graph import ANNOTATION_REF_NAME, OCI_INDEX, Descriptor
from airgap.delivery import tar as tape
from airgap.delivery.contents import MAX_VOLUMES, Extent
from airgap.store.layout import LAYOUT_FILE

MIN_VOLUME = 64 << 10
"""Bytes of the smallest volume: below it, headers outweigh content. Real media start at megabytes."""
DEFAULT_VOLUME = 4095 << 20
"""FAT32 holds files below 4 GiB."""


@dataclass(frozen=True, slots=True)
class Member:
    """One tar member: either literal `data`, or `size` bytes of a blob from `start` on."""

    name: str
    size: int
    data: bytes | None = None
    digest: Digest | None = None
    start: int = 0
    offset: int = 0
    """Offset of its first content byte in the volume."""


@dataclass(frozen=True, slots=True)
class Volume:
    """The members of one volume in order, and the size of the complete file in bytes."""

    members: tuple[Member, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All volumes, and the location of each blob."""

    volumes: tuple[Volume, ...]
    blobs: dict[Digest, tuple[Extent, ...]]


class _Builder:
    """Fills volumes in order. Every volume begins with oci-layout; the last one ends with index.json."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.done: list[Volume] = []
        self._open()

    def _open(self) -> None:
        self.members: list[Member] = []
        self.at = 0
        self.literal("oci-layout", LAYOUT_FILE)
        self.empty = self.at

    def close(self) -> None:
        self.done.append(Volume(tuple(self.members), self.at + len(tape.END)))
        if len(self.done) > MAX_VOLUMES:
            raise InputError(
                "too-many-volumes",
                f"more than {MAX_VOLUMES} volumes of {self.limit} bytes",
                "choose a larger --volume-size",
            )

    def reopen(self) -> None:
        self.close()
        self._open()

    def room(self, name: str) -> int:
        """Content bytes that a member called `name` can still have in this volume."""
        left = self.limit - len(tape.END) - self.at - len(tape.header(name, self.limit))
        return left - left % tape.BLOCK

    def fits(self, name: str, size: int) -> bool:
        needed = len(tape.header(name, size)) + size + tape.padding(size)
        return self.at + needed + len(tape.END) <= self.limit

    def literal(self, name: str, data: bytes) -> None:
        self._add(Member(name, len(data), data=data))

    def part(self, name: str, digest: Digest, start: int, size: int) -> Extent:
        self._add(Member(name, size, digest=digest, start=start))
        return Extent(len(self.done) + 1, self.members[-1].offset, size)

    def _add(self, member: Member) -> None:
        offset = self.at + len(tape.header(member.name, member.size))
        self.members.append(Member(member.name, member.size, member.data, member.digest, member.start, offset))
        self.at = offset + member.size + tape.padding(member.size)


def plan_volumes(
    blobs: Iterable[Descriptor],
    named: Sequence[tuple[str, Descriptor]],
    limit: int,
    more: Sequence[tuple[str, bytes]] = (),
) -> Plan:
    """Distributes `blobs` (each once, in order) over volumes of at most `limit` bytes; `named` are the roots.

    `more` are small files, with their names, that come last but for index.json, where they fit. A blob is split only if
    it is larger than an empty volume. Raises `InputError` if the limit is too small.
    """
    if limit < MIN_VOLUME:
        raise InputError(
            "volume-size",
            f"volume size: got {limit} bytes, expected at least {MIN_VOLUME}",
            "choose a larger --volume-size",
        )
    builder = _Builder(limit)
    extents: dict[Digest, tuple[Extent, ...]] = {}
    for blob in blobs:
        if blob.digest not in extents:
            extents[blob.digest] = _place(builder, blob)
    for name, data in more:
        builder.literal(name, data)
    index = index_json(named)
    if not builder.fits("index.json", len(index)):
        builder.reopen()
        if not builder.fits("index.json", len(index)):
            raise InputError(
                "volume-size",
                f"volume size: got {limit} bytes, but the list of roots alone needs {len(index)}",
                "choose a larger --volume-size",
            )
    builder.literal("index.json", index)
    builder.close()
    return Plan(tuple(builder.done), extents)


def _place(builder: _Builder, blob: Descriptor) -> tuple[Extent, ...]:
    name = f"blobs/sha256/{blob.digest.hex}"
    if builder.fits(name, blob.size):
        return (builder.part(name, blob.digest, 0, blob.size),)
    empty = builder.limit - builder.empty - len(tape.END)
    if len(tape.header(name, blob.size)) + blob.size + tape.padding(blob.size) <= empty:
        builder.reopen()
        return (builder.part(name, blob.digest, 0, blob.size),)
    extents: list[Extent] = []
    start = 0
    while start < blob.size:
        part = f"{name}.part-{len(extents) + 1:04d}"
        room = min(builder.room(part), blob.size - start)
        if room <= 0:
            builder.reopen()
            continue
        extents.append(builder.part(part, blob.digest, start, room))
        start += room
    return tuple(extents)


def index_json(named: Sequence[tuple[str, Descriptor]]) -> bytes:
    """index.json of the layout that the volumes unpack to: names, and the annotations of the roots.

    Source: OCI image-spec v1.1.1, image-layout.md.
    """
    manifests = [
        {**root.as_dict(), "annotations": {**root.annotations, ANNOTATION_REF_NAME: name}} for name, root in named
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    return json.dumps(document, separators=(",", ":")).encode()
