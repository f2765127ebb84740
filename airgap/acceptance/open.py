"""Opening a delivery: trust first, bytes second. Shared by `verify`, `import`, `show` and `extract`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from airgap.acceptance.discs import plan_blobs, with_unfinished
from airgap.acceptance.journey import check_audience
from airgap.acceptance.scans import Earlier, nothing_earlier
from airgap.acceptance.steps import Acceptance, Admitted
from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError, TooLargeError, TrustError
from airgap.content.graph import OCI_MANIFEST, Descriptor
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.delivery import tar as tape
from airgap.delivery.fields import CUT_AGAIN
from airgap.delivery.index import MAX_EVIDENCE, Index
from airgap.delivery.read import Media, Volumes, mender_for, open_index, open_media
from airgap.delivery.seal import Identities, no_identities, read_first
from airgap.delivery.sealed import Sealed, is_sealed
from airgap.delivery.spool import Spool
from airgap.resources.trust import Trust
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.scans import SBOMS, SCANS


@dataclass(frozen=True, slots=True)
class Opened:
    """A delivery with a trusted index and its locks; nothing of its volumes was read yet."""

    media: Media
    index: Index
    admitted: Admitted
    roots: Sequence[tuple[Item, Descriptor]]
    """Every item with its root, each once: what AIRGAP.json, the locks and the pull statement agree on."""
    volumes: Volumes
    spool: Spool | None = None
    """The folder where an import keeps what later discs need from this one; `None` for commands that only read."""

    @property
    def locks(self) -> tuple[Lock, ...]:
        """The locks of the evidence."""
        return self.admitted.locks

    def keep_plan(self) -> None:
        """Spools the blobs that a run with later discs needs for its plan, if a volume is missing."""
        if self.spool is not None and self.volumes.missing():
            self.spool.keep_index(self.media, evidence_bytes(self.media, self.index))
            self.spool.keep(self.volumes, plan_blobs(self.roots, self.volumes))


def _roots(index: Index, admitted: Admitted) -> list[tuple[Item, Descriptor]]:
    """Every item with its root, each once.

    Raises `IntegrityError` (`root-mismatch`) if AIRGAP.json, a lock and the pull statement disagree, and
    (`locks-mismatch`) if two locks say different things under one name.
    """
    listed, only = {root.item: root for root in index.contents.roots}, index.contents.only
    items = _once([item for lock in admitted.locks for item in lock.items if not only or item.name in listed])
    # Two locks may have the same item, and each was listed.
    if any(listed[root.item] != root for root in index.contents.roots):
        raise IntegrityError("root-mismatch", "AIRGAP.json lists an item with two roots", CUT_AGAIN)
    if {(item.name, item.kind) for item in items} != {(one.item, one.kind) for one in listed.values()}:
        odd = sorted({(one.name, one.kind) for one in items} ^ {(one.item, one.kind) for one in listed.values()})[0]
        raise IntegrityError(
            "root-mismatch",
            f"AIRGAP.json and the locks list different items: only one of them has {odd[1]} {odd[0]!r}",
        )
    # The pull statement fixes the bytes of items without a root in their lock: Git bundles.
    pulled: dict[str, Digest] = {}
    for lock in admitted.locks:
        statement = admitted.pull_of(lock)
        entries = statement.items.items() if statement is not None else ()
        pulled |= {name: entry.root for name, entry in entries if entry.root is not None}
    found = {}
    for item in items:
        digest = listed[item.name].digest
        if item.root is not None and item.root.digest != digest:
            raise IntegrityError(
                "root-mismatch",
                f"{item.name!r}: AIRGAP.json says {digest}, but the lock says {item.root.digest}",
            )
        if digest != pulled.get(item.name, digest):
            raise IntegrityError(
                "root-mismatch",
                (f"{item.name!r}: AIRGAP.json says {digest}, but the pull statement says {pulled[item.name]}"),
            )
        found[item.name] = (item, item.root or _root(index, digest))
    return list(found.values())


def _root(index: Index, digest: Digest) -> Descriptor:
    if digest not in index.contents.blobs:
        raise IntegrityError("root-mismatch", f"AIRGAP.json lists {digest} as a root, but no volume contains it")
    return Descriptor(OCI_MANIFEST, digest, index.contents.size(digest))


def _once(items: Sequence[Item]) -> list[Item]:
    """The items, each once. Raises `IntegrityError` (`locks-mismatch`) if two of one name differ."""
    found: dict[str, Item] = {}
    for item in items:
        if found.setdefault(item.name, item) != item:
            raise IntegrityError(
                "locks-mismatch",
                f"two locks of the delivery say different things of {item.name!r}",
                "have it cut again, each of the locks in a delivery of its own",
            )
    return list(found.values())


def accept(
    folders: Sequence[Path],
    trust: Trust,
    state: AcceptedState,
    *,
    sovereign: str,
    now: datetime,
    restore: bool = False,
    streams: Sequence[str] | None = None,
    state_folder: Path | None = None,
    judges: bool = False,
    vouched: bool = False,
    earlier: Earlier = nothing_earlier,
    identities: Identities = no_identities,
) -> Opened:
    """Runs a delivery through every step of `Acceptance`. Writes nothing.

    `state_folder` may contain a spool of an unfinished import; `identities` open an encrypted delivery; the other
    arguments are as in `Acceptance`. Reads AIRGAP.json, the signatures and evidence.tar: small files, whatever the
    delivery's size. Raises `TrustError`, `IntegrityError`, `InputError`, `NotFoundError`.
    """
    if state_folder is not None:
        folders = with_unfinished(folders, state_folder, state, restore=restore)
    media = open_media(folders)
    acceptance = Acceptance(
        trust, state, sovereign=sovereign, now=now, restore=restore, streams=streams, judges=judges, vouched=vouched
    )
    acceptance.check_signatures(media.index_bytes, media.signatures)
    media, index = acceptance.read_index(lambda data: _index(data, media, sovereign, identities))
    acceptance.check_journey(index.journey)
    files = evidence_files(media, index)
    locks = [data for name, data in files.items() if name.startswith("locks/")]
    statements = {name: data for name, data in files.items() if name.startswith("statements/")}
    _check_list(index, statements)
    full = [data for name, data in files.items() if name.startswith("full/")]
    acceptance.check_locks(index.contents.locks, locks, full)
    acceptance.check_statements(
        statements,
        roots={root.item: root.digest for root in index.contents.roots},
        waivers=[data for name, data in files.items() if name.startswith("waivers/")],
        reports=[data for name, data in files.items() if name.startswith(("reports/", "vex/"))],
        scans={name: data for name, data in files.items() if name.startswith((SCANS, SBOMS))},
        earlier=earlier,
        only=index.contents.only,
    )
    spool = None if state_folder is None else Spool.of(state_folder, media.digest)
    extents, mender = None if spool is None else spool.extents, mender_for(media, index)
    volumes = Volumes(index.contents, media.folders, extents, mender=mender, seal=media.seal)
    admitted = acceptance.admit()
    return Opened(media, index, admitted, _roots(index, admitted), volumes, spool)


def _index(data: bytes, media: Media, sovereign: str, identities: Identities) -> tuple[Media, Index]:
    """The index. Whom an encrypted delivery is for is asked before it is decrypted: that needs no identity."""
    if is_sealed(data):
        check_audience(Sealed.decode(data).journey, sovereign)
    return open_index(media, identities)


def evidence_files(media: Media, index: Index) -> dict[str, bytes]:
    """The files of evidence.tar, by name. Raises the errors of `evidence_bytes`, and `IntegrityError`."""
    return tape.read_archive(evidence_bytes(media, index), MAX_EVIDENCE)


def evidence_bytes(media: Media, index: Index) -> bytes:
    """The bytes of evidence.tar, checked against the index; computed from parity files where it is lost."""
    file = index.journey.evidence.file
    if file.size > MAX_EVIDENCE:
        raise TooLargeError("too-large", f"{file.name}: got {file.size} bytes, expected at most {MAX_EVIDENCE}")
    if media.seal is None:
        return read_first(index, media.folders, file)
    data = media.seal.read(media.folders, media.seal.sealed.evidence)
    if len(data) != file.size or sha256(data).hexdigest() != file.sha256:
        what = f"{media.seal.sealed.evidence.name}: it contains another {file.name} than AIRGAP.json inside says"
        raise IntegrityError("seal-mismatch", what, CUT_AGAIN)
    return data


def _check_list(index: Index, statements: dict[str, bytes]) -> None:
    listed = {digest for _, digest in index.journey.evidence.statements}
    found = {Digest.of(data) for data in statements.values()}
    if listed != found:
        odd = sorted(listed ^ found)[0]
        raise TrustError("evidence-mismatch", f"AIRGAP.json and evidence.tar list different statements: {odd}")
