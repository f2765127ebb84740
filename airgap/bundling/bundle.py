"""`cut_delivery`: store → delivery. Hashes every blob again, writes each once, signs the index last."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import check_free, write_below
from airgap.base.errors import InputError, IntegrityError
from airgap.base.locks import held
from airgap.base.places import check_unlinked
from airgap.base.progress import Progress
from airgap.base.throttle import FREE, Throttle
from airgap.bundling.baselines import Delta, KnownInside, leave_out
from airgap.bundling.evidence import ApprovalFile, Approved, CarriedRoot, make_evidence
from airgap.bundling.gate import check_findings, check_pulled, check_scanned
from airgap.bundling.protected import plan_protected
from airgap.bundling.selected import Selected, owner_of, select
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.throttled import ThrottledSource
from airgap.delivery import readme as people
from airgap.delivery.bundle_journal import BundleJournal, WrittenFile
from airgap.delivery.contents import Contents, Root, volume_name
from airgap.delivery.fields import INDEX_NAME, FileSum
from airgap.delivery.files import Listing
from airgap.delivery.index import MAX_INDEX, README_NAME, SIGNATURES, SUMS_NAME, Index
from airgap.delivery.journey import EVIDENCE_NAME, Evidence, Journey, stream_complaint
from airgap.delivery.parity import Grid, Parity
from airgap.delivery.parity_write import write_parity
from airgap.delivery.plan import DEFAULT_VOLUME, Plan
from airgap.delivery.sealed import SEALED_SUFFIX, Sealed
from airgap.delivery.sealing.recipients import Recipients
from airgap.delivery.sealing.stream import sealed_size
from airgap.delivery.write import write_small, write_volumes
from airgap.statements.predicates import Delivery
from airgap.station.files import Records
from airgap.station.signatory import Signatory
from airgap.store.layout import Layout

DEFAULT_LIFE = timedelta(days=60)
"""How long a delivery may be on its way."""
SLACK = 1 << 20
"""Bytes besides volumes and evidence: index, sums, signatures, journal."""


@dataclass(frozen=True, slots=True)
class Audience:
    """A Sovereign that a delivery is for."""

    sovereign: str
    proven: Mapping[Digest, KnownInside] = field(default_factory=dict)
    """What is inside already, and need not be carried."""


@dataclass(frozen=True, slots=True)
class BundleOrder:
    """The parameters of a delivery: Sovereigns, stream, volume size, lifetime."""

    locks: tuple[Lock, ...]
    audiences: tuple[Audience, ...]
    """At least one. Several share the volumes, and each has an AIRGAP.json of its own in a folder of its name."""
    folder: Path
    stream: str = "main"
    volume_size: int = DEFAULT_VOLUME
    life: timedelta = DEFAULT_LIFE
    approvals: tuple[ApprovalFile, ...] = ()
    """Approvals of the locks, in addition to those in the store's records, which are always included."""
    unscanned: bool = False
    """True if locks may cross without a verdict, to a station that will judge them."""
    trust_roots: tuple[CarriedRoot, ...] = ()
    """Trust roots to include; on the far side, the security-officer's approval adds them."""
    waivers: tuple[Approved, ...] = ()
    """Waivers of findings in locks that have no verdict."""
    only: frozenset[str] = frozenset()
    """The names of the items to carry; empty for all."""
    parity: int = 0
    """The number of parity files: so many of the volumes and evidence.tar may be lost."""
    throttle: Throttle = FREE
    """How fast the volumes are written."""

    recipients: Recipients | None = None
    """To whom the delivery is encrypted; `None` for a plain one."""

    @property
    def purpose(self) -> str:
        """What an unfinished delivery is for, besides its content: another one cannot continue it."""
        names = ",".join(one.sovereign for one in self.audiences)
        parity = f"/{self.parity}" if self.parity else ""
        encrypted = "" if self.recipients is None else f"/{' '.join(self.recipients.keys)}"
        return f"{names}/{self.stream}{parity}{encrypted}"

    def below(self, audience: Audience) -> tuple[str, ...]:
        """Where the AIRGAP.json of one of the audiences is, below the folder."""
        return () if len(self.audiences) == 1 else (audience.sovereign,)


