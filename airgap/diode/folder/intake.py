"""`FolderIntake`: what a box copied into a folder becomes deliveries, whatever the files are called now.

A file is known by what is in it: a signature by its statement, AIRGAP.json by the digest that a signature names, each
file of a delivery by the sha256 in AIRGAP.json, a stream by its first bytes. Of a file that was cut or damaged, what
can be proven is taken (`sound_parts`). The folder is only read, unless it is to be emptied.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import disk_error
from airgap.base.errors import AirgapError, IntegrityError, StoreError, TrustError
from airgap.base.inputs import open_plain, read_plain
from airgap.delivery import readme as people
from airgap.delivery.index import MAX_INDEX, MAX_SIGNATURE, MAX_SIGNATURES
from airgap.delivery.on_media import hash_file
from airgap.diode.assembly import Assembly
from airgap.diode.events import RoadListener
from airgap.diode.folder.looked import Settled, Stamp
from airgap.diode.frames import MAGIC
from airgap.diode.inbox import Inbox
from airgap.diode.salvage import sound_parts, volume_by_header
from airgap.diode.stream.receiver import StreamReceiver
from airgap.statements.trust import unverified

LOOK_EVERY = 1.0
"""Seconds between two looks."""
SETTLE = 3.0
"""Seconds for which a file must not have changed."""
PASS_OVER = 60.0
"""Seconds without a new file after which what is missing is said."""
MAX_KEPT = 32 << 20
"""Bytes of signatures that wait for their AIRGAP.json, at most."""
_FOR_GOOD = 1 << 60
"""In place of how much was known: the file need not be looked into again."""


class FolderIntake:
    """Watches one folder. One thread calls `run` or `look`."""

    def __init__(
        self,
        folder: Path,
        inbox: Inbox,
        listener: RoadListener,
        secret: bytes,
        *,
        empty: bool = False,
        settle: float = SETTLE,
    ) -> None:
        """With `empty`, files are deleted once the delivery that they belong to is in the inbox."""
        self.where = str(folder)
        self._folder, self._inbox, self._listener, self._secret, self._empty = folder, inbox, listener, secret, empty
        self._settled = Settled(settle)
        self._done: dict[Path, tuple[Stamp, int]] = {}
        """What was looked into, and how much was known then: more knowledge is a reason to look again."""
        self._known = 0
        self._sums: dict[Path, tuple[Stamp, str]] = {}
        self._signatures: dict[Digest, list[bytes]] = {}
        self._claimed: set[Digest] = set()
        self._texts: dict[str, Digest] = {}
        """Files for people, by their sha256."""
        self._taken: dict[Path, tuple[Stamp, Digest]] = {}
        self._salvaged: dict[tuple[Path, Stamp], set[Digest]] = {}
        """Files whose sound parts were taken, and for which deliveries."""
        self._arriving: dict[Digest, float] = {}
        """Deliveries on the way, and when the last file of each came."""

    def run(self, stop: threading.Event) -> None:
        """Looks until `stop`."""
        while not stop.wait(LOOK_EVERY):
            self.look()

    def look(self) -> None:
        """Takes what is new in the folder. Errors go to the listener."""
        try:
            found = self._settled.look(self._folder, time.monotonic())
            while self._take_all(found):  # one file may say what another is
                pass
            self._clean(found)
        except StoreError as error:
            self._listener.trouble(error)
        self._say_what_is_missing()

    def _take_all(self, found: dict[Path, Stamp]) -> bool:
        """Looks into each file that is new, or that may now be known; true if more is known afterwards."""
        before = self._known
        self._done = {path: done for path, done in self._done.items() if path in found}
        self._sums = {path: one for path, one in self._sums.items() if path in found}
        self._salvaged = {one: done for one, done in self._salvaged.items() if found.get(one[0]) == one[1]}
        for path, stamp in found.items():
            known = self._known
            if self._done.get(path, (None, -1)) in ((stamp, known), (stamp, _FOR_GOOD)):
                continue
            try:
                with suppress(FileNotFoundError):
                    final = self._take(path, stamp)
                    self._done[path] = (stamp, _FOR_GOOD if final else known)
            except OSError as error:
                self._listener.trouble(disk_error(error, path))
            except StoreError as error:  # a full inbox: the file is looked into again
                self._listener.trouble(error)
        return self._known != before

    def _take(self, path: Path, stamp: Stamp) -> bool:
        """Finds out what a file is, and takes it; true if nothing new can change that. Raises `OSError`."""
        fd, _ = open_plain(path)
        try:
            begin = os.pread(fd, len(MAGIC), 0)
            if begin == MAGIC:
                self._stream(fd)
                return True
        finally:
            os.close(fd)
        if stamp.size <= MAX_SIGNATURE and begin[:1] == b"{" and self._signature(path, stamp):
            return True
        sha256 = self._sum(path, stamp) if stamp.size <= MAX_INDEX else ""
        digest = Digest(f"sha256:{sha256}") if sha256 else None
        if digest in self._claimed:
            return self._index(path, stamp, digest)
        if sha256 in self._texts:
            self._taken[path] = (stamp, self._texts[sha256])
            return True
        ways = self._inbox.on_the_way()
        if any(self._file(path, stamp, assembly) for assembly in ways):
            return True
        for assembly in ways:
            self._salvage(path, stamp, assembly)
        return False

    def _stream(self, fd: int) -> None:
        receiver = StreamReceiver(self._inbox, self._listener, self._secret)
        while data := os.read(fd, CHUNK):
            receiver.feed(data)
        self._known += 1

    def _sum(self, path: Path, stamp: Stamp) -> str:
        """The sha256 of a file, read once; `""` if it changes meanwhile."""
        before = self._sums.get(path)
        if before is None or before[0] != stamp:
            with suppress(IntegrityError):
                self._sums[path] = (stamp, hash_file(path, stamp.size))
        return self._sums[path][1] if path in self._sums and self._sums[path][0] == stamp else ""

    def _signature(self, path: Path, stamp: Stamp) -> bool:
        """Keeps a statement, until AIRGAP.json is there that it speaks of."""
        data = read_plain(path, MAX_SIGNATURE) or b""
        try:
            subject = unverified(data, str(path)).subject
        except TrustError:
            return False
        kept = self._signatures.setdefault(subject, [])
        total = sum(len(one) for signed in self._signatures.values() for one in signed)
        if data not in kept and len(kept) < MAX_SIGNATURES and total + len(data) <= MAX_KEPT:
            kept.append(data)
            self._known += 1
            self._inbox.add_signature(subject, data)
        self._taken[path] = (stamp, subject)
        if subject not in self._claimed:
            try:
                self._claimed.add(self._inbox.claimed([data]))
                self._known += 1
            except AirgapError as error:
                self._listener.turned_away(subject, error)
        return True

    def _index(self, path: Path, stamp: Stamp, digest: Digest) -> bool:
        data = read_plain(path, MAX_INDEX) or b""
        if Digest.of(data) != digest:
            return False
        self._taken[path] = (stamp, digest)
        try:
            found = self._inbox.admit(data, self._signatures[digest])
        except StoreError:
            raise
        except AirgapError as error:
            self._listener.turned_away(digest, error)
            return True
        if not isinstance(found, Assembly):
            self._listener.already(found)
            return True
        self._listener.began(found)
        readme = people.readme(found.index, data)
        for text in (readme, people.sums(found.index, data, readme)):
            self._texts[hashlib.sha256(text).hexdigest()] = digest
        self._arriving[digest] = time.monotonic()
        self._known += 1
        return True

    def _file(self, path: Path, stamp: Stamp, assembly: Assembly) -> bool:
        """Takes a file of a delivery. True if it is one."""
        sizes = [number for number, file in enumerate(assembly.files) if file.size == stamp.size]
        sha256 = self._sum(path, stamp) if sizes else ""
        for number in sizes:
            if sha256 == assembly.files[number].sha256:
                self._taken[path] = (stamp, assembly.digest)
                if not assembly.has(number, 0, stamp.size):
                    self._copy(path, assembly, number, [(0, stamp.size)])
                return True
        return False

    def _salvage(self, path: Path, stamp: Stamp, assembly: Assembly) -> None:
        """Takes what can be proven of a file that may be a cut or damaged volume. It is not deleted, and may still be
        a whole volume of another delivery that begins with the same blob.
        """
        if assembly.digest in self._salvaged.setdefault((path, stamp), set()):
            return
        fd, _ = open_plain(path)
        try:
            volume = volume_by_header(assembly.index, fd)
            sound = [] if volume is None else list(sound_parts(assembly.index, volume, fd))
        finally:
            os.close(fd)
        if volume is not None:
            self._copy(path, assembly, volume, [one for one in sound if not assembly.has(volume, *one)])
        self._salvaged[path, stamp].add(assembly.digest)

    def _copy(self, path: Path, assembly: Assembly, number: int, ranges: list[tuple[int, int]]) -> None:
        fd, _ = open_plain(path)
        try:
            for begin, end in ranges:
                at = begin
                while at < end and (data := os.pread(fd, min(CHUNK, end - at), at)):
                    assembly.write(number, at, data)
                    at += len(data)
        finally:
            os.close(fd)
        if ranges:
            self._arriving[assembly.digest] = time.monotonic()

    def _say_what_is_missing(self) -> None:
        now = time.monotonic()
        for assembly in self._inbox.on_the_way():
            if now - self._arriving.get(assembly.digest, now) >= PASS_OVER:
                del self._arriving[assembly.digest]
                self._listener.pass_over(assembly)

    def _clean(self, found: dict[Path, Stamp]) -> None:
        """Deletes what is in the inbox now, if the folder is to be emptied."""
        self._taken = {path: taken for path, taken in self._taken.items() if found.get(path) == taken[0]}
        if not self._empty:
            return
        for path, (_stamp, digest) in self._taken.items():
            if self._inbox.received.find(digest) is not None:
                with suppress(OSError):
                    path.unlink()
                    for folder in path.parents:
                        if folder == self._folder:
                            break
                        folder.rmdir()  # fails unless it is empty
