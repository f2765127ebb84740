"""`Inbox`: the receiving end of every road. What arrives becomes a folder of the inbox only if `verify` passes it.

How a road gives it what arrived (any thread may):

1. `claimed(signatures)`: the digest of AIRGAP.json for which a signature holds, before anything else is kept. It
   raises for a foreign or forged session, which then gets neither memory nor disk.
2. `admit(index_bytes, signatures)`, once AIRGAP.json with that digest is complete. It returns an `Assembly`, or an
   `Arrived` for a delivery that is in the inbox already (or was, before it was imported). Cheap to call again.
3. `assembly.write(file, offset, data)`: bytes of the file with this number in `assembly.files` (from 0, the order of
   `payload`), of any size, in any order, as often as they come. `assembly.has(file, begin, end)` says what need not
   be brought again, `assembly.missing()` what is not there.

The rest is done by the inbox's own thread: what was written is synced and put into the journal every `SYNC_EVERY`
seconds, files are hashed as they grow, evidence.tar is judged as soon as it is there, what was lost is computed if the
delivery has parity files, and a delivery that is whole is verified and renamed into the inbox. A road never waits for
it. `InboxListener` is told what happens.

On the disk: `.airgap-receiving/<hex>/` and `<hex>.journal` for each delivery on its way (`airgap.diode.assembly`),
`.airgap-receiving/received.jsonl` for those that were finished. All of it is closed to other accounts, and a finished
delivery is as open as the inbox.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Protocol

from airgap.base.digest import Digest, is_digest
from airgap.base.disk import check_free, disk_errors, make_folder, make_private, sync_folder, write_durably
from airgap.base.errors import AirgapError, IntegrityError, MissingStatementError, StoreError
from airgap.base.times import utc_text
from airgap.delivery import readme as people
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.files import Listing, first_files, payload, read_listing
from airgap.delivery.index import README_NAME, SUMS_NAME
from airgap.delivery.journey import Journey
from airgap.delivery.read import open_media
from airgap.diode.assembly import Assembly, journal_path, signature_path
from airgap.diode.events import InboxListener
from airgap.diode.journal import Journal
from airgap.diode.mending import may_be_mended, mend
from airgap.diode.received import Arrived, Received, folder_name

HIDDEN = ".airgap-receiving"
"""The folder of what is on its way, in the inbox."""
SYNC_EVERY = 2.0
"""Seconds after which what was written becomes durable: what a kill of the receiver costs at most."""
MAX_OPEN = 64
"""Deliveries that are on their way at the same time."""
REFUSED_FOR = 60.0
"""Seconds for which a delivery that was refused is not looked at again: roads repeat their beginning."""
MEND_AFTER = 10.0
"""Seconds without a byte after which what is missing is computed, if it can be: the sender may be about to bring it."""
SLACK = 16 << 20
"""Bytes that are kept free besides the files of deliveries: for journals, texts and file systems."""


class InboxGate(Protocol):
    """Who decides what may come in."""

    def claimed(self, signatures: Sequence[bytes]) -> Digest:
        """The digest that a delivery statement among `signatures` is about. Raises `TrustError`."""

    def admit(self, index: bytes, signatures: Sequence[bytes]) -> Listing:
        """Checks the signatures, then parses AIRGAP.json, and checks the journey. Raises `TrustError`, …"""

    def judge(self, folder: Path) -> None:
        """Checks evidence.tar in `folder`, as `verify --index-only` does. Raises `TrustError`, `IntegrityError`."""

    def verify(self, folder: Path) -> None:
        """Checks a delivery whose files have their sums, as `verify` does. Raises `TrustError`, `IntegrityError`."""


class Inbox:
    """A folder where deliveries arrive, and what is on its way there."""

    def __init__(self, folder: Path, gate: InboxGate, listener: InboxListener, clock: Callable[[], datetime]) -> None:
        """Opens or makes the inbox, and goes on with what no other process receives. Raises `StoreError`."""
        self.folder, self._gate, self._listener, self._clock = folder, gate, listener, clock
        self._hidden = folder / HIDDEN
        make_folder(folder)
        make_private(self._hidden)
        self._lock = threading.RLock()
        self._working = threading.RLock()
        self._open: dict[Digest, Assembly] = {}
        self._judged: set[Digest] = set()
        self._waiting: set[Digest] = set()
        """Deliveries that lack a statement, such as an approval, which may come later."""
        self._tried: dict[Digest, int] = {}
        """How much had arrived when it was tried last to compute the rest."""
        self._aside: dict[Digest, float] = {}
        """Deliveries whose bytes are on the disk and that were refused, and when each is tried again."""
        self._refused: dict[Digest, tuple[float, AirgapError]] = {}
        self._synced = 0.0
        self._last = False
        self.elsewhere = 0
        """Deliveries on their way that another process has, or that the disk refuses: they stay as they are."""
        self.received = Received(self._hidden / "received.jsonl")
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._go_on()

    # for roads

    def claimed(self, signatures: Sequence[bytes]) -> Digest:
        """As `InboxGate.claimed`."""
        return self._gate.claimed(signatures)

    def admit(self, index_bytes: bytes, signatures: Sequence[bytes]) -> Assembly | Arrived:
        """The assembly of a delivery that may come in, or where it is already.

        Raises `TrustError`, `IntegrityError` for one that may not, `DiskFullError` (`disk-full`) if it has no room,
        `StoreError` (`locked`, `inbox-full`).
        """
        digest = Digest.of(index_bytes)
        with self._lock:
            if (arrived := self.received.find(digest)) is not None:
                return arrived
            if digest in self._open:
                for data in signatures:
                    self.add_signature(digest, data)
                return self._open[digest]
            until, error = self._refused.get(digest, (0.0, None))
            if error is not None and time.monotonic() < until:
                raise error
            try:
                return self._admit(digest, index_bytes, signatures)
            except AirgapError as refusal:
                if len(self._refused) >= MAX_OPEN:
                    self._refused.clear()
                self._refused[digest] = (time.monotonic() + REFUSED_FOR, refusal)
                raise

    def add_signature(self, digest: Digest, data: bytes) -> None:
        """Adds a signature that came later, such as an approval, to a delivery that is on its way or in the inbox.

        One that is bad is dropped. Raises `StoreError`.
        """
        with self._lock:
            arrived = self.received.find(digest)
            if digest in self._open:
                folder = self._open[digest].folder
            elif arrived is not None:
                folder = self.folder / arrived.folder
            else:
                return
            if not (folder / INDEX_NAME).is_file() or signature_path(folder, data).exists():
                return
            try:
                media = open_media([folder])
                if media.digest == digest and data not in media.signatures.values():
                    self._gate.admit(media.index_bytes, [*media.signatures.values(), data])
                    write_durably(signature_path(folder, data), data)
            except StoreError:
                raise
            except AirgapError:
                return
            self._waiting.discard(digest)

    def _admit(self, digest: Digest, index_bytes: bytes, signatures: Sequence[bytes]) -> Assembly:
        index = self._gate.admit(index_bytes, signatures)
        if len(self._open) >= MAX_OPEN:
            raise StoreError(
                "inbox-full",
                f"{self.folder}: {MAX_OPEN} deliveries are on their way here, which is the most",
                f"send again what is missing of them, or remove some from {self._hidden}",
            )
        needed = sum(file.size for file in payload(index)) + sum(
            one.total - one.received for one in self._open.values()
        )
        check_free(self.folder, needed + SLACK, "what is on its way")
        made = Assembly(self._hidden / digest.hex, index_bytes, signatures, index)
        self._open[digest] = made
        return made

    def on_the_way(self) -> list[Assembly]:
        """The deliveries that are not whole yet."""
        with self._lock:
            return list(self._open.values())

    # its own thread

    def start(self) -> None:
        """Begins the work in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    def settle(self, *, last: bool = False) -> None:
        """Does at once what there is to do, also what would wait for its time. `last`: no road brings more."""
        with self._working:
            self._synced, self._last = 0.0, last
            self.work()

    def stop(self) -> None:
        """Ends the thread, makes durable what arrived, and gives up the locks."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._working, self._lock:
            for assembly in self._open.values():
                try:
                    assembly.sync()
                except StoreError as error:
                    self._listener.trouble(error)
                assembly.close()
            self._open.clear()

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.2):
                self.work()
        except BaseException as error:  # noqa: BLE001
            self._failure = error

    def check(self) -> None:
        """Raises what ended the inbox's own thread: a bug must not look like a road on which nothing comes."""
        if self._failure is not None:
            raise self._failure

    def work(self) -> None:
        """Does what there is to do now: sync, hash, judge, finish. Errors go to the listener."""
        with self._working:
            self._work()

    def _work(self) -> None:
        for digest in [digest for digest, due in self._aside.items() if time.monotonic() >= due]:
            del self._aside[digest]
            with self._lock, contextlib.suppress(StoreError):
                if digest not in self._open:
                    self._open_again(digest, self._hidden / digest.hex)
        for assembly in self.on_the_way():
            try:
                self._work_on(assembly)
            except StoreError as error:
                self._listener.trouble(error)
            except MissingStatementError as error:
                self._waiting.add(assembly.digest)
                self._listener.trouble(error.with_where(f"delivery {assembly.digest.short}"))
            except AirgapError as error:
                self._refuse(assembly, error)
        if time.monotonic() - self._synced >= SYNC_EVERY:
            self._synced = time.monotonic()

    def _work_on(self, assembly: Assembly) -> None:
        if time.monotonic() - self._synced >= SYNC_EVERY:
            assembly.sync()
        while not self._stop.is_set() and assembly.hash_some():
            while assembly.damaged:
                self._listener.damaged(assembly, *assembly.damaged.pop())
            if time.monotonic() - self._synced >= SYNC_EVERY:
                assembly.sync()
        if assembly.digest in self._waiting or self._stop.is_set():
            return
        first = first_files(assembly.index)
        if assembly.digest not in self._judged and all(assembly.good(one.name) for one in first):
            self._gate.judge(assembly.folder)
            self._judged.add(assembly.digest)
        if self._last or time.monotonic() - assembly.changed >= MEND_AFTER:
            self._mend(assembly)
        if assembly.whole:
            assembly.sync()
            self._finish(assembly)

    def _mend(self, assembly: Assembly) -> None:
        """Computes what is missing, once for each state of what arrived."""
        if self._tried.get(assembly.digest) == assembly.received or not may_be_mended(assembly):
            return
        assembly.sync()
        self._tried[assembly.digest] = assembly.received
        try:
            names = mend(assembly)
        except IntegrityError as error:  # it only could not be computed: it is as missing as before
            self._listener.trouble(error)
            return
        if names:
            self._listener.mended(assembly, names)

    def _finish(self, assembly: Assembly) -> None:
        """Verifies a whole delivery, and renames it into the inbox.

        1. Write README.txt and SHA256SUMS, which are functions of AIRGAP.json. 2. Verify. 3. Sync the folder. 4. Rename
        it. 5. Note that it was received. 6. Remove the journal: if a kill came before, `_go_on` does 5 and 6.
        """
        # 1.
        data = (assembly.folder / INDEX_NAME).read_bytes()
        readme = people.readme(assembly.index, data)
        write_durably(assembly.folder / README_NAME, readme)
        write_durably(assembly.folder / SUMS_NAME, people.sums(assembly.index, data, readme))
        # 2.
        self._gate.verify(assembly.folder)
        with self._lock, disk_errors(assembly.folder):
            # 3.
            sync_folder(assembly.folder)
            # 4.
            name = self._free_name(assembly.index.journey, assembly.digest)
            os.rename(assembly.folder, self.folder / name)
            sync_folder(self.folder)
            sync_folder(self._hidden)
            # 5.
            arrived = self._arrived(assembly.digest, assembly.index, name)
            noted = self._note(arrived)
            # 6.
            self._close(assembly, remove=noted)
        self._listener.finished(arrived)

    def _note(self, arrived: Arrived) -> bool:
        """Notes a delivery that was received. If the disk refuses, its journal stays, and the next start notes it."""
        try:
            self.received.add(arrived)
        except StoreError as error:
            self._listener.trouble(error)
            return False
        return True

    def _refuse(self, assembly: Assembly, error: AirgapError) -> None:
        """Sets a delivery aside. What arrived stays on the disk: a wrong clock or Trust resource can be put right."""
        with self._lock:
            self._close(assembly, remove=False)
            self._set_aside(assembly.digest, error)

    def _set_aside(self, digest: Digest, error: AirgapError) -> None:
        self._refused[digest] = (time.monotonic() + REFUSED_FOR, error)
        self._aside[digest] = time.monotonic() + REFUSED_FOR
        self._listener.refused(digest, error)

    def _close(self, assembly: Assembly, *, remove: bool) -> None:
        del self._open[assembly.digest]
        self._tried.pop(assembly.digest, None)
        self._judged.discard(assembly.digest)
        self._waiting.discard(assembly.digest)
        assembly.close(remove=remove)

    def _free_name(self, journey: Journey, digest: Digest) -> str:
        name = plain = folder_name(journey, digest)
        for number in count(2):
            if not os.path.lexists(self.folder / name):
                break
            name = f"{plain}-{number}"
        return name

    def _arrived(self, digest: Digest, index: Listing, name: str) -> Arrived:
        total = sum(file.size for file in payload(index))
        return Arrived(digest, name, index.journey.stream, index.journey.sequence, total, utc_text(self._clock()))

    # after a restart

    def _go_on(self) -> None:
        """Opens again what was on its way. What may not come in any more, or was never begun, is removed."""
        with disk_errors(self._hidden):
            folders = sorted(path.with_suffix("") for path in self._hidden.glob("*.journal"))
        for folder in folders:
            if is_digest(f"sha256:{folder.name}"):
                try:
                    self._open_again(Digest(f"sha256:{folder.name}"), folder)
                except StoreError:
                    self.elsewhere += 1

    def _open_again(self, digest: Digest, folder: Path) -> None:
        if not (folder / INDEX_NAME).is_file():
            Journal(journal_path(folder)).close()  # raises if another process is just beginning it
            self._note_renamed(digest)
            shutil.rmtree(folder, ignore_errors=True)
            Journal(journal_path(folder)).close(remove=True)
            return
        try:
            media = open_media([folder])
            signatures = list(media.signatures.values())
            index = self._gate.admit(media.index_bytes, signatures)
            self._open[digest] = Assembly(folder, media.index_bytes, signatures, index)
            self._refused.pop(digest, None)
            self._aside.pop(digest, None)
        except StoreError:
            raise
        except AirgapError as error:
            self._set_aside(digest, error)

    def _note_renamed(self, digest: Digest) -> None:
        """Notes a delivery that was renamed into the inbox just before a kill."""
        if self.received.find(digest) is not None:
            return
        with disk_errors(self.folder):
            names = [
                entry.name for entry in os.scandir(self.folder) if digest.hex[:12] in entry.name and entry.is_dir()
            ]
        for name in names:
            with contextlib.suppress(AirgapError):
                media = open_media([self.folder / name])
                if media.digest == digest:
                    self.received.add(self._arrived(digest, read_listing(media.index_bytes), name))