@dataclass(frozen=True, slots=True)
class Cut:
    """A finished delivery: its folder, its index, and the path of its signature."""

    folder: Path
    index: Index
    outer: Listing
    """What its AIRGAP.json says: the index, or of an encrypted delivery the outer one."""
    digest: Digest
    """Of AIRGAP.json."""
    signature: Path
    encrypted_to: tuple[str, ...] = ()

    @property
    def delta(self) -> Delta:
        """What it leaves out."""
        return Delta(self.index.contents.omitted, self.index.journey.based_on)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A delivery before its first byte is written: its content, its volumes, and its evidence."""

    order: BundleOrder
    selected: Selected
    left_out: tuple[Delta, ...]
    """What each of the audiences has already: the same blobs for all, because they share the volumes."""
    plan: Plan
    evidence: bytes
    statements: tuple[tuple[str, Digest], ...]
    grid: Grid | None = None
    """Of the parity files, if there are any."""

    @property
    def parity_bytes(self) -> int:
        """The bytes of all parity files."""
        return 0 if self.grid is None else self.grid.parity * self.grid.file_size

    @property
    def volume_bytes(self) -> int:
        """The bytes of all volumes, before they are encrypted."""
        return sum(volume.size for volume in self.plan.volumes)

    @property
    def needed(self) -> int:
        """Bytes of the volumes, the evidence and the parity files on the medium, at most."""
        sizes = (len(self.evidence), *(volume.size for volume in self.plan.volumes))
        return self.parity_bytes + sum(self.on_medium("", size)[1] for size in sizes)

    def on_medium(self, name: str, size: int) -> tuple[str, int]:
        """Name and size, at most, that a file of the delivery has on the medium."""
        to = self.order.recipients
        return (name, size) if to is None else (name + SEALED_SUFFIX, sealed_size(size, to.header))


def prepare(order: BundleOrder, layout: Layout, records: Records, role: str, now: datetime) -> Prepared:
    """Finds all content of the locks, checks what the records say about it, and plans the volumes. Writes nothing.

    A lock that is named twice counts once. Raises `InputError`, `PolicyError`, `IntegrityError`, `StoreError`.
    """
    if wrong := stream_complaint(order.stream):
        raise InputError("bad-stream", wrong, "give the stream a shorter name with `--stream`")
    order = replace(order, locks=tuple({lock.digest: lock for lock in order.locks}.values()))
    _check_names(order.locks)
    selected = select(order.locks, layout, order.only)
    found = {item.name: root.digest for item, root in selected.roots}
    check_pulled(order.locks, found, records)
    check_scanned(order.locks, found, records, now, demanded=_judged(order, records, role))
    given = [one.waiver for one in order.waivers]
    check_findings(order.locks, records, given, now, unscanned=order.unscanned)
    named = [(item.name, root) for item, root in selected.roots]
    inside = set.intersection(*(set(one.proven) for one in order.audiences))
    leaves = [leaf for leaf in selected.leaves if leaf.digest in inside]
    left_out = tuple(leave_out(leaves, one.proven) for one in order.audiences)
    carried = [blob for blob in selected.blobs if blob.digest not in left_out[0].blobs]
    evidence, statements = make_evidence(order.locks, records, order.approvals, order.trust_roots, order.waivers)
    header = 0 if order.recipients is None else order.recipients.header
    plan, grid = plan_protected(carried, named, order.volume_size, len(evidence), order.parity, header)
    prepared = Prepared(order, selected, left_out, plan, evidence, statements, grid)
    _check_room(prepared, now)
    return prepared


def _check_room(prepared: Prepared, now: datetime) -> None:
    """Checks before anything is written that each AIRGAP.json will be small enough to be read.

    Raises `InputError` (`index-too-large`).
    """
    sizes = [volume.size for volume in prepared.plan.volumes]
    volumes = tuple(FileSum(volume_name(n, len(sizes)), "0" * 64, size) for n, size in enumerate(sizes, 1))
    evidence = Evidence(FileSum(EVIDENCE_NAME, "0" * 64, len(prepared.evidence)), prepared.statements)
    for delta in prepared.left_out:
        journey = Journey("", "", 0, "", now, now, evidence, delta.based_on)
        size = len(Index(_contents(prepared, volumes, delta), journey).encode())
        if size > MAX_INDEX - SLACK:
            raise InputError(
                "index-too-large",
                f"AIRGAP.json would have {size} bytes, but an import reads at most {MAX_INDEX}",
                "bundle fewer locks at once, or a lock in parts, with --only",
            )


def _contents(prepared: Prepared, volumes: tuple[FileSum, ...], delta: Delta) -> Contents:
    return Contents(
        tuple(lock.digest for lock in prepared.order.locks),
        tuple(Root(item.name, item.kind, root.digest) for item, root in prepared.selected.roots),
        volumes,
        prepared.plan.blobs,
        delta.blobs,
        bool(prepared.order.only),
    )


def _unchecked(_prepared: Prepared) -> None:
    """Asks nobody."""


def cut_delivery(
    order: BundleOrder,
    layout: Layout,
    records: Records,
    station: Signatory,
    progress: Progress,
    check: Callable[[Prepared], None] = _unchecked,
) -> tuple[Cut, ...]:
    """Cuts a delivery into `order.folder`; continues an interrupted one. Returns one for each of the audiences.

    1. and 2. Find all content of the locks, with the pull statements and verdicts about it; plan the volumes
       (`prepare`). `check` may refuse it.
    3. Check the free space.
    4. Write the volumes, hashing each blob.
    5. Write the evidence, and the parity files of it and the volumes.
    6. Take a sequence number for each of the audiences.
    7. Sign, and write each AIRGAP.json last.

    From step 3 on, the folder is locked: no other process cuts into it.
    """
    # 1. and 2. The content, and its place in the volumes.
    prepared = prepare(order, layout, records, station.role, station.clock())
    check(prepared)
    order, plan = prepared.order, prepared.plan
    with held(order.folder):
        # 3. Free space.
        key = None if order.recipients is None else records.resume_key()
        journal = BundleJournal.open(order.folder, plan, order.purpose, key)
        for audience in order.audiences:
            check_unlinked(order.folder, (*order.below(audience), SIGNATURES), "empty the folder, or pass a new one")
        done = sum(v.size for n, v in enumerate(plan.volumes, 1) if _named(n, plan) in journal.done)
        check_free(order.folder, prepared.needed - done + SLACK, "the delivery")
        # 4. and 5. What all of them share.
        files = _write_files(prepared, layout, journal, progress)
        # 6. and 7. The journeys.
        cut = tuple(
            _close(prepared, audience, delta, files, records, station)
            for audience, delta in zip(order.audiences, prepared.left_out, strict=True)
        )
        for lock in order.locks:
            records.save_lock(lock)
        if len(cut) > 1:
            readme = people.shared_readme([one.outer for one in cut])
            write_small(order.folder, (README_NAME,), readme)
            write_small(
                order.folder, (SUMS_NAME,), people.shared_sums([(one.outer, one.digest) for one in cut], readme)
            )
        journal.close()
        return cut


@dataclass(frozen=True, slots=True)
class _Files:
    """What was written before the first AIRGAP.json."""

    volumes: tuple[WrittenFile, ...]
    evidence: WrittenFile
    parity: Parity | None


def _write_files(prepared: Prepared, layout: Layout, journal: BundleJournal, progress: Progress) -> _Files:
    order, plan, grid = prepared.order, prepared.plan, prepared.grid
    progress.start("bundle", prepared.volume_bytes + prepared.parity_bytes, len(plan.volumes))
    source, damage = ThrottledSource(layout, order.throttle), _damage(layout, prepared.selected)
    written = write_volumes(plan, source, order.folder, journal, progress, damage, order.recipients)
    evidence = write_small(order.folder, (EVIDENCE_NAME,), prepared.evidence, order.recipients)
    if grid is None:
        return _Files(written, evidence, None)
    on_medium = tuple(one.file for one in (*written, evidence))
    exact = replace(grid, sizes=tuple(file.size for file in on_medium))
    return _Files(written, evidence, write_parity(exact, on_medium, order.folder, progress))


def _close(
    prepared: Prepared,
    audience: Audience,
    delta: Delta,
    files: _Files,
    records: Records,
    station: Signatory,
) -> Cut:
    """Takes a number for one of the audiences, signs its AIRGAP.json, and writes it last."""
    order, now = prepared.order, station.clock()
    made = now.astimezone(UTC).replace(microsecond=0)  # as it will be written
    journey = Journey(
        id=uuid7(int(now.timestamp() * 1000)),
        stream=order.stream,
        sequence=records.next_sequence(audience.sovereign, order.stream),
        sovereign=audience.sovereign,
        created=made,
        expires=made + order.life,
        evidence=Evidence(files.evidence.plain, prepared.statements),
        based_on=delta.based_on,
    )
    below = order.below(audience)
    contents = _contents(prepared, tuple(one.plain for one in files.volumes), delta)
    index = Index(contents, journey, files.parity if order.recipients is None else None)
    inner = index.encode()
    outer: Listing = index
    if order.recipients is not None:
        file = write_small(order.folder, (*below, INDEX_NAME), inner, order.recipients).file
        seen = replace(journey, evidence=Evidence(files.evidence.file))
        outer = Sealed(file, tuple(one.file for one in files.volumes), seen, files.parity)
    data = outer.encode()
    signature = (*below, SIGNATURES, f"{station.role}.sigstore.json")
    signed = station.sign(Digest.of(data), Delivery())
    records.save_statement("delivery", Digest.of(data), signed)
    records.save_cut(journey.sovereign, journey.stream, journey.sequence, data, inner)
    readme = people.readme(outer, data)
    # Signature first, index last: a folder with AIRGAP.json is a complete delivery.
    write_below(order.folder, signature, signed)
    write_below(order.folder, (*below, README_NAME), readme)
    write_below(order.folder, (*below, SUMS_NAME), people.sums(outer, data, readme))
    write_below(order.folder, (*below, INDEX_NAME), data)
    to = () if order.recipients is None else order.recipients.keys
    folder = order.folder.joinpath(*below)
    return Cut(folder, index, outer, Digest.of(data), order.folder.joinpath(*signature), to)


def _judged(order: BundleOrder, records: Records, role: str) -> bool:
    """True if each lock must have a verdict: a station cuts it, or a policy was applied in this store before."""
    return not order.unscanned and (role == "station" or records.has("verdict"))


def _named(number: int, plan: Plan) -> str:
    return volume_name(number, len(plan.volumes))


def _check_names(locks: Sequence[Lock]) -> None:
    seen: dict[str, Item] = {}
    for item in (item for lock in locks for item in lock.items):
        other = seen.setdefault(item.name, item)
        if other.pin != item.pin:
            raise InputError(
                "duplicate-name",
                f"two locks have different content for item {item.name!r}",
                "bundle them one after the other, or rename one of them in its request",
            )


def _damage(layout: Layout, selected: Selected) -> Callable[[Descriptor, IntegrityError], IntegrityError]:
    """Removes a damaged blob from the store, so that the next pull fetches it, and names its item in the error."""

    def found(descriptor: Descriptor, error: IntegrityError) -> IntegrityError:
        owner = owner_of(descriptor.digest, selected.roots, layout)
        layout.discard(descriptor)
        return IntegrityError(
            "damaged-blob",
            f"{owner.kind} {owner.name!r}: a blob in the store {layout.path} is damaged: {error.what}",
            "run `airgap pull` again with this lock, which fetches only this blob; then run this command again",
        )

    return found


def uuid7(milliseconds: int) -> str:
    """A UUID that sorts by time. Source: RFC 9562, section 5.7."""
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
