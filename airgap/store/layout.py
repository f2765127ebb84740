"""The OCI image layout directory: durable, crash-safe, and safe for several processes at once.

Source: OCI image-spec v1.1.1, image-layout.md. In addition to the files of the specification there are
only hidden files and `airgap/`. `blobs/sha256/.<hex>.partial` is an unfinished blob, which the next attempt continues.
`airgap/` contains statements and counters (see `airgap.station`).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import Filling, check_free, disk_error, disk_errors, sync_folder, write_durably
from airgap.base.errors import InputError, IntegrityError, NotFoundError, WrongItemError
from airgap.base.inputs import open_plain, read_plain
from airgap.base.locks import locked, try_lock
from airgap.base.streams import read_into
from airgap.base.strict_json import parse_json
from airgap.content.graph import (
    ANNOTATION_REF_NAME,
    Descriptor,
    Node,
    Opener,
    PutResult,
    check_sum,
    walk,
)
from airgap.store.commit import SMALL, GroupCommit
from airgap.store.index_file import LOCK_FILE, IndexFile

LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'
MAX_MARKER = 4096
"""Bytes of oci-layout."""
MAX_PAUSE = 0.2
"""Longest time in seconds between two checks of a partial file that another writer has locked."""
_OURS = ("blobs", "index.json", ".index.", ".use.", "oci-layout", ".oci-layout.", "airgap")
_LEFT = re.compile(r"\.[0-9a-f]{64}\.(?:partial|damaged)\Z")
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


class Layout:
    """A `Target` in a folder. Raises `StoreError` for disk errors and `IntegrityError` for wrong bytes.

    With `batch`, small blobs are held back and become durable together; the caller must end with `settle` or `publish`.
    """

    def __init__(self, path: Path, *, create: bool = False, batch: bool = False) -> None:
        self.path = path
        self._blobs = path / "blobs" / "sha256"
        self._index = IndexFile(path)
        self.mended = False
        """True if `create` found a store without its index.json, and wrote a new one, without names."""
        marker = path / "oci-layout"
        if create:
            self._create(marker)
        try:
            data = read_plain(marker, MAX_MARKER, follow=True)
        except OSError:
            data = None
        if data is None:
            raise WrongItemError(
                "no-store",
                f"{path}: not a store: no readable oci-layout file",
                "pass a folder that `airgap pull` made",
            )
        found = parse_json(data, str(marker))
        if not isinstance(found, dict) or found.get("imageLayoutVersion") != "1.0.0":
            raise WrongItemError("no-store", f"{marker}: imageLayoutVersion: got {found!r}, expected 1.0.0")
        self._commit = GroupCommit(self._blobs, SMALL if batch else -1)

    def _create(self, marker: Path) -> None:
        # Another process may be creating the same store at this moment: accept the files it has created so far.
        check_place(self.path)
        with disk_errors(self.path):
            self._blobs.mkdir(parents=True, exist_ok=True)
            self.mended = marker.exists() and not self._index.path.exists()
            if marker.exists() and not self.mended:
                return
            with locked(self.path / LOCK_FILE):
                if not self._index.path.exists():
                    self._index.create()
                if not marker.exists():
                    write_durably(marker, LAYOUT_FILE)
            sync_folder(self.path.parent)

    # reading

    def blob_path(self, digest: Digest) -> Path:
        """The path of the blob, whether it exists or not."""
        return self._blobs / digest.hex

    def has(self, descriptor: Descriptor) -> bool:
        """True if there is a file of the right size."""
        path = self.blob_path(descriptor.digest)
        if self._commit.waits(path):
            self._commit.settle()
        try:
            found = os.stat(path, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == descriptor.size

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The file from `offset` on, unbuffered. Raises `NotFoundError` or `StoreError`."""
        path = self.blob_path(descriptor.digest)
        if self._commit.waits(path):
            self._commit.settle()
        try:
            fd, _ = open_plain(path)
        except FileNotFoundError as error:
            raise NotFoundError("blob-missing", f"{self.path}: {descriptor.digest} is missing") from error
        except OSError as error:
            raise disk_error(error, path) from error
        file = os.fdopen(fd, "rb", buffering=0)
        if offset:
            file.seek(offset)
        return file

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Named roots in the order of index.json; a root without a name has `""`."""
        return [(root.annotations.get(ANNOTATION_REF_NAME, ""), root) for root in self.entries()]

    def entries(self) -> list[Descriptor]:
        """The descriptors of index.json, with their annotations. Parsed again only after a change."""
        return self._index.entries()

    def find(self, name: str) -> Descriptor | None:
        """The root with this name, or `None`. If other tools left several, the last one counts."""
        return dict(self.roots()).get(name)

    def digests(self) -> list[Descriptor]:
        """Every blob in the layout, as a descriptor without a media type, sorted by digest."""
        self._commit.settle()
        with disk_errors(self._blobs), os.scandir(self._blobs) as entries:
            found = [
                Descriptor("", Digest("sha256:" + entry.name), entry.stat().st_size)
                for entry in entries
                if len(entry.name) == 64 and entry.is_file(follow_symlinks=False)
            ]
        return sorted(found, key=lambda blob: blob.digest)

    # writing

    def asks(self, _descriptor: Descriptor) -> bool:
        """False: `has` is cheap."""
        return False

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        """Stores a blob, continuing an earlier incomplete attempt.

        Two writers of the same blob take turns on its partial file; the second finds the blob present.
        """
        partial = self._blobs / f".{descriptor.digest.hex}.partial"
        while True:
            if self.has(descriptor):
                return PutResult.PRESENT
            with disk_errors(partial):
                fd = os.open(partial, os.O_RDWR | os.O_CREAT | _OPEN, 0o600)  # readable when it is a blob
            try:
                self._lock(fd)
                if os.fstat(fd).st_nlink == 0 or self.has(descriptor):
                    continue  # another writer finished, or gave up, while this one waited for the lock
                self._fill(fd, partial, descriptor, opener)
                return PutResult.WRITTEN
            finally:
                os.close(fd)

    def _lock(self, fd: int) -> None:
        """Locks a partial file. While it waits, it repeatedly settles the waiting files.

        This prevents a deadlock: another thread may add the very blob to the batch meanwhile, and two processes may
        need blobs that the other one holds back.
        """
        pause = 0.001
        while not try_lock(fd):
            self._commit.settle()
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def _fill(self, fd: int, partial: Path, descriptor: Descriptor, opener: Opener) -> None:
        with disk_errors(partial):
            kept = os.fstat(fd).st_size
            if kept > descriptor.size:
                os.ftruncate(fd, 0)
                kept = 0
        try:
            _receive(fd, partial, descriptor, opener, kept)
        except IntegrityError:
            # The kept bytes may be the wrong ones (a power failure can leave zeros): try once more from the start.
            with disk_errors(partial):
                os.ftruncate(fd, 0)
            if not kept:
                partial.unlink(missing_ok=True)
                raise
            try:
                _receive(fd, partial, descriptor, opener, 0)
            except IntegrityError:
                partial.unlink(missing_ok=True)
                raise
        self._commit.finish(fd, partial, self.blob_path(descriptor.digest), descriptor.size)

    def discard(self, descriptor: Descriptor) -> None:
        """Hides a blob that was found damaged, so that the next `put` fetches it again."""
        path = self.blob_path(descriptor.digest)
        with disk_errors(path):
            path.replace(self._blobs / f".{descriptor.digest.hex}.damaged")
            sync_folder(self._blobs)

    def check_room(self, blobs: Iterable[Descriptor]) -> None:
        """Checks the disk of the layout. Raises `StoreError` (`disk-full`)."""
        needed = sum(blob.size for blob in blobs if not self.has(blob))
        if needed:
            check_free(self.path, needed, "the content to copy")

    def settle(self) -> None:
        """Makes the small blobs that wait for their batch durable, and names them."""
        self._commit.settle()

    def publish(self, names: Mapping[str, Descriptor]) -> None:
        """Points names to roots, all at once, in one new index.json. Entries with other names are unchanged.

        Everything that was put is made durable before.
        """
        self._commit.settle()
        self._index.name(names)

    def unname(self, names: Collection[str]) -> None:
        """Removes names from index.json, all at once and durably. The blobs stay."""
        self._index.forget(names)

    def remove(self, digests: Iterable[Digest]) -> Iterator[Digest]:
        """Deletes blobs, and gives each that was there. Nobody else may use the layout. Raises `StoreError`."""
        for digest in digests:
            path = self.blob_path(digest)
            with disk_errors(path):
                try:
                    path.unlink()
                except FileNotFoundError:
                    continue
            yield digest
        with disk_errors(self._blobs):
            sync_folder(self._blobs)

    def leftovers(self) -> list[Path]:
        """What interrupted runs left: unfinished and damaged blobs, unnamed versions of index.json."""
        self._commit.settle()
        with disk_errors(self.path):
            blobs = [path for path in self._blobs.iterdir() if _LEFT.match(path.name)]
            return sorted([*blobs, *self.path.glob(".index.json.*.tmp"), *self.path.glob(".oci-layout.*.tmp")])

    def forget(self, name: str, root: Descriptor) -> None:
        """Removes a name from index.json, and then each blob below its root that no other root needs.

        If the root is damaged, its blobs are not known and stay. Raises `IntegrityError` if another root is: then no
        blob is removed.
        """
        mine: list[Digest] = []
        with suppress(IntegrityError, NotFoundError):
            mine = self._below(root)
        self._index.forget({name})
        others = {one.digest: one for one in self.entries()}
        kept = {digest for one in others.values() for digest in self._below(one)}
        for digest in mine:
            if digest not in kept:
                path = self.blob_path(digest)
                with disk_errors(path):
                    path.unlink(missing_ok=True)
        with disk_errors(self._blobs):
            sync_folder(self._blobs)

    def _below(self, root: Descriptor) -> list[Digest]:
        return [one.descriptor.digest if isinstance(one, Node) else one.digest for one in walk(self, root)]


def check_place(path: Path) -> None:
    """Raises `InputError` (`not-empty`) for a folder with other files, where no store can be made."""
    with disk_errors(path):
        if (path / "oci-layout").exists() or not path.exists():
            return
        for entry in path.iterdir():
            if not entry.name.startswith(_OURS):
                raise InputError(
                    "not-empty",
                    f"{path}: not empty (it has {entry.name}), and not a store",
                    "pass an empty or a new folder for the store",
                )


def _receive(fd: int, path: Path, descriptor: Descriptor, opener: Opener, kept: int) -> None:
    """Appends to `fd` from `kept` on, hashing all bytes. Raises `IntegrityError` if the file is not the blob."""
    hasher, size = hashlib.sha256(), 0
    view = memoryview(bytearray(min(CHUNK, max(descriptor.size, 1) + 1)))
    with disk_errors(path):
        while size < kept and (count := os.preadv(fd, [view[: kept - size]], size)):
            hasher.update(view[:count])
            size += count
    file = Filling(fd, size)
    with opener(size) as stream:
        while count := read_into(stream, view):
            size += count
            if size > descriptor.size:
                break
            piece = view[:count]
            hasher.update(piece)
            with disk_errors(path):
                file.write(piece)
    check_sum(descriptor, Digest.from_hash(hasher), size)
