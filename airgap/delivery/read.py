"""Reading a delivery in place, from one folder or several: nothing is unpacked or written to media."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from airgap.base.amounts import count
from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import disk_errors
from airgap.base.errors import AirgapError, InputError, IntegrityError, NotFoundError, OmittedError
from airgap.base.inputs import plain_size, read_plain
from airgap.base.known_files import not_expected
from airgap.base.throttle import FREE, Throttle, throttled
from airgap.content.graph import Descriptor, Source
from airgap.delivery.blob_parts import BlobPart, Extents, MediaBytes, MendedBytes, SealedBytes, read_mended
from airgap.delivery.contents import Contents, Extent
from airgap.delivery.fields import INDEX_NAME, FileSum
from airgap.delivery.index import MAX_INDEX, MAX_SIGNATURE, MAX_SIGNATURES, SIGNATURE_SUFFIX, SIGNATURES, Index
from airgap.delivery.mend import Mender, mender_of
from airgap.delivery.on_media import open_on_media, read_on_media
from airgap.delivery.seal import KEPT_SUFFIX, Identities, Seal, reader, unsealed
from airgap.delivery.sealed import is_sealed
from airgap.delivery.sealing.stream import AgeFile

MAX_SHARED = 5
"""Folders of Sovereigns that a message names."""


@dataclass(frozen=True, slots=True)
class Media:
    """The small files of a delivery, unparsed and unverified; and all folders that contain parts of it."""

    folders: tuple[Path, ...]
    index_bytes: bytes
    signatures: Mapping[str, bytes]
    """File name → bytes, from every folder."""
    seal: Seal | None = None
    """What opens its other files, if the delivery is encrypted and its index was opened (`open_index`)."""

    @property
    def digest(self) -> Digest:
        """The digest of AIRGAP.json, which identifies this delivery."""
        return Digest.of(self.index_bytes)


def open_media(folders: Sequence[Path]) -> Media:
    """Finds AIRGAP.json and the signatures in `folders`; reads nothing else.

    Raises `InputError` (`no-delivery`, `other-delivery`), `IntegrityError` for files over their limits.
    """
    found: dict[bytes, Path] = {}
    signatures: dict[str, bytes] = {}
    for folder in folders:
        path = folder / INDEX_NAME
        if path.is_file():
            found.setdefault(read_on_media(path, MAX_INDEX), folder)
        signed = folder / SIGNATURES
        if signed.is_dir():
            _signatures(signed, signatures)
    if not found:
        raise _no_delivery(folders)
    if len(found) > 1:
        names = " and ".join(str(folder) for folder in found.values())
        raise InputError(
            "other-delivery",
            f"{names} contain different deliveries",
            "import them one after the other",
        )
    return Media(tuple(folders), next(iter(found)), signatures)


def open_index(media: Media, identities: Identities) -> tuple[Media, Index]:
    """Parses AIRGAP.json, whose signature must be verified already; of an encrypted delivery, the one that is inside.

    Gives the media with what opens the other files. `identities` are asked for only by an encrypted delivery. Raises
    what `Index.decode` and `unsealed` raise.
    """
    if not is_sealed(media.index_bytes):
        return media, Index.decode(media.index_bytes)
    seal, index = unsealed(media.index_bytes, media.folders, identities)
    return replace(media, seal=seal), index


def mender_for(media: Media, index: Index) -> Mender | None:
    """What mends the files of a delivery whose index was opened; `None` if it has no parity files."""
    return mender_of(index if media.seal is None else media.seal.sealed, media.folders)


def _no_delivery(folders: Sequence[Path]) -> InputError:
    for path in folders:
        if path.is_file():
            data = b""
            with contextlib.suppress(OSError, AirgapError):  # it is read only to say what it is
                data = read_plain(path, MAX_INDEX, follow=True) or b""
            what = not_expected(str(path), data, "the folder of a delivery")
            return InputError("no-delivery", what, f"pass a folder that contains {INDEX_NAME}")
    names = ", ".join(str(folder) for folder in folders)
    hint = "pass the folder that contains it, and the folders with the other volumes"
    shared = [found.parent for folder in folders for found in sorted(folder.glob(f"*/{INDEX_NAME}"))[:MAX_SHARED]]
    if shared:
        listed = ", ".join(str(folder) for folder in shared)
        hint = f"it has deliveries for several Sovereigns ({listed}): pass the folder of yours as well as this one"
    return InputError("no-delivery", f"{names}: there is no {INDEX_NAME}", hint)


def _signatures(folder: Path, into: dict[str, bytes]) -> None:
    names = signature_names(folder)
    too_many = IntegrityError("too-many-signatures", f"{folder}: more than {MAX_SIGNATURES} signatures")
    if len(names) > MAX_SIGNATURES:
        raise too_many
    for name in names:
        data = read_on_media(folder / name, MAX_SIGNATURE)
        # The same bytes in two folders are one signature. Two different files with the same name both count.
        if data in into.values():
            continue
        if len(into) >= MAX_SIGNATURES:
            raise too_many
        into[name if name not in into else f"{name} ({folder})"] = data


def signature_names(folder: Path) -> list[str]:
    """The names of the files in `signatures/` that count. Other files there, such as a desktop's own, do not.

    If there are more than `MAX_SIGNATURES`, it stops after one more.
    """
    with disk_errors(folder), os.scandir(folder) as entries:
        counting = (
            entry.name
            for entry in entries
            if entry.name.endswith(SIGNATURE_SUFFIX)
            and not entry.name.startswith(".")
            and entry.is_file(follow_symlinks=False)
        )
        return sorted(islice(counting, MAX_SIGNATURES + 1))


@dataclass(slots=True)
class Volumes:
    """A `Source` over the volumes: reads blobs by `pread` from their extents.

    `spool` is a folder of extents that were kept before their disc left the drive (`airgap.delivery.spool`).
    """

    contents: Contents
    folders: tuple[Path, ...]
    spool: Path | None = None
    inside: Source | None = None
    """Where what a delta omits is read; `None` if nothing can be read but the volumes."""
    mender: Mender | None = None
    """Of a delivery with parity files: checks each block that is read, and computes what is lost."""
    throttle: Throttle = FREE
    """How fast blobs are read."""
    seal: Seal | None = None
    """What opens the volumes, if they are encrypted."""
    _fds: dict[int, int] = field(default_factory=dict)
    _sealed: dict[int, AgeFile] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def files(self) -> tuple[FileSum, ...]:
        """The volumes as they are on the media."""
        return self.contents.volumes if self.seal is None else self.seal.sealed.volumes

    def missing(self) -> list[str]:
        """Names of volumes that are in no folder with their full size, and that parity files do not replace."""
        return [v.name for n, v in enumerate(self.files, 1) if not self._attached(n)]

    def lacking(self, digests: Iterable[str]) -> list[str]:
        """Names of the volumes that are needed to read these blobs but missing, in order."""
        numbers = {
            extent.volume
            for digest in digests
            for number, extent in enumerate(self.contents.blobs.get(Digest(digest), ()), 1)
            if not self._there(Digest(digest), number, extent)
        }
        return [self.files[number - 1].name for number in sorted(numbers)]

    def path(self, number: int) -> Path | None:
        """The path of a volume, given its number from 1; `None` if it is missing."""
        volume = self.files[number - 1]
        for folder in self.folders:
            path = folder / volume.name
            if plain_size(path) == volume.size:
                return path
        return None

    def has(self, descriptor: Descriptor) -> bool:
        """True if every part of the blob can be read, or if the delta omits it and it is inside."""
        if descriptor.digest in self.contents.omitted:
            return self.inside is not None and self.inside.has(descriptor)
        extents = self.contents.blobs.get(descriptor.digest, ())
        return bool(extents) and all(
            self._there(descriptor.digest, number, extent) for number, extent in enumerate(extents, 1)
        )

    def _there(self, digest: Digest, number: int, extent: Extent) -> bool:
        return self._attached(extent.volume) or self._spooled(digest, number) is not None

    def _attached(self, number: int) -> bool:
        return self.path(number) is not None or (self.mender is not None and not self.mender.lacking())

    def _spooled(self, digest: Digest, number: int) -> Path | None:
        if self.spool is None:
            return None
        path = self.spool / extent_name(digest, number)
        if self.seal is not None:
            path = path.with_name(path.name + KEPT_SUFFIX)
            return path if plain_size(path) else None
        return path if plain_size(path) == self.contents.blobs[digest][number - 1].length else None

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The blob from `offset` on.

        Raises `NotFoundError` with the name of the missing volume, or (`omitted-missing`) of what the delta omits;
        `IntegrityError` (`not-in-delivery`), and for what is inside the errors of reading it there.
        """
        if descriptor.digest in self.contents.omitted:
            return self._omitted(descriptor, offset)
        extents = self.contents.blobs.get(descriptor.digest)
        if extents is None:
            raise IntegrityError(
                "not-in-delivery",
                f"{descriptor.digest} is in no volume of this delivery",
                "the delivery was cut without content that its lock names; have it cut again",
            )
        pieces, owned = list[BlobPart](), list[int]()
        try:
            for number, extent in enumerate(extents, 1):
                if offset < extent.length:
                    pieces.append(self._piece(descriptor.digest, number, extent, offset, owned))
                offset = max(0, offset - extent.length)
        except BaseException:
            for fd in owned:
                os.close(fd)
            raise
        made = Extents(pieces, owned)
        # A chunk that is decrypted may be shorter than what is asked for, as the end of a part is.
        plain = len(pieces) <= 1 and self.seal is None
        return throttled(made if plain else io.BufferedReader(made, CHUNK), self.throttle)  # type: ignore[arg-type]

    def _omitted(self, descriptor: Descriptor, offset: int) -> BinaryIO:
        if self.inside is not None and self.inside.has(descriptor):
            return self.inside.open(descriptor, offset)
        one = self.contents.omitted[descriptor.digest]
        raise OmittedError(
            "omitted-missing",
            f"{descriptor.digest} ({one.size} bytes) is in no volume: this delta omits it, because an earlier delivery "
            f"brought it with {one.item!r}",
            "name what has its content, a store or the folder of that delivery: --baseline DIR",
        )

    def _piece(self, digest: Digest, number: int, extent: Extent, skip: int, owned: list[int]) -> BlobPart:
        """An extent from `skip` on; a descriptor that is opened only for it is added to `owned`."""
        if self.seal is not None:
            return SealedBytes(
                self._age(self.seal, digest, number, extent, owned), extent.offset + skip, extent.length - skip
            )
        if self.mender is not None and self._attached(extent.volume):
            return MendedBytes(self.mender, extent.volume - 1, extent.offset + skip, extent.length - skip)
        with self._lock:
            if extent.volume not in self._fds and (path := self.path(extent.volume)) is not None:
                self._fds[extent.volume] = open_on_media(path)
            if extent.volume in self._fds:
                return MediaBytes(self._fds[extent.volume], extent.offset + skip, extent.length - skip)
        owned.append(open_on_media(self._kept(digest, number, extent)))
        return MediaBytes(owned[-1], skip, extent.length - skip)

    def _kept(self, digest: Digest, number: int, extent: Extent) -> Path:
        path = self._spooled(digest, number)
        if path is None:
            raise NotFoundError(
                "volume-missing",
                f"{self.files[extent.volume - 1].name} is in none of the folders, or is not complete",
                f"insert the disk that contains it, and pass its folder too{self._or_others()}",
            )
        return path

    def _age(self, seal: Seal, digest: Digest, number: int, extent: Extent, owned: list[int]) -> AgeFile:
        """The encrypted volume with an extent, or what was kept of it."""
        at = extent.volume
        with self._lock:
            if at not in self._sealed and self._attached(at):
                plain, path = self.contents.volumes[at - 1].size, self.path(at)
                if self.mender is not None:
                    self._sealed[at] = seal.open(partial(read_mended, self.mender, at - 1), at, plain)
                elif path is not None:
                    fd = self._fds.setdefault(at, open_on_media(path))
                    self._sealed[at] = seal.open(reader(fd), at, plain)
            if at in self._sealed:
                return self._sealed[at]
        owned.append(open_on_media(self._kept(digest, number, extent)))
        return seal.open_kept(reader(owned[-1]), extent)

    def _or_others(self) -> str:
        if self.mender is None:
            return ""
        many = count(self.mender.lacking(), "other file")
        return f"; or {many} of the delivery that you did not pass, volumes or parity files"

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Items and their roots. Media types are empty, because the index does not contain them."""
        return [
            (root.item, Descriptor("", root.digest, self.contents.size(root.digest))) for root in self.contents.roots
        ]


def extent_name(digest: Digest, number: int) -> str:
    """The file name of a spooled extent, by its number from 1."""
    return f"{digest.hex}.part-{number:04d}"
