"""The files that a station keeps in its store, next to the content.

In a store: `airgap/log.jsonl` (the hash-chained log), `airgap/statements/` (the station's own statements about locks,
deliveries and waivers, see `keep`), `airgap/received/` (statements that were included in deliveries), `airgap/locks/`
(those that were used here), `airgap/uses/` and
`airgap/cutting/` (see `uses`), `airgap/in-use/` (see `store.in_use`), `airgap/waivers/`, `airgap/roots/`,
`airgap/reports/` and `airgap/vex/` (those that verdicts name), `airgap/scans/` and `airgap/sboms/` (see `scans`),
`airgap/scanning/` (what scanners keep, and where they work), `airgap/database-info/` (what scanner databases say of
themselves), `airgap/deliveries/` (the AIRGAP.json of each delivery that was cut here), `airgap/deliveries-inner/` (what
is in that of encrypted ones), `airgap/streams/` (sequence counters), `airgap/trust/` (Trust resources of receiving
sides, which people put there), `airgap/work/` (temporary and resumable work of kinds).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.digest import Digest, is_digest
from airgap.base.disk import disk_errors, make_folder, mode_in, write_durably
from airgap.base.errors import StoreError
from airgap.base.inputs import read_plain
from airgap.base.json_fields import MAX_NUMBER
from airgap.base.locks import locked
from airgap.base.strict_json import decode_json
from airgap.content.item import Item
from airgap.content.lock import MAX_LOCK, Lock
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE

if TYPE_CHECKING:
    from airgap.statements.log import StationLog


STATEMENTS = "statements"
RECEIVED = "received"
FOUND = "found"
PRUNES = "prunes"
SUFFIX = ".sigstore.json"
"""The end of the name of every statement."""
PINS = "airgap.git/"
"""The beginning of the names of a store that are not those of items."""
LOG = "log.jsonl"
LAST_SIGNED = ".last-signed"
"""The statement that was signed last, next to the log: its caller may not have kept it yet."""
CUT = "deliveries"
CUT_INNER = "deliveries-inner"
UNKEPT = "unkept"
"""The folder of those that nobody kept, because the machine stopped."""
ACCEPTED = "accepted.sigstore.json"
"""The newest list of accepted deliveries that this station signed."""


def pin_name(item: Item) -> str:
    """The store's name for a locked Git item, whose root is known only after packing."""
    return f"{PINS}{item.pin.hex}"


