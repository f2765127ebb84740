"""`bundle`: reads and checks everything that crosses the gap, and cuts the delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from airgap.base.disk import check_free
from airgap.base.errors import InputError
from airgap.base.places import check_folder
from airgap.bundling.baselines import Delta
from airgap.bundling.bundle import (
    DEFAULT_LIFE,
    SLACK,
    Audience,
    BundleOrder,
    Cut,
    Prepared,
    cut_delivery,
    prepare,
)
from airgap.bundling.evidence import Approved, beside, read_approval
from airgap.bundling.selected import select
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import finding_note
from airgap.content.sizes import ItemSize, Tally, item_blobs
from airgap.delivery.bundle_journal import JOURNAL_NAME
from airgap.delivery.contents import volume_name
from airgap.delivery.disc_plan import Disc, plan_discs
from airgap.delivery.fields import FileSum
from airgap.delivery.parity import parity_names
from airgap.delivery.plan import DEFAULT_VOLUME, MIN_VOLUME
from airgap.delivery.sealing.recipients import Recipients, read_recipients
from airgap.erasure.engine import slow_note
from airgap.jobs.as_locked import check_nodes
from airgap.jobs.baselines import Baselines, Coming, Since, find_baselines
from airgap.jobs.holding import holding
from airgap.jobs.named_files import read_lock
from airgap.jobs.named_items import full_names
from airgap.jobs.receiving_side import UNCHECKED, Receiver, check_receipt, receivers, rehearsal, stream_note
from airgap.jobs.signing import check_role, signatory_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.jobs.trust_roots import carried_roots
from airgap.jobs.wanted import Wanted, read_wanted
from airgap.judgement.waivers import read_waivers
from airgap.statements.trust import VerifiedStatement
from airgap.station.files import Records, store_records
from airgap.station.uses import Cutting, Uses
from airgap.store.layout import Layout

MIN_SEALED = MIN_VOLUME + (1 << 10)
"""Bytes of the smallest encrypted volume, besides its header."""


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """Which locks cross, from which store, for whom, and who signs."""

    locks: tuple[Path, ...]
    store: Path
    to: Path | None
    """The delivery's folder: empty, absent, or with an unfinished one of the same content. A dry run needs none."""
    sovereigns: tuple[str, ...]
    """The names of the Sovereigns that may accept it. Several share one set of volumes."""
    key: str | None
    """Signs the delivery: a path, or a `pkcs11:` URI."""
    role: str = "exporter"
    """The role of the key: `exporter` or `station`."""
    stream: str = "main"
    volume_size: int = DEFAULT_VOLUME
    """Bytes of a volume, at most."""
    life: timedelta = DEFAULT_LIFE
    """How long the delivery is valid."""
    approvals: tuple[Path, ...] = ()
    """Approvals of locks that are not next to their lock."""
    trust_roots: tuple[tuple[str, Path], ...] = ()
    """Trust roots to include: the name that policies use, and the file."""
    trust: tuple[Path, ...] = ()
    """The Trust resource of each receiving side: a key that it does not accept in this role is refused."""
    receipt: Path | None = None
    """The newest receipt that came back from a Sovereign: the number of the delivery must follow it."""
    unscanned: bool = False
    """Accept locks without a verdict, for a station that will judge them."""
    waivers: tuple[Path, ...] = ()
    """Waivers of findings in locks without a verdict, each with its approval next to it; they require `trust`."""
    only: tuple[str, ...] = ()
    """Names of items, or the ends of such: the delivery brings only these."""
    parity: int = 0
    """The number of parity files: so many of the volumes and evidence.tar may be lost."""
    encrypt_to: tuple[str, ...] = ()
    """Recipients to whom the delivery is encrypted, or files with them; empty for a plain one."""
    since: Since = field(default_factory=Since)
    """What the delivery leaves out, because it is inside already; receipts require `trust`."""
    want: Path | None = None
    """A want list: the delivery brings what it names, for the locks, the stream and the items that it is about."""
    disc_size: int | None = None
    """Bytes of a disc, for a plan of discs."""
    jobs: int = DEFAULT_JOBS

    @property
    def is_delta(self) -> bool:
        """True if something is to be left out."""
        return self.since != Since() or self.want is not None


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """An item of a delivery that a bundle would cut. All numbers are bytes."""

    item: Item
    size: ItemSize
    """Of all of its blobs."""
    inside: int
    """Of those that are left out."""
    carried: int
    """Of those that are carried, and that no item before it has."""
    new: int
    """Of those that are carried, without manifests and configs."""

    @property
    def why(self) -> str:
        """Why it is carried or not, for people."""
        if not self.new:
            return "it is inside; its manifests travel"
        return "part of it is not inside" if self.inside else "no baseline has it"


