"""`Spool`: the data that an import keeps from discs that leave the drive, in the Sovereign's state folder.

`unfinished/<hex of the delivery>/` contains AIRGAP.json, signatures/ and evidence.tar, so that the import can continue
with the next disc alone. `extents/` contains bytes of volumes that will be needed when their disc is gone. These are
manifests and configs, plain files (which are written last), and parts of split blobs whose other parts are on other
discs. Nothing in the spool is trusted: signatures are verified again, and every reader hashes the blobs. The spool is
removed when the import is complete and its receipt is kept, or when a later delivery of the stream was accepted. What
is encrypted on the media is kept encrypted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import Filling, check_free, disk_errors, make_folder, replacing, sync_folder, write_durably
from airgap.base.errors import DamageError
from airgap.delivery.contents import Extent
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import SIGNATURES
from airgap.delivery.journey import EVIDENCE_NAME
from airgap.delivery.on_media import open_on_media, read_listed
from airgap.delivery.read import Media, Volumes, extent_name

UNFINISHED = "unfinished"
EXTENTS = "extents"
MAX_UNFINISHED = 1000
"""The most folders that are examined: no site has so many unfinished imports."""


@dataclass(frozen=True, slots=True)
class Spool:
    """The folder of one unfinished delivery. It may not exist yet."""

    folder: Path

    @classmethod
    def of(cls, state: Path, delivery: Digest) -> Spool:
        """The spool of a delivery, by the digest of its AIRGAP.json."""
        return cls(state / UNFINISHED / delivery.hex)

    @classmethod
    def all(cls, state: Path) -> list[Spool]:
        """The spools of a state folder that contain a complete index."""
        found = sorted((state / UNFINISHED).glob("[0-9a-f]" * 64))[:MAX_UNFINISHED]
        return [cls(folder) for folder in found if (folder / INDEX_NAME).is_file()]

    @property
    def digest(self) -> Digest:
        """The digest of its delivery, from the folder's name."""
        return Digest("sha256:" + self.folder.name)

    @property
    def extents(self) -> Path:
        """The folder of the extents."""
        return self.folder / EXTENTS

    def keep_index(self, media: Media, evidence: bytes) -> None:
        """Stores the small files, AIRGAP.json last, because it makes the spool valid. Raises `StoreError`.

        What is encrypted stays so: then `evidence` is not stored, but the file with it.
        """
        signatures = self.folder / SIGNATURES
        for folder in (signatures, self.extents):
            make_folder(folder, 0o700)
        for number, data in enumerate(media.signatures.values(), 1):
            write_durably(signatures / f"{number:02d}.sigstore.json", data)
        if media.seal is None:
            write_durably(self.folder / EVIDENCE_NAME, evidence)
        else:
            for file in (media.seal.sealed.evidence, media.seal.sealed.index):
                write_durably(self.folder / file.name, read_listed(media.folders, file))
        write_durably(self.folder / INDEX_NAME, media.index_bytes)

    def keep(self, volumes: Volumes, digests: Iterable[Digest]) -> None:
        """Durably stores those extents of the blobs whose volume is attached. Raises `StoreError`, `IntegrityError`."""
        wanted = []
        for digest in dict.fromkeys(digests):
            for number, extent in enumerate(volumes.contents.blobs.get(digest, ()), 1):
                path = self.extents / extent_name(digest, number)
                volume = volumes.path(extent.volume)
                # Extents that are already stored are copied again: they may be the damaged ones.
                if volume is not None:
                    wanted.append((volume, extent, path))
        check_free(
            self.extents,
            sum(extent.length for _, extent, _ in wanted),
            "the content of this disc that later discs need",
        )
        for volume, extent, path in wanted:
            if volumes.seal is None:
                _copy(volume, extent, path)
            else:
                volumes.seal.keep(volume, extent, path)
        if wanted:
            with disk_errors(self.extents):
                sync_folder(self.extents)

    def remove(self) -> None:
        """Deletes the spool after the import is finished."""
        with disk_errors(self.folder):
            if self.folder.exists():
                (self.folder / INDEX_NAME).unlink(missing_ok=True)
                shutil.rmtree(self.folder)


def _copy(volume: Path, extent: Extent, path: Path) -> None:
    """Copies an extent into its own file, which becomes visible only when it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    buffer = memoryview(bytearray(min(CHUNK, max(1, extent.length))))
    left, offset = extent.length, extent.offset
    with (
        disk_errors(partial),
        os.fdopen(open_on_media(volume), "rb", buffering=0) as source,
        replacing(path, partial=partial, sync=False) as fd,
    ):
        file = Filling(fd)
        while left:
            count = os.preadv(source.fileno(), [buffer[:left]], offset)
            if not count:
                raise DamageError("truncated", f"{volume}: ends {left} bytes too early")
            file.write(buffer[:count])
            left, offset = left - count, offset + count