@dataclass(frozen=True, slots=True)
class Records:
    """The files of a station in `folder` (a store's `airgap/`, or a Sovereign's stateDir)."""

    folder: Path

    def log(self) -> StationLog:
        """The station's log."""
        from airgap.statements.log import StationLog  # imported here, because not every command signs

        return StationLog(self.folder / LOG)

    def work(self) -> Path:
        """A folder for work that a later run may continue."""
        return self._made("work")

    def save_statement(self, kind: str, subject: Digest, bundle: bytes) -> Path:
        """Keeps this station's newest statement of a kind about a subject, besides the earlier ones."""
        return keep(self._made(STATEMENTS), f"{kind}-{subject.hex}", bundle)

    def rescue(self, folder: str, data: bytes) -> Path | None:
        """Keeps a statement that is about to be replaced elsewhere, unless `folder` has it already; gives its new path.

        It is only kept: nothing reads it again. Its station may have been this one before its state was lost.
        """
        if keeps(self.folder / folder, data):
            return None
        path = self._made(FOUND) / f"{Digest.of(data).hex}{SUFFIX}"
        self._write(path, data)
        return path

    def save_plan(self, digest: Digest, plan: bytes, approval: bytes) -> None:
        """Stores an approved prune plan under its digest, and its approval."""
        folder = self._made(PRUNES)
        self._write(folder / f"{digest.hex}.json", plan)
        self._write(folder / f"{digest.hex}.approval{SUFFIX}", approval)

    def save_accepted(self, bundle: bytes) -> None:
        """Stores the newest signed list of accepted deliveries."""
        self._write(self.folder / ACCEPTED, bundle)

    def statement(self, kind: str, subject: Digest) -> bytes | None:
        """The newest statement of a kind about a subject: this station's own, else a received one, else `None`."""
        own = self.folder / STATEMENTS / f"{kind}-{subject.hex}{SUFFIX}"
        with disk_errors(own):
            if own.exists():
                return _read(own)
        return next(iter(self.received(kind, subject)), None)

    def receive(self, kind: str, subject: Digest, bundles: Sequence[bytes], *, replace: bool) -> None:
        """Stores statements from a delivery, newest first; with `replace`, in front of those of earlier deliveries.

        Without `replace`, they are stored only if there are none yet. The order is in their file names.
        """
        folder, stem = self._made(RECEIVED), f"{kind}-{subject.hex}"
        kept = self.received(kind, subject)
        if kept and not replace:
            return
        ordered = list(dict.fromkeys([*bundles, *kept]))
        # Write the last one first: the file with the first name, the newest, is then always complete.
        for number, bundle in reversed([*enumerate(ordered)]):
            self._write(folder / f"{stem}.{number:04d}{SUFFIX}", bundle)

    def received(self, kind: str, subject: Digest) -> list[bytes]:
        """The received statements of a kind about a subject, newest first."""
        folder = self.folder / RECEIVED
        with disk_errors(folder):
            found = sorted(folder.glob(f"{kind}-{subject.hex}.*{SUFFIX}"))
            return [_read(path) for path in found]

    def save_lock(self, lock: Lock) -> Path:
        """Stores a lock that is used here, under its name and the beginning of its digest."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", lock.name)[:100].lstrip(".") or "lock"
        path = self._made("locks") / f"{plain}-{lock.digest.hex[:12]}.json"
        self._write(path, lock.encode())
        return path

    def lock(self, digest: Digest) -> Lock | None:
        """A lock that was used here; `None` if it is missing or changed."""
        folder = self.folder / "locks"
        with disk_errors(folder):
            found = sorted(folder.glob(f"*-{digest.hex[:12]}.json"))
            for path in found:
                data = read_plain(path, MAX_LOCK) or b""
                if Digest.of(data) == digest:
                    return Lock.decode(data, str(path))
        return None

    def has(self, kind: str) -> bool:
        """True if this station made a statement of this kind, whatever its subject."""
        return bool(made_of(self.folder, kind))

    def save_waiver(self, data: bytes) -> None:
        """Stores the file of a waiver under its digest."""
        self._write(self._made("waivers") / f"{Digest.of(data).hex}.yaml", data)

    def waiver(self, digest: Digest) -> bytes | None:
        """The file of a waiver; `None` if it is missing or changed."""
        return self._kept(self.folder / "waivers" / f"{digest.hex}.yaml", digest)

    def save_root(self, data: bytes) -> None:
        """Stores a trust root that a verdict names, under its digest."""
        self._write(self._made("roots") / f"{Digest.of(data).hex}.json", data)

    def root(self, digest: Digest) -> bytes | None:
        """A trust root; `None` if it is missing or changed."""
        return self._kept(self.folder / "roots" / f"{digest.hex}.json", digest)

    def save_vex(self, data: bytes, bundle: bytes) -> None:
        """Stores an OpenVEX document that a verdict names, under its digest, and its signature if it has one."""
        name = Digest.of(data).hex
        self._write(self._made("vex") / f"{name}.json", data)
        if bundle:
            self._write(self._made("vex") / f"{name}{SUFFIX}", bundle)

    def vex(self, digest: Digest) -> bytes | None:
        """An OpenVEX document; `None` if it is missing or changed."""
        return self._kept(self.folder / "vex" / f"{digest.hex}.json", digest)

    def vex_signature(self, digest: Digest) -> bytes | None:
        """The signature of a document that came in a file; `None` if there is none. Nothing here reads it again."""
        path = self.folder / "vex" / f"{digest.hex}{SUFFIX}"
        with disk_errors(path):
            return _read(path) if path.exists() else None

    def save_report(self, data: bytes) -> None:
        """Stores a scanner report that a verdict names, under its digest."""
        self._write(self._made("reports") / f"{Digest.of(data).hex}.json", data)

    def report(self, digest: Digest) -> bytes | None:
        """A scanner report; `None` if it is missing or changed."""
        return self._kept(self.folder / "reports" / f"{digest.hex}.json", digest)

    def save_database_info(self, digest: Digest, data: bytes) -> None:
        """Notes what a scanner's database says about itself, under the digest of its artifact."""
        self._write(self._made("database-info") / f"{digest.hex}.json", data)

    def database_info(self, digest: Digest) -> bytes | None:
        """That note; `None` if there is none."""
        path = self.folder / "database-info" / f"{digest.hex}.json"
        with disk_errors(path):
            return _read(path) if path.exists() else None

    def save_cut(self, sovereign: str, stream: str, sequence: int, index: bytes, inner: bytes) -> None:
        """Keeps the AIRGAP.json of a delivery that was cut here; of an encrypted one, also what is in it (`inner`)."""
        name = f"{_counter(sovereign, stream)}-{sequence:06d}-{Digest.of(index).hex}.json"
        if inner != index:
            self._write(self._made(CUT_INNER) / f"{Digest.of(index).hex}.json", inner)
        self._write(self._made(CUT) / name, index)

    def cut_inner(self, digest: Digest) -> bytes | None:
        """What is in the AIRGAP.json of an encrypted delivery that was cut here, by the digest of the outer one."""
        path = self.folder / CUT_INNER / f"{digest.hex}.json"
        with disk_errors(path):
            return _read(path) if path.exists() else None

    def resume_key(self) -> bytes:
        """The key by which this store encrypts what it writes on a medium for itself; made when first asked for."""
        path = self._made("work") / "resume.key"
        with disk_errors(path):
            if not path.exists():
                write_durably(path, os.urandom(32), 0o600)
            return read_plain(path, 32) or b""

    def cut(self, digest: Digest) -> bytes | None:
        """The AIRGAP.json of a delivery that was cut here; `None` if it is missing or changed."""
        folder = self.folder / CUT
        with disk_errors(folder):
            found = sorted(folder.glob(f"*-{digest.hex}.json"))
        return next((data for data in (self._kept(path, digest) for path in found) if data is not None), None)

    def cuts(self, sovereign: str, stream: str) -> list[Digest]:
        """The deliveries of a stream that were cut here, as far as the records have them, newest first."""
        folder = self.folder / CUT
        with disk_errors(folder):
            found = [one.stem.split("-") for one in folder.glob(f"{_counter(sovereign, stream)}-*-*.json")]
        cut = [(int(number), f"sha256:{name}") for _, number, name in found if number.isdigit()]
        return [Digest(digest) for _, digest in sorted(cut, reverse=True) if is_digest(digest)]

    def next_sequence(self, sovereign: str, stream: str) -> int:
        """Increments the stream's sequence durably and returns it: a number is never given twice."""
        folder = self._made("streams")
        path = folder / f"{_counter(sovereign, stream)}.json"
        with locked(folder / ".lock"):
            try:
                last = decode_json(_read(path))["sequence"] if path.exists() else 0
                if type(last) is not int or not 0 <= last < MAX_NUMBER:
                    raise ValueError(f"sequence: got {last!r:.60}, expected a number below {MAX_NUMBER}")
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    "bad-counter",
                    f"{path}: unreadable: {error}",
                    "restore it from a backup, or write the last delivered sequence number into it; if the numbers of "
                    "this stream are used up, use another --stream",
                ) from error
            document = {"sovereign": sovereign, "stream": stream, "sequence": last + 1}
            self._write(path, json.dumps(document).encode())
        return last + 1

    def streams(self) -> dict[tuple[str, str], int]:
        """The streams in which this station numbered deliveries, (Sovereign, stream), with the last number of each.

        A damaged counter is left out.
        """
        folder, found = self.folder / "streams", dict[tuple[str, str], int]()
        with disk_errors(folder):
            files = [_read(path) for path in sorted(folder.glob("*.json"))]
        for data in files:
            with suppress(ValueError, KeyError, TypeError):
                document = decode_json(data)
                found[str(document["sovereign"]), str(document["stream"])] = int(document["sequence"])
        return found

    @staticmethod
    def _kept(path: Path, digest: Digest) -> bytes | None:
        with disk_errors(path):
            data = _read(path) if path.exists() else b""
        return data if Digest.of(data) == digest else None

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        """A file as open as its folder: closed in a state folder, readable in a store that others read."""
        _write_in_mode(path, data)

    def _made(self, name: str) -> Path:
        path = self.folder / name
        make_folder(self.folder)
        with disk_errors(self.folder):
            mode = os.stat(self.folder).st_mode & 0o777
        make_folder(path, mode)
        return path