@dataclass(frozen=True, slots=True)
class PlannedBundle:
    """The delivery that a bundle would cut."""

    volumes: tuple[tuple[str, int], ...]
    """Name and bytes of each."""
    parity: tuple[tuple[str, int], ...]
    """The same of parity files."""
    evidence: int
    """Bytes of evidence.tar."""
    items: tuple[PlannedItem, ...]
    """What each item takes, in the order of the locks."""
    deltas: tuple[tuple[str, Delta], ...]
    """For each Sovereign, what is left out and why."""
    only: bool
    """True for a selection: these are not all items of the locks."""
    discs: tuple[Disc, ...] = ()
    """Which volumes go on which disc, if a size was given."""

    @property
    def bytes(self) -> int:
        """What the medium takes, besides the index, the signatures and the texts for people."""
        return sum(size for _, size in (*self.volumes, *self.parity)) + self.evidence


@holding
def plan_bundle(options: BundleOptions, surroundings: Surroundings) -> PlannedBundle:
    """The delivery that `bundle` would cut, after the same checks of locks, content and records. Writes nothing.

    Needs no key. Hashes no layer: damage in the store shows when it is cut. With `to`, checks the place and the free
    space. Raises as `bundle`.
    """
    layout, records = Layout(options.store), store_records(options.store)
    asked = _asked(options, records, surroundings)
    order, _ = _order(asked, layout, records, surroundings)
    check_nodes(select(order.locks, layout, order.only).roots, layout, options.jobs)
    prepared = prepare(order, layout, records, options.role, surroundings.clock())
    _checks(options, asked.who, "", surroundings)(prepared)
    _tell_new(asked, records, surroundings)
    if options.to is not None:
        check_free(options.to, prepared.needed + SLACK, "the delivery")
    many = len(prepared.plan.volumes)
    volumes = tuple(
        prepared.on_medium(volume_name(n, many), volume.size) for n, volume in enumerate(prepared.plan.volumes, 1)
    )
    deltas = tuple(zip(options.sovereigns, prepared.left_out, strict=True))
    grid = prepared.grid
    parity = () if grid is None else tuple((name, grid.file_size) for name in parity_names(grid.parity))
    items, evidence = tuple(_planned_items(prepared, layout)), len(prepared.evidence)
    discs = () if options.disc_size is None else _discs((*volumes, *parity), evidence, options.disc_size)
    return PlannedBundle(volumes, parity, evidence, items, deltas, bool(order.only), discs)


def _discs(files: Sequence[tuple[str, int]], evidence: int, disc_size: int) -> tuple[Disc, ...]:
    """Which file goes on which disc. Raises `InputError` (`disc-size`)."""
    return plan_discs([FileSum(name, "", size) for name, size in files], (evidence, SLACK), disc_size)


def _planned_items(prepared: Prepared, layout: Layout) -> Iterator[PlannedItem]:
    """What each item takes, in the order of the locks."""
    every, carried, out = Tally(), Tally(), prepared.left_out[0].blobs
    leaves = {leaf.digest for leaf in prepared.selected.leaves}
    for item, root in prepared.selected.roots:
        blobs = {blob.digest: blob for blob in item_blobs(item, root, layout)}
        inside = sum(blob.size for digest, blob in blobs.items() if digest in out)
        travels = [blob for digest, blob in blobs.items() if digest not in out]
        new = sum(blob.size for blob in travels if blob.digest in leaves)
        yield PlannedItem(item, every.add(blobs.values()), inside, carried.add(travels).added, new)


