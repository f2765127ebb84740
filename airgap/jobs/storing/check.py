"""`check`: hashes every byte of a store again, and says which locks and items are hurt.

A damaged blob is set aside as `.<hex>.damaged`, as `bundle` does: presence is not integrity, and only what is absent is
fetched by the next pull.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airgap.base.amounts import count
from airgap.base.digest import CHUNK, Digest
from airgap.base.disk import disk_error, disk_errors
from airgap.base.errors import NotFoundError, StoreError
from airgap.base.inputs import read_plain
from airgap.base.parallel import parallel
from airgap.base.progress import Progress
from airgap.base.streams import read_into
from airgap.base.zstd import unpacked
from airgap.content.graph import Descriptor
from airgap.content.scan_result import MAX_RESULT, MAX_SBOM
from airgap.jobs.storing.holdings import HeldLock, Holdings, open_store, read_holdings
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.statements.dsse import MAX_EVIDENCE_BUNDLE
from airgap.station.files import CUT, Records, is_lock_file
from airgap.store.in_use import using
from airgap.store.layout import Layout

LOCKS = "locks"
PLAIN = ("roots", "reports", "vex", "waivers", CUT, LOCKS)
"""The folders of records whose files are named by their digest."""
NOT_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that say nothing about the bytes of a file: it is not set aside for them."""
PATTERNS = {"waivers": "[0-9a-f]*.yaml", LOCKS: f"*-{'[0-9a-f]' * 12}.json"}
"""What such files are called, where it is not `HEX.json`."""
PACKED = {"scans": MAX_RESULT, "sboms": MAX_SBOM}
"""Those whose files are compressed, and named by the digest of what they hold, with its largest size in bytes."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Which store is checked."""

    store: Path
    dry_run: bool = False
    """Set nothing aside."""
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class HurtItem:
    """An item of a lock that is not whole."""

    lock: HeldLock
    kind: str
    name: str
    missing: tuple[Digest, ...]
    """Blobs that are absent."""
    damaged: tuple[Digest, ...]
    """Blobs whose bytes are wrong."""


@dataclass(slots=True)
class Checked:
    """What a check found."""

    blobs: int
    bytes: int
    damaged: dict[Digest, str]
    """Every damaged blob, and what is wrong with it."""
    hurt: list[HurtItem]
    """Items of locks that were whole before."""
    unfinished: list[tuple[HeldLock, int]]
    """Locks that were never whole here, with the number of items that they lack."""
    names: list[str]
    """Names that no lock explains, and whose content is not whole."""
    records: list[Path]
    """Records whose content is not what their name says."""
    set_aside: bool = False

    @property
    def good(self) -> bool:
        """True if nothing is damaged or lost."""
        return not (self.damaged or self.hurt or self.names or self.records)


def check(options: CheckOptions, surroundings: Surroundings) -> Checked:
    """Hashes all blobs and the records whose name is their digest, then looks whether every lock is whole.

    1. Read locks and names: where they cannot be read, nothing is set aside. 2. Hash everything; a damaged blob is set
    aside. 3. Walk every lock, by what is good. Raises `InputError` (`no-store`), `StoreError`, and `IntegrityError` for
    records that cannot be read at all.
    """
    layout, records = open_store(options.store)
    with using(options.store, surroundings.note):
        # 1.
        holdings = read_holdings(layout, records)
        if holdings.unknown:
            surroundings.note(
                f"note: records are about {count(len(holdings.unknown), 'lock')} whose file is lost, the first is "
                f"{holdings.unknown[0]}: whether all of their content is here is not known; pull them again"
            )
        # 2.
        blobs, progress = [Descriptor("", *one) for one in holdings.sizes.items()], surroundings.progress()
        total = sum(blob.size for blob in blobs)
        progress.start("check", total, len(blobs))
        largest = sorted(blobs, key=lambda blob: blob.size, reverse=True)  # so that no thread works alone at the end
        said = parallel(options.jobs, lambda blob: _hash(layout, blob, progress), largest, "check")
        damaged = {blob.digest: what for blob, what in zip(largest, said, strict=True) if what}
        set_aside = not options.dry_run and bool(damaged) and _set_aside(layout, damaged, surroundings.note)
        # 3.
        good = {digest: size for digest, size in holdings.sizes.items() if digest not in damaged}
        holdings.graphs.sizes = good
        hurt, unfinished = list[HurtItem](), list[tuple[HeldLock, int]]()
        for held in holdings.locks:
            items = _hurt(held, holdings, damaged)
            if held.use.whole:
                hurt += items
            elif items:
                unfinished.append((held, len(items)))
        return Checked(
            len(blobs), total, damaged, hurt, unfinished, _names(holdings), _records(records), set_aside=set_aside
        )