def _counter(sovereign: str, stream: str) -> str:
    """How the names of files about a stream begin."""
    return Digest.of(f"{sovereign}\n{stream}".encode()).hex[:16]


def is_lock_file(path: Path, data: bytes) -> bool:
    """True if a lock's file in the records has the name under which `Records.save_lock` wrote these bytes."""
    return path.stem.endswith(f"-{Digest.of(data).hex[:12]}")


def store_records(store: Path) -> Records:
    """The records in a store."""
    return Records(store / "airgap")


def made_of(folder: Path, kind: str) -> list[Path]:
    """The statements of a kind that a station itself made, in its `folder`. Raises `StoreError`."""
    with disk_errors(folder):
        return sorted((folder / STATEMENTS).glob(f"{kind}-*{SUFFIX}"))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a station's `folder`: one import, prune or rollback at a time. Raises `StoreError` (`locked`)."""
    with locked(folder / ".import.lock", wait=False):
        yield


def keep(folder: Path, stem: str, data: bytes) -> Path:
    """Keeps a statement for good: the newest is `STEM.sigstore.json`, earlier ones are `STEM.0001.sigstore.json`, …

    So the names sort from the oldest to the newest. The same bytes again change nothing. Returns the path of the
    newest. Raises `StoreError`.
    """
    path = folder / f"{stem}{SUFFIX}"
    with disk_errors(path):
        before = _read(path) if path.exists() else data
        middles = (one.name.removeprefix(f"{stem}.").removesuffix(SUFFIX) for one in folder.glob(f"{stem}.*{SUFFIX}"))
        numbers = {int(middle): middle for middle in middles if re.fullmatch(r"[0-9]{1,9}", middle)}
        last = max(numbers, default=0)
        # After a crash between the two writes, the newest has a number already.
        numbered = last > 0 and _read(folder / f"{stem}.{numbers[last]}{SUFFIX}") == before
    if before != data and not numbered:
        _write_in_mode(folder / f"{stem}.{last + 1:04d}{SUFFIX}", before)
    _write_in_mode(path, data)
    return path