@holding
def bundle(options: BundleOptions, surroundings: Surroundings) -> tuple[Cut, ...]:
    """Cuts a signed delivery, one for each Sovereign; continues where an interrupted run stopped.

    1. Read the locks, and check that the delivery can be written. 2. Open the key, and ask the Trust resource about it.
    3. Read the approvals and the trust roots to include, and what is inside already. 4. Compare the store's content
    with the locks: the far side would refuse what differs. 5. Cut (`cut_delivery`): what the far side would refuse of
    the statements is refused before the first volume; every blob is hashed, AIRGAP.json is written last.

    Raises `InputError`, `PolicyError`, `IntegrityError`, `TrustError`, `StoreError`.
    """
    # 1.
    layout, records = Layout(options.store), store_records(options.store)
    asked = _asked(options, records, surroundings)
    # 2.
    first, *others = asked.who
    signatory = signatory_of(options.key, options.role, records, surroundings, first.trust, _unchecked(first))
    for other in others:
        check_role(signatory.signer, options.role, records.log(), surroundings, other.trust, _unchecked(other))
    # 3.
    order, came_back = _order(asked, layout, records, surroundings)
    # 4.
    check_nodes(select(order.locks, layout, order.only).roots, layout, options.jobs)
    # 5.
    _tell_new(asked, records, surroundings)
    check = _checks(options, asked.who, signatory.signer.key_id, surroundings)
    uses, now = Uses(records.folder), surroundings.clock()
    uses.note(order.locks, "bundle", now, whole=not order.only)
    for_whom = ", ".join(options.sovereigns)
    cutting = Cutting(order.folder.absolute(), for_whom, tuple(lock.digest for lock in order.locks), now)
    with uses.cut(cutting, JOURNAL_NAME):
        cut = cut_delivery(order, layout, records, signatory, surroundings.progress(), check)
    for one in came_back:
        records.receive(one.statement.kind, one.statement.subject, [one.raw], replace=True)
    return cut


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to cut, and for whom."""

    options: BundleOptions
    locks: tuple[Lock, ...]
    who: tuple[Receiver, ...]
    wanted: Wanted | None
    came_back: tuple[VerifiedStatement, ...]
    """What the Sovereign signed, and is kept in the records."""


def _asked(options: BundleOptions, records: Records, surroundings: Surroundings) -> _Asked:
    """Reads the locks and who they are for. Checks that the delivery can be written, if a place for it is named.

    A want list says of which delivery, in which stream and of which items something is wanted.
    """
    locks = tuple(read_lock(path) for path in options.locks)
    if options.to is not None:
        check_folder(options.to, "--to")
    who, came_back = receivers(options.sovereigns, options.trust, records, surroundings), list[VerifiedStatement]()
    if options.receipt is not None:
        found = check_receipt(options.receipt, who, records, options.stream, surroundings.clock())
        came_back = [verified for _, verified in found]
    if options.want is None:
        return _Asked(options, locks, who, None, tuple(came_back))
    wanted = read_wanted(options.want, who, locks, records, surroundings.clock())
    only = options.only or wanted.body.items
    came_back.append(wanted.verified)
    return _Asked(replace(options, stream=wanted.body.stream, only=only), wanted.locks, who, wanted, tuple(came_back))


def _unchecked(one: Receiver) -> str:
    """What nobody checks for a Sovereign without its Trust resource."""
    return f"{UNCHECKED} ({one.sovereign!r})"


def _checks(
    options: BundleOptions, who: Sequence[Receiver], signer: str, surroundings: Surroundings
) -> Callable[[Prepared], None]:
    """What each receiving side would check, if its Trust resource is at hand."""
    found = [
        rehearsal(one.trust, signer, surroundings.clock(), options.life, surroundings)
        for one in who
        if one.trust is not None
    ]

    def check(prepared: Prepared) -> None:
        for one in found:
            one(prepared)

    return check


def _tell_new(asked: _Asked, records: Records, surroundings: Surroundings) -> None:
    for one in asked.who:
        note = stream_note(records, one.sovereign, asked.options.stream, named=one.trust is not None)
        if note:
            surroundings.note(f"note: {note}")


def _order(
    asked: _Asked, layout: Layout, records: Records, surroundings: Surroundings
) -> tuple[BundleOrder, list[VerifiedStatement]]:
    """What is cut, with the approvals, the trust roots and the waivers to include; and what came back.

    Says what the locks lack, and what the delivery rests on.
    """
    options, locks = asked.options, asked.locks
    approvals = [*options.approvals, *(path for lock in options.locks for path in beside(lock))]
    only = _only(asked)
    recipients = _recipients(options)
    audiences, came_back = _audiences(asked, layout, records, surroundings)
    order = BundleOrder(
        locks,
        audiences,
        options.to or Path(),
        options.stream,
        options.volume_size,
        options.life,
        tuple(read_approval(path, locks) for path in approvals),
        unscanned=options.unscanned,
        trust_roots=carried_roots(options.trust_roots),
        waivers=tuple(_waivers(asked, surroundings)),
        only=only,
        parity=options.parity,
        throttle=surroundings.throttle,
        recipients=recipients,
    )
    for lock in locks:
        if lock.findings:
            surroundings.note(f"note: {finding_note(lock.name, lock.findings)}")
    if options.parity and (slow := slow_note()):
        surroundings.note(f"note: {slow}")
    return order, came_back


def _audiences(
    asked: _Asked, layout: Layout, records: Records, surroundings: Surroundings
) -> tuple[tuple[Audience, ...], list[VerifiedStatement]]:
    """The Sovereigns with what is inside them already, and the receipts and the want list that say so."""
    options, who = asked.options, asked.who
    came_back = [*asked.came_back]
    found = [Baselines({}) for _ in who]
    if options.since != Since():
        coming = Coming(asked.locks, options.stream, who, surroundings.clock())
        found = find_baselines(options.since, coming, layout, records)
        came_back += (verified for its in found for verified in its.receipts)
    if asked.wanted is not None:
        found = [asked.wanted.added_to(found[0], layout)]
    for one, its in zip(who, found, strict=True):
        of = f" {one.sovereign!r}" if len(who) > 1 else ""
        for note in its.notes:
            surroundings.note(f"note: it leaves out what is inside{of} {note}")
    return tuple(Audience(one.sovereign, its.proven) for one, its in zip(who, found, strict=True)), came_back


def _only(asked: _Asked) -> frozenset[str]:
    """The full names of the items to carry; empty for all. Raises `InputError` (`no-such-item`, `usage`)."""
    locks = asked.locks
    names = {item.name for lock in locks for item in lock.items}
    only = full_names(asked.options.only, names, "--only", "the lock" if len(locks) == 1 else "each of the locks")
    for lock in locks if asked.wanted is None else ():
        if only and not any(item.name in only for item in lock.items):
            what = f"bundle: lock {lock.name!r} has none of the items of --only"
            raise InputError("usage", what, "leave this lock out")
    return frozenset(only) if only != names else frozenset()


def _recipients(options: BundleOptions) -> Recipients | None:
    """To whom it is encrypted. What is missing or wrong is said before anything is written."""
    if not options.encrypt_to:
        return None
    recipients = read_recipients(options.encrypt_to)
    recipients.opened()
    least = MIN_SEALED + recipients.header
    if options.volume_size < least:
        what = f"volume size: got {options.volume_size} bytes, expected at least {least} for an encrypted delivery"
        raise InputError("volume-size", what, "choose a larger --volume-size")
    return recipients


def _waivers(asked: _Asked, surroundings: Surroundings) -> list[Approved]:
    """The waivers to include: each receiving side has to accept them."""
    options = asked.options
    if not options.waivers:
        return []
    found = list[Approved]()
    for one in asked.who:
        if one.trust is None:
            what = f"bundle: --waiver requires --trust, and there is none for {one.sovereign!r}"
            hint = "pass --trust FILE: the Trust resource says whose approval of a waiver is accepted"
            raise InputError("usage", what, hint)
        found = read_waivers(options.waivers, (), one.trust, surroundings.clock())
    return found
