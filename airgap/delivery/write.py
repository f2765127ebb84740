"""Writing volumes: one pass over the store, each blob hashed again on the way, volumes written directly.

One thread reads and hashes blobs into 1 MiB buffers, another one hashes and writes the volume. Small blobs share
buffers, and two cores are busy. A volume gets its name only when it is complete and durable. There is no large archive
that is split afterwards.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import Filling, disk_error, replacing, write_below
from airgap.base.errors import AirgapError, DamageError, IntegrityError
from airgap.base.progress import Progress
from airgap.content.graph import Descriptor, Source
from airgap.delivery import tar as tape
from airgap.delivery.bundle_journal import BundleJournal, WrittenFile
from airgap.delivery.contents import volume_name
from airgap.delivery.fields import FileSum
from airgap.delivery.plan import Member, Plan, Volume
from airgap.delivery.sealed import SEALED_SUFFIX
from airgap.delivery.sealing.encrypt import encrypt, encrypt_bytes
from airgap.delivery.sealing.recipients import Recipients

_BUFFERS = 8
"""Buffers between reader and writer: enough to hide a pause of either, 8 MiB in total."""

OnDamage = Callable[[Descriptor, IntegrityError], IntegrityError]


def write_volumes(
    plan: Plan,
    source: Source,
    folder: Path,
    journal: BundleJournal,
    progress: Progress,
    on_damage: OnDamage,
    recipients: Recipients | None = None,
) -> tuple[WrittenFile, ...]:
    """Writes the volumes that the journal does not list yet, encrypted to `recipients`; returns all volumes in order.

    Each blob is checked against its digest; for a damaged one, `on_damage` returns the error to raise. Raises
    `IntegrityError`, `StoreError`, `NotFoundError`.
    """
    hashers: dict[Digest, hashlib._Hash] = {}
    written = []
    for number, volume in enumerate(plan.volumes, 1):
        name = volume_name(number, len(plan.volumes))
        known = journal.done.get(name)
        if known is not None and _size(folder / known.file.name) == known.file.size:
            progress.advance(volume.size)
            _rehash_parts(volume, source, hashers)
            written.append(known)
            continue
        progress.item(name)
        reader = _Reader(source, plan, hashers, progress, on_damage)
        written.append(_write_volume(volume, folder / name, reader, recipients))
        journal.add(written[-1])
        progress.done(name, "written")
    return tuple(written)


def copy_out(plan: Plan, source: Source, path: Path, progress: Progress) -> FileSum:
    """Writes a plan of one volume as a single archive (`airgap extract`). Raises the same errors as `write_volumes`."""
    reader = _Reader(source, plan, {}, progress, lambda _descriptor, error: error)
    return _write_volume(plan.volumes[0], path, reader).plain


def write_small(folder: Path, names: tuple[str, ...], data: bytes, recipients: Recipients | None = None) -> WrittenFile:
    """Writes a small file below `folder`, encrypted to `recipients`."""
    *below, name = names
    plain = file = FileSum(name, hashlib.sha256(data).hexdigest(), len(data))
    if recipients is not None:
        data, name = encrypt_bytes(data, recipients), name + SEALED_SUFFIX
        file = FileSum(name, hashlib.sha256(data).hexdigest(), len(data))
    write_below(folder, (*below, name), data)
    return WrittenFile(plain, file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _rehash_parts(volume: Volume, source: Source, hashers: dict[Digest, hashlib._Hash]) -> None:
    """Hashes the parts of split blobs that were written before an interruption, to continue their hashes."""
    for member in volume.members:
        if member.digest is None or ".part-" not in member.name:
            continue
        hasher = hashers.setdefault(member.digest, hashlib.sha256())
        descriptor = Descriptor("", member.digest, member.start + member.size)
        left = member.size
        with source.open(descriptor, member.start) as stream:
            while left and (piece := stream.read(min(CHUNK, left))):
                hasher.update(piece)
                left -= len(piece)


def _write_volume(volume: Volume, path: Path, reader: _Reader, recipients: Recipients | None = None) -> WrittenFile:
    named = path if recipients is None else path.with_name(path.name + SEALED_SUFFIX)
    # Always the same name: a volume is large, and no one cleans up a medium. An encrypted one is written anew, with a
    # new key: what an interrupted run left of it is never continued.
    partial = path.with_name(f".{named.name}.partial")
    with replacing(named, partial=partial) as fd:
        sink = _Sink(fd, partial) if recipients is None else _SealedSink(fd, partial, recipients)
        try:
            for member in volume.members:
                reader.member(member, sink)
            reader.literal(tape.END, sink)
            digest = sink.finish()
        finally:
            sink.stop()
        made = FileSum(path.name, digest, volume.size)
        return WrittenFile(made, sink.file(named.name) or made)


class _Sink:
    """The output end of the pipe: hashes the volume and writes it, in its own thread."""

    def __init__(self, fd: int, path: Path) -> None:
        self._path = path
        self._hasher = hashlib.sha256()
        self._error: AirgapError | None = None
        self._file = Filling(fd)
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(CHUNK))
        self._buffer, self._used = self._free.get(), 0
        self._thread = threading.Thread(target=self._run, name="volume", daemon=True)
        self._thread.start()

    def space(self) -> memoryview:
        """The buffer for the next bytes; at least one byte long."""
        if self._used == CHUNK:
            self._push()
        return memoryview(self._buffer)[self._used :]

    def filled(self, count: int) -> None:
        """Reports that `count` bytes of `space()` were filled."""
        self._used += count

    def literal(self, data: bytes) -> None:
        """Adds `data`, of any length."""
        view = memoryview(data)
        while view:
            space = self.space()
            count = min(len(space), len(view))
            space[:count] = view[:count]
            self.filled(count)
            view = view[count:]

    def file(self, _name: str) -> FileSum | None:
        """The file, if it is not the volume itself."""
        return None

    def _push(self) -> None:
        self._full.put((self._buffer, self._used))
        self._buffer, self._used = self._free.get(), 0
        if self._error is not None:
            raise self._error

    def finish(self) -> str:
        """Waits until everything is written (not yet synced); returns the volume's sha256 in hex."""
        self._push()
        self.stop()
        if self._error is not None:
            raise self._error
        return self._hasher.hexdigest()

    def stop(self) -> None:
        """Ends the thread; safe to call twice."""
        self._full.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (entry := self._full.get()) is not None:
            buffer, used = entry
            view = memoryview(buffer)[:used]
            try:
                if self._error is None:
                    self._hasher.update(view)
                    self._file.write(view)
            except OSError as error:
                self._error = disk_error(error, self._path)
            view.release()
            self._free.put(buffer)


