"""`ArchiveWalk`: one file or layer, and the archives in it, as streams and within limits. Nothing is unpacked to disk.

Only zip archives that lie in something else are copied to a file without a name, because their directory is at the end.
A part that cannot be read is a finding, and the walk goes on after it.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from airgap.base.amounts import human
from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import disk_errors
from airgap.base.streams import joined, read_into, read_limited, with_head
from airgap.base.unpack import HEAD, BadPackedError, BombError, Bounds, Unpacked, packed_as
from airgap.base.untar import BadTarError, TarEntry, TarReader
from airgap.base.unzip import BadZipError, ZipEntry, ZipReader
from airgap.content.scan_finding import Severity
from airgap.resources.station import ArchiveLimits
from airgap.scanning.archives.modes import look_at_mode
from airgap.scanning.archives.notes import Notes
from airgap.scanning.archives.places import Places
from airgap.scanning.layers import buffered, drain, unpacked

UNSUSPECTED = 1 << 30
"""Bytes that may be unpacked before the ratio counts, in all that is in one layer or file."""
LEAST_UNSUSPECTED = 64 << 20
"""The same for a single archive, after others needed the whole of it."""
IN_MEMORY = 8 << 20
"""Bytes of a zip archive that are kept in memory."""
MAX_COPY = 16 << 30
"""Bytes of a zip archive that are copied to disk to be read."""
MAX_PARTS = 1000
"""Packed files in one, one after the other; in a layer as many as files, because eStargz has one for each."""
LEAST = 14
"""Bytes of the smallest archive, an empty one of bzip2."""
_HEADERS = 4
"""Headers of tar for a member: its own, long names, and attributes."""


class TooManyMembersError(Exception):
    """The walk ends here: what follows would cost more than allowed."""


@dataclass(slots=True)
class ArchiveWalk:
    """One layer, or one file of a tree. One thread uses it."""

    limits: ArchiveLimits
    work: Path
    notes: Notes = field(default_factory=Notes)
    unpacked: int = 0
    """Bytes that came out of archives so far."""
    members: int = 0

    def layer(self, stream: BinaryIO) -> Digest | None:
        """A layer of an image, packed or not, which is read to its end. The digest of its unpacked bytes.

        `None` if it could not be unpacked. Raises what the stream raises.
        """
        form = ""
        hashed = _Hashed()
        try:
            hashed.stream, form = unpacked(stream, self._bounds(self.limits.files))
            content = buffered(cast("BinaryIO", hashed))
            self._tar(content, "", 0)
            if drain(content):
                title = "bytes follow the end of the archive: some programs read them, and others do not"
                self.notes.add("trailing-data", Severity.MEDIUM, title)
            return Digest.from_hash(hashed.hasher)
        except BadTarError as error:
            self.notes.add("bad-layer", Severity.HIGH, f"the layer cannot be read further as a tar archive: {error}")
            return self._rest(hashed)
        except BombError as error:
            self.notes.add("bomb", Severity.CRITICAL, f"the layer: {error}")
        except BadPackedError as error:
            self.notes.add("bad-layer", Severity.HIGH, f"the layer ({form}) cannot be unpacked: {error}")
        except TooManyMembersError as error:
            self.notes.add("too-much", Severity.HIGH, f"the layer was not read further: {error}")
        return None

    def file(self, stream: BinaryIO, path: str) -> None:
        """A file that may be an archive. Raises what the stream raises."""
        try:
            self._file(stream, path, 0)
        except TooManyMembersError as error:
            self.notes.add("too-much", Severity.HIGH, f"the archive was not read further: {error}", path)

    def _rest(self, hashed: _Hashed) -> Digest | None:
        try:
            drain(cast("BinaryIO", hashed))
        except BombError as error:
            self.notes.add("bomb", Severity.CRITICAL, f"the layer: {error}")
            return None
        except BadPackedError:
            return None
        return Digest.from_hash(hashed.hasher)

    def _bounds(self, parts: int = MAX_PARTS) -> Bounds:
        limits = self.limits
        return Bounds(
            size=max(0, limits.size - self.unpacked),
            ratio=limits.ratio,
            unsuspected=max(LEAST_UNSUSPECTED, UNSUSPECTED - self.unpacked),
            parts=parts,
        )

    def _file(self, stream: BinaryIO, path: str, depth: int) -> None:
        """A file in `depth` archives. What is no archive is not read further."""
        head = read_limited(stream, HEAD)
        form = packed_as(head)
        if not form:
            return
        whole = joined(head, stream)
        if depth > self.limits.depth:
            title = f"{depth} archives within one another: what is in this one was not looked at"
            self.notes.add("too-deep", Severity.MEDIUM, title, path)
            return
        try:
            self._archive(whole, form, path, depth)
        except BombError as error:
            self.notes.add("bomb", Severity.CRITICAL, str(error), path)
        except (BadTarError, BadZipError, BadPackedError) as error:
            # Packages have broken archives among the files of their own tests.
            severity = Severity.LOW if depth else Severity.MEDIUM
            self.notes.add("bad-archive", severity, f"this {form} archive cannot be read further: {error}", path)

    def _archive(self, stream: BinaryIO, form: str, path: str, depth: int) -> None:
        if form == "zip":
            self._copied_zip(stream, path, depth)
        elif form == "tar":
            self._tar(buffered(stream), path, depth)
        else:
            inner = Unpacked(stream, form, self._bounds())
            try:
                head, content = with_head(cast("BinaryIO", inner), HEAD)
                inside = packed_as(head)
                if inside == "tar":
                    content = buffered(content)
                    self._tar(content, path, depth)
                elif inside:
                    self._file(content, path, depth + 1)
                drain(content)
            finally:
                self.unpacked += inner.size

    def _tar(self, stream: BinaryIO, outer: str, depth: int) -> None:
        """A tar archive; the layer itself has no `outer` path."""
        limits, layer = self.limits, not outer
        places = Places(self.notes, layer=layer, nested=depth > 0)
        archive = TarReader(stream, entries=limits.files * _HEADERS, total=max(limits.size, 1))
        for one in archive:
            self._count()
            shown = one.name if layer else f"{outer}!{one.name}"
            path = places.add(one, shown)
            if layer:
                look_at_mode(one, path, self.notes)
            elif one.type == "other" and one.flag in ("3", "4"):
                self.notes.add("device", Severity.MEDIUM, "a device in an archive", shown)
            if one.size >= LEAST:
                self._file(cast("BinaryIO", archive), shown, depth + 1)

    def _copied_zip(self, stream: BinaryIO, path: str, depth: int) -> None:
        with disk_errors(self.work), tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self.work)) as copy:
            size = 0
            while piece := read_limited(stream, CHUNK):
                size += len(piece)
                if size > min(MAX_COPY, self.limits.size):
                    self.notes.missed("archive-not-read", f"this zip archive has more than {human(MAX_COPY)}", path)
                    return
                copy.write(piece)
            self._zip(cast("BinaryIO", copy), size, path, depth)

    def _zip(self, file: BinaryIO, size: int, outer: str, depth: int) -> None:
        archive = ZipReader(file, size, entries=self.limits.files)
        places = Places(self.notes, layer=False, nested=depth > 0)
        for one in archive:
            self._count()
            shown = f"{outer}!{one.name}"
            places.add(_as_tar(one), shown)
            if one.encrypted:
                self.notes.missed("encrypted", "a member is encrypted, so nobody looked at it", shown)
            elif one.type == "file":
                self._zip_member(archive, one, shown, depth)

    def _zip_member(self, archive: ZipReader, one: ZipEntry, shown: str, depth: int) -> None:
        bounds = self._bounds()
        if one.size > bounds.size or one.size > max(bounds.unsuspected, one.packed * bounds.ratio):
            raise BombError(f"{shown.rpartition('!')[2]} unpacks to {one.size} bytes, from {one.packed}")
        self.unpacked += one.size
        with archive.open(one) as content:
            self._file(content, shown, depth + 1)
            # To its end, where it is compared with what the directory says.
            drain(content)

    def _count(self) -> None:
        self.members += 1
        if self.members > self.limits.files:
            raise TooManyMembersError(f"it has more than {self.limits.files} members")


class _Hashed(io.RawIOBase):
    """Hashes what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.stream: BinaryIO = io.BytesIO()
        self.hasher = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        count = read_into(self.stream, view)
        self.hasher.update(view[:count])
        return count


def _as_tar(one: ZipEntry) -> TarEntry:
    """A member of a zip archive for `Places`. Where a link leads is its content, which nobody needs."""
    kind = "file" if one.type == "symlink" else one.type
    return TarEntry(one.name, kind, one.size, one.offset)