def _hash(layout: Layout, blob: Descriptor, progress: Progress) -> str:
    """What is wrong with a blob; `""` if it is good. One that was removed meanwhile, by hand, is missing, not wrong."""
    hasher, size = hashlib.sha256(), 0
    view = memoryview(bytearray(min(CHUNK, max(blob.size, 1))))
    try:
        with layout.open(blob) as stream:
            while count := read_into(stream, view):
                hasher.update(view[:count])
                size += count
                progress.advance(count)
    except NotFoundError:
        return ""
    except (StoreError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and cause.errno in NOT_DAMAGE:
            raise disk_error(cause, layout.blob_path(blob.digest)) from error
        return f"cannot be read: {error}"
    found = Digest.from_hash(hasher)
    return "" if found == blob.digest else f"got {found} ({size} bytes)"


def _set_aside(layout: Layout, damaged: dict[Digest, str], note: Callable[[str], None]) -> bool:
    """True if the damaged blobs are out of the way. A store that may not be written to stays as it is."""
    try:
        for digest in damaged:
            layout.discard(Descriptor("", digest, 0))
    except StoreError as error:
        note(f"note: damaged blobs could not be set aside: {error}")
        return False
    return True


def _hurt(held: HeldLock, holdings: Holdings, damaged: dict[Digest, str]) -> list[HurtItem]:
    found = []
    for item, first in holdings.lacks(held):
        below = next(one.below for one in held.items if one.item == item)
        bad = sorted(digest for digest in below.digests if digest in damaged)
        gone = [digest for digest in sorted(below.digests) if digest not in holdings.sizes and digest not in damaged]
        missing = gone or ([first] if first is not None and first not in bad else [])
        found.append(HurtItem(held, item.kind, item.name, tuple(missing), tuple(bad)))
    return found


def _names(holdings: Holdings) -> list[str]:
    """Names outside all locks whose content is not whole."""
    known = {digest for held in holdings.locks for digest in held.below.digests}
    found = []
    for name, root in holdings.names:
        below = holdings.named(name, root)
        unread = below.unread if root.is_node else ()  # what is below a manifest of another type is not known
        if root.digest not in known and (unread or any(one not in holdings.sizes for one in below.digests)):
            found.append(name or str(root.digest))
    return found


def _records(records: Records) -> list[Path]:
    found = []
    for folder in (*PLAIN, *PACKED):
        with disk_errors(records.folder / folder):
            paths = sorted((records.folder / folder).glob(PATTERNS.get(folder, "[0-9a-f]*.json*")))
        found += [path for path in paths if not _is_right(path, folder)]
    return found


def _is_right(path: Path, folder: str) -> bool:
    parts = path.name.split(".")
    if parts[1:] == ["sigstore", "json"]:
        return True  # a signature next to a document
    try:
        with disk_errors(path):
            data = read_plain(path, PACKED.get(folder, MAX_EVIDENCE_BUNDLE))
        if data is None:
            return False
        plain = unpacked(data, PACKED[folder]) if folder in PACKED else data
    except (StoreError, ValueError):
        return False
    if folder == LOCKS:
        return is_lock_file(path, plain)
    said = parts[2] if folder == "scans" and len(parts) > 2 else parts[0].rpartition("-")[2]
    return Digest.of(plain).hex == said
