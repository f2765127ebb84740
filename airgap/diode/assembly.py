"""`Assembly`: one delivery that arrives in any order, in pieces of any size, more than once, over days.

It is a hidden folder of the inbox, `.airgap-receiving/<hex>/`, that becomes the delivery: AIRGAP.json, signatures/, and
each file of `payload`, sparse until it is whole. What is durable is in the journal next to it (`airgap.diode.journal`).
Names and sizes come from the signed index alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import Filling, disk_errors, make_folder, sync_folder, write_durably
from airgap.base.errors import StoreError
from airgap.delivery.fields import INDEX_NAME, FileSum
from airgap.delivery.files import Listing, payload
from airgap.delivery.index import SIGNATURE_SUFFIX, SIGNATURES
from airgap.diode.journal import Journal
from airgap.diode.ranges import Ranges
from airgap.diode.salvage import sound_parts

MAX_RANGES = 100_000
"""Ranges of all files together: a write that would make one more is dropped, and so stays missing."""
HASH_STEP = 16 << 20
"""Bytes that are hashed in one step of a file that grows from its beginning."""

Missing = Mapping[int, Sequence[tuple[int, int]]]
"""By the number of a file: the ranges [begin, end) of it that are not there."""


@dataclass(slots=True)
class _Part:
    """A file on its way."""

    entry: FileSum
    here: Ranges
    """What was written, durable or not."""
    durable: Ranges
    """What the journal says is on the disk."""
    fresh: Ranges
    """What was written since the last sync."""
    hasher: hashlib._Hash
    writing: threading.Lock = field(default_factory=threading.Lock)
    """One writer at a time: two roads may bring the same bytes, and those of one may be damaged."""
    hashed: int = 0
    """How many bytes from the beginning are in `hasher`."""
    replaced: bool = False
    """True while the whole file is written beside this one: what a road brings is dropped."""
    good: bool = False
    """True once the whole file had the sha256 of the index, in this process."""


class Assembly:
    """A delivery on its way. `write` may be called by any thread; the rest is for the inbox's own thread."""

    def __init__(self, folder: Path, index_bytes: bytes, signatures: Sequence[bytes], index: Listing) -> None:
        """Opens or makes the assembly in `folder`. `index` is trusted: its signature was verified by the caller.

        Raises `StoreError` (`locked` if another process receives this delivery).
        """
        self.folder, self.index, self.digest = folder, index, Digest.of(index_bytes)
        self.files = payload(index)
        """The files by their numbers, from 0: what `write` is told."""
        self.damaged: list[tuple[str, int]] = []
        """Files that arrived whole and wrong: the name, and how many bytes of it are missing again."""
        self.changed = time.monotonic()
        """When bytes came last."""
        self._ranges = 0
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._parts: list[_Part] = []
        self._journal = Journal(journal_path(folder))
        try:
            self._keep_small(index_bytes, signatures)
            self._open_parts()
        except BaseException:
            self.close()
            raise

    def _keep_small(self, index_bytes: bytes, signatures: Sequence[bytes]) -> None:
        """Stores AIRGAP.json and the signatures that were accepted now, AIRGAP.json last."""
        make_folder(self.folder / SIGNATURES)
        for data in signatures:
            write_durably(signature_path(self.folder, data), data)
        write_durably(self.folder / INDEX_NAME, index_bytes)

    def _open_parts(self) -> None:
        kept = self._journal.read([file.size for file in self.files])
        for file, ranges in zip(self.files, kept, strict=True):
            path = self.folder / file.name
            with disk_errors(path), _opened(path, os.O_RDWR | os.O_CREAT) as fd:
                # Of a new file, or one where another hand was, nothing is believed.
                as_left = os.fstat(fd).st_size == file.size
                os.ftruncate(fd, file.size)
            here, durable = Ranges(), Ranges()
            for begin, end in ranges if as_left else ():
                here.add(begin, end)
                durable.add(begin, end)
            self._parts.append(_Part(file, here, durable, Ranges(), hashlib.sha256()))
        with disk_errors(self.folder):
            sync_folder(self.folder)

    # for roads

    def write(self, file: int, offset: int, data: bytes | bytearray | memoryview) -> bool:
        """Writes bytes of a file at `offset`; returns false if they are out of bounds, one range too many, or too late.

        Bytes that are there already stay as they are: they may be hashed, and what comes again may be damaged. The
        others are whole, but not durable yet: see `sync`. Raises `StoreError` (`DiskFullError`): nothing of `data`
        counts then.
        """
        end = offset + len(data)
        if (
            self._closed.is_set()
            or not 0 <= file < len(self._parts)
            or offset < 0
            or end > self._parts[file].entry.size
        ):
            return False
        part = self._parts[file]
        with part.writing:
            with self._lock:
                holes = part.here.holes(offset, end)
                crowded = self._ranges >= MAX_RANGES and not part.here.touches(offset, end)
                if crowded or (holes and part.replaced):
                    return False
            if not holes:
                return True
            path, view = self.folder / part.entry.name, memoryview(data)
            try:
                with disk_errors(path), _opened(path, os.O_WRONLY) as fd:
                    for begin, stop in holes:
                        Filling(fd, begin).write(view[begin - offset : stop - offset])
            except StoreError:
                if self._closed.is_set():
                    return False
                raise
            with self._lock:
                self.changed = time.monotonic()
                self._ranges -= len(part.here)
                part.here.add(offset, end)
                part.fresh.add(offset, end)
                self._ranges += len(part.here)
        return True

    def read(self, file: int, offset: int, into: memoryview) -> None:
        """Reads bytes back that are there: a road that repairs a block needs those of it that came before.

        Raises `StoreError`.
        """
        path = self.folder / self._parts[file].entry.name
        with disk_errors(path), _opened(path, os.O_RDONLY) as fd:
            while into:
                count = os.preadv(fd, [into], offset)
                if not count:
                    raise OSError(errno.EIO, "the file became shorter while it was read")
                into, offset = into[count:], offset + count

    def has(self, file: int, begin: int, end: int) -> bool:
        """True if these bytes were written: a road need not bring them."""
        with self._lock:
            return 0 <= file < len(self._parts) and self._parts[file].here.covers(begin, end)

    def missing(self) -> Missing:
        """What is not there, exactly; empty once every file is whole."""
        with self._lock:
            found = {n: part.here.lacking(part.entry.size) for n, part in enumerate(self._parts)}
        return {number: ranges for number, ranges in found.items() if ranges}

    @property
    def closed(self) -> bool:
        """True once the delivery is in the inbox, or was set aside: nothing more is written."""
        return self._closed.is_set()

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def received(self) -> int:
        """Bytes that are there."""
        with self._lock:
            return sum(part.here.count for part in self._parts)

    # for the inbox

    def sync(self) -> None:
        """Makes what was written durable, and says so in the journal. Raises `StoreError`: then none of it counts."""
        for number, part in enumerate(self._parts):
            with self._lock:
                fresh, part.fresh = part.fresh, Ranges()
                self._ranges = sum(len(one.here) for one in self._parts) if len(fresh) else self._ranges
            if not len(fresh):
                continue
            try:
                path = self.folder / part.entry.name
                with disk_errors(path), _opened(path, os.O_WRONLY) as fd:
                    os.fdatasync(fd)
                self._journal.add((number, begin, end) for begin, end in fresh)
            except StoreError:
                self._forget(part, fresh)
                raise
            for begin, end in fresh:
                part.durable.add(begin, end)
        self._journal.shorten([part.durable for part in self._parts])

    def _forget(self, part: _Part, ranges: Iterable[tuple[int, int]]) -> None:
        """Takes back what cannot be relied on: it is missing again."""
        with self._lock:
            for begin, end in ranges:
                part.here.remove(begin, end)
            part.hasher, part.hashed, part.good = hashlib.sha256(), 0, False

    def hash_some(self) -> bool:
        """Hashes a step of what arrived, in the order of each file; returns false if there is nothing to do now.

        A file that is whole and has another sha256 loses what is not sound (`sound_parts`). Raises `StoreError`.
        """
        for number, part in enumerate(self._parts):
            with self._lock:
                ready = part.here.first_end() - part.hashed
            whole = ready + part.hashed == part.entry.size
            if part.good or (ready < HASH_STEP and not whole):
                continue
            self._hash(part, min(ready, HASH_STEP))
            if part.hashed == part.entry.size:
                self._judge(number, part)
            return True
        return False

    def _hash(self, part: _Part, count: int) -> None:
        buffer = memoryview(bytearray(min(CHUNK, max(1, count))))
        path = self.folder / part.entry.name
        with disk_errors(path), _opened(path, os.O_RDONLY) as fd:
            while count:
                got = os.preadv(fd, [buffer[:count]], part.hashed)
                if not got:
                    raise OSError(errno.EIO, "the file became shorter while it was read")
                part.hasher.update(buffer[:got])
                count, part.hashed = count - got, part.hashed + got

    def _judge(self, number: int, part: _Part) -> None:
        """Whether a whole file is what the index says; if it is not, finds out what of it is."""
        if part.hasher.hexdigest() == part.entry.sha256:
            part.good = True
            return
        path = self.folder / part.entry.name
        with disk_errors(path), _opened(path, os.O_RDONLY) as fd:
            sound = sound_parts(self.index, number, fd)
        lost = sound.lacking(part.entry.size) or [(0, part.entry.size)]
        self._forget(part, lost)
        with self._lock:
            fresh, part.fresh = part.fresh, Ranges()
            for begin, end in lost:
                part.durable.remove(begin, end)
                fresh.remove(begin, end)
            part.fresh = fresh
        self._journal.add(((number, begin, end) for begin, end in lost), gone=True)
        self.damaged.append((part.entry.name, sum(end - begin for begin, end in lost)))

    @contextmanager
    def replacing(self, numbers: Sequence[int]) -> Iterator[None]:
        """The block puts files with the sha256 of the index in place of what came of these, durably.

        Raises `StoreError`.
        """
        parts = [(number, self._parts[number]) for number in numbers]
        for _, part in parts:
            with part.writing:
                part.replaced = True
        try:
            yield
            for number, part in parts:
                with self._lock:
                    part.here.add(0, part.entry.size)
                    part.durable.add(0, part.entry.size)
                    part.fresh, part.good = Ranges(), True
                self._journal.add([(number, 0, part.entry.size)])
        finally:
            for _, part in parts:
                part.replaced = False

    def good(self, name: str) -> bool:
        """True if the file is whole and has the sha256 of the index."""
        return any(part.good for part in self._parts if part.entry.name == name)

    @property
    def whole(self) -> bool:
        """True if every file is."""
        return all(part.good for part in self._parts)

    def close(self, *, remove: bool = False) -> None:
        """Ends the work here. With `remove`, the delivery was finished or refused, and the journal goes.

        The folder is the caller's. Raises `StoreError`.
        """
        self._closed.set()
        self._journal.close(remove=remove)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """The descriptor of a file of the assembly, for one piece of work: there may be ten thousand files."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def signature_path(folder: Path, data: bytes) -> Path:
    """Where a signature is stored in the folder of a delivery: two roads may bring the same ones."""
    return folder / SIGNATURES / f"{hashlib.sha256(data).hexdigest()[:16]}{SIGNATURE_SUFFIX}"


def journal_path(folder: Path) -> Path:
    """The journal of the assembly in `folder`."""
    return folder.with_name(f"{folder.name}.journal")