def keeps(folder: Path, data: bytes) -> bool:
    """True if one of the statements in `folder` is exactly `data`. Raises `StoreError`."""
    with disk_errors(folder):
        same = (path for path in folder.glob(f"*{SUFFIX}") if path.stat().st_size == len(data))
        return any(_read(path) == data for path in same)


def keep_signed(folder: Path, data: bytes) -> None:
    """Keeps what was just signed, until its caller does; the one before it goes to `UNKEPT` if nobody kept it."""
    last = folder / LAST_SIGNED
    with disk_errors(last):
        before = _read(last) if last.exists() else b""
        newest = folder / ACCEPTED
        kept = newest.exists() and _read(newest) == before
    if before and not kept and not any(keeps(folder / name, before) for name in (STATEMENTS, "receipts")):
        make_folder(folder / UNKEPT)
        _write_in_mode(folder / UNKEPT / f"{Digest.of(before).hex}{SUFFIX}", before)
    write_durably(last, data, 0o600)


def _write_in_mode(path: Path, data: bytes) -> None:
    with disk_errors(path):
        mode = mode_in(path.parent)
    write_durably(path, data, mode)


def _read(path: Path) -> bytes:
    """A small file. The folder may be one that somebody else handed over. Raises `OSError`, `StoreError`."""
    data = read_plain(path, MAX_EVIDENCE_BUNDLE)
    if data is None:
        raise StoreError("disk-error", f"{path}: more than {MAX_EVIDENCE_BUNDLE} bytes", "restore it from a backup")
    return data