class _SealedSink(_Sink):
    """Encrypts the volume on its way to the file."""

    def __init__(self, fd: int, path: Path, recipients: Recipients) -> None:
        self._recipients = recipients
        self._sealed = hashlib.sha256()
        self._size = 0
        self._ended = False
        self._at: tuple[bytearray, int, int] = (bytearray(), 0, 0)
        super().__init__(fd, path)

    def file(self, name: str) -> FileSum:
        """The encrypted file."""
        return FileSum(name, self._sealed.hexdigest(), self._size)

    def _run(self) -> None:
        try:
            encrypt(self._read, self._write, self._recipients)
        except OSError as error:
            self._error = self._error or disk_error(error, self._path)
        while not self._ended:
            self._read(CHUNK)

    def _read(self, size: int) -> bytes:
        """The next bytes of the volume."""
        buffer, at, end = self._at
        if at == end and not self._ended:
            if buffer:
                self._free.put(buffer)
            entry = self._full.get()
            self._ended = entry is None
            buffer, end = entry or (bytearray(), 0)
            at = 0
            self._hasher.update(memoryview(buffer)[:end])
        piece = bytes(memoryview(buffer)[at : min(at + size, end)])
        self._at = (buffer, at + len(piece), end)
        return piece

    def _write(self, data: bytes) -> None:
        self._sealed.update(data)
        self._size += len(data)
        try:
            self._file.write(memoryview(data))
        except OSError as error:
            self._error = disk_error(error, self._path)
            raise


class _Reader:
    """The input end of the pipe: reads members and checks blobs."""

    def __init__(
        self,
        source: Source,
        plan: Plan,
        hashers: dict[Digest, hashlib._Hash],
        progress: Progress,
        on_damage: OnDamage,
    ) -> None:
        self._source, self._plan, self._hashers = source, plan, hashers
        self._progress, self._on_damage = progress, on_damage

    def member(self, member: Member, sink: _Sink) -> None:
        """Writes the header, the content and the padding of a member."""
        self.literal(tape.header(member.name, member.size), sink)
        if member.data is not None:
            self.literal(member.data, sink)
        elif member.digest is not None:
            self._blob(member, member.digest, sink)
        self.literal(bytes(tape.padding(member.size)), sink)

    def literal(self, data: bytes, sink: _Sink) -> None:
        """Writes bytes of the archive that belong to no blob."""
        sink.literal(data)
        self._progress.advance(len(data))

    def _blob(self, member: Member, digest: Digest, sink: _Sink) -> None:
        size = sum(extent.length for extent in self._plan.blobs[digest])
        descriptor = Descriptor("", digest, size)
        hasher = self._hashers.setdefault(digest, hashlib.sha256())
        with self._source.open(descriptor, member.start) as stream:
            self._pump(stream, member.size, hasher, descriptor, sink)
        if member.start + member.size == size:
            found = Digest.from_hash(self._hashers.pop(digest))
            if found != digest:
                error = IntegrityError("damaged-blob", f"got {found}, expected {digest} ({size} bytes)")
                raise self._on_damage(descriptor, error)

    def _pump(
        self,
        stream: BinaryIO,
        left: int,
        hasher: hashlib._Hash,
        descriptor: Descriptor,
        sink: _Sink,
    ) -> None:
        readinto = stream.readinto  # type: ignore[attr-defined]
        while left:
            space = sink.space()[:left]
            count = readinto(space)
            if not count:
                error = DamageError("truncated", f"{descriptor.digest}: {left} bytes short")
                raise self._on_damage(descriptor, error)
            hasher.update(space[:count])
            sink.filled(count)
            self._progress.advance(count)
            left -= count
