"""`bundle`: reads and checks everything that crosses the gap, and cuts the delivery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from airgap.base.disk import check_free
from airgap.base.errors import InputError
from airgap.base.places import check_folder
from airgap.bundling.bundle import DEFAULT_LIFE, SLACK, BundleOrder, Cut, Prepared, cut_delivery, prepare, select
from airgap.bundling.evidence import Approved, beside, read_approval
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import finding_note
from airgap.content.sizes import ItemSize
from airgap.delivery.contents import volume_name
from airgap.delivery.plan import DEFAULT_VOLUME
from airgap.jobs.as_locked import check_nodes
from airgap.jobs.baselines import Coming, Since, find_baselines
from airgap.jobs.named_files import read_lock
from airgap.jobs.receiving_side import UNCHECKED, check_receipt, rehearsal, stream_note, trust_of_receiver
from airgap.jobs.signing import signatory_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.jobs.trust_roots import carried_roots
from airgap.judgement.waivers import read_waivers
from airgap.resources.trust import Trust
from airgap.statements.predicates import Receipt
from airgap.statements.trust import VerifiedStatement
from airgap.station.files import Records, store_records
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """Which locks cross, from which store, for whom, and who signs."""

    locks: tuple[Path, ...]
    store: Path
    to: Path | None
    """The delivery's folder: empty, absent, or with an unfinished one of the same content. A dry run needs none."""
    sovereign: str
    """The name of the Sovereign that may accept it."""
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
    trust: Path | None = None
    """The Trust resource of the receiving side: a key that it does not accept in this role is refused."""
    receipt: Path | None = None
    """The newest receipt that came back from the Sovereign: the number of the delivery must follow it."""
    unscanned: bool = False
    """Accept locks without a verdict, for a station that will judge them."""
    waivers: tuple[Path, ...] = ()
    """Waivers of findings in locks without a verdict, each with its approval next to it; they require `trust`."""
    since: Since = field(default_factory=Since)
    """What the delivery leaves out, because it is inside already; receipts require `trust`."""


@dataclass(frozen=True, slots=True)
class PlannedBundle:
    """The delivery that a bundle would cut."""

    volumes: tuple[tuple[str, int], ...]
    """Name and bytes of each."""
    evidence: int
    """Bytes of evidence.tar."""
    items: tuple[tuple[Item, ItemSize], ...]
    """What each item takes, in the order of the locks."""

    @property
    def bytes(self) -> int:
        """What the medium takes, besides the index, the signatures and the texts for people."""
        return sum(size for _, size in self.volumes) + self.evidence


def plan_bundle(options: BundleOptions, surroundings: Surroundings) -> PlannedBundle:
    """The delivery that `bundle` would cut, after the same checks of locks, content and records. Writes nothing.

    Needs no key. Hashes no layer: damage in the store shows when it is cut. With `to`, checks the place and the free
    space. Raises as `bundle`.
    """
    locks, layout, records = _locks(options), Layout(options.store), store_records(options.store)
    trust = _receiver(options, records, surroundings)
    order, _ = _rest_on(options, _order(options, locks, trust, surroundings), layout, records, trust, surroundings)
    check_nodes(select(locks, layout).roots, layout, DEFAULT_JOBS)
    prepared = prepare(order, layout, records, options.role, surroundings.clock())
    _checks(options, trust, "", surroundings)(prepared)
    _tell_new(records, order, trust, surroundings)
    if options.to is not None:
        check_free(options.to, prepared.volume_bytes + len(prepared.evidence) + SLACK, "the delivery")
    many = len(prepared.plan.volumes)
    volumes = tuple((volume_name(n, many), volume.size) for n, volume in enumerate(prepared.plan.volumes, 1))
    return PlannedBundle(volumes, len(prepared.evidence), tuple(prepared.sizes(layout)))


def bundle(options: BundleOptions, surroundings: Surroundings) -> Cut:
    """Cuts a signed delivery; continues where an interrupted run stopped.

    1. Read the locks, and check that the delivery can be written. 2. Open the key, and ask the Trust resource about it.
    3. Read the approvals and the trust roots to include. 4. Compare the store's content with the locks: the far side
    would refuse what differs. 5. Cut (`cut_delivery`): what the far side would refuse of the statements is refused
    before the first volume; every blob is hashed, AIRGAP.json is written last.

    Raises `InputError`, `PolicyError`, `IntegrityError`, `TrustError`, `StoreError`.
    """
    # 1.
    locks = _locks(options)
    layout, records = Layout(options.store), store_records(options.store)
    # 2.
    trust = _receiver(options, records, surroundings)
    signatory = signatory_of(options.key, options.role, records, surroundings, trust, UNCHECKED)
    # 3.
    order = _order(options, locks, trust, surroundings)
    order, receipts = _rest_on(options, order, layout, records, trust, surroundings)
    # 4.
    check_nodes(select(locks, layout).roots, layout, DEFAULT_JOBS)
    # 5.
    _tell_new(records, order, trust, surroundings)
    check = _checks(options, trust, signatory.signer.key_id, surroundings)
    cut = cut_delivery(order, layout, records, signatory, surroundings.progress(), check)
    for receipt in receipts:
        records.receive(Receipt.kind, receipt.statement.subject, [receipt.raw], replace=True)
    return cut


def _rest_on(
    options: BundleOptions,
    order: BundleOrder,
    layout: Layout,
    records: Records,
    trust: Trust | None,
    surroundings: Surroundings,
) -> tuple[BundleOrder, tuple[VerifiedStatement, ...]]:
    """The order with what need not be carried, and the receipts that say so. Says what the delivery rests on."""
    if options.since == Since():
        return order, ()
    one = Coming(order.locks, order.sovereign, order.stream, trust, surroundings.clock())
    found = find_baselines(options.since, one, layout, records)
    for note in found.notes:
        surroundings.note(f"note: it leaves out what is inside {note}")
    return replace(order, proven=found.proven), found.receipts


def _receiver(options: BundleOptions, records: Records, surroundings: Surroundings) -> Trust | None:
    """The Trust resource of the receiving side, if it is at hand. Checks what it says of a receipt."""
    trust = trust_of_receiver(options.trust, records, options.sovereign, surroundings)
    if options.receipt is not None:
        check_receipt(options.receipt, trust, records, options.stream, surroundings.clock())
    return trust


def _checks(
    options: BundleOptions, trust: Trust | None, signer: str, surroundings: Surroundings
) -> Callable[[Prepared], None]:
    """What the receiving side would check, if its Trust resource is at hand."""
    if trust is None:
        return lambda _prepared: None
    return rehearsal(trust, signer, surroundings.clock(), options.life, surroundings)


def _tell_new(records: Records, order: BundleOrder, trust: Trust | None, surroundings: Surroundings) -> None:
    note = stream_note(records, order.sovereign, order.stream, named=trust is not None)
    if note:
        surroundings.note(f"note: {note}")


def _locks(options: BundleOptions) -> tuple[Lock, ...]:
    """The locks. Checks that the delivery can be written, if a place for it is named."""
    locks = tuple(read_lock(path) for path in options.locks)
    if options.to is not None:
        check_folder(options.to, "--to")
    return locks


def _order(
    options: BundleOptions, locks: tuple[Lock, ...], trust: Trust | None, surroundings: Surroundings
) -> BundleOrder:
    """What is cut, with the approvals, the trust roots and the waivers to include. Says what the locks lack."""
    approvals = [*options.approvals, *(path for lock in options.locks for path in beside(lock))]
    order = BundleOrder(
        locks,
        options.sovereign,
        options.to or Path(),
        options.stream,
        options.volume_size,
        options.life,
        tuple(read_approval(path, locks) for path in approvals),
        unscanned=options.unscanned,
        trust_roots=carried_roots(options.trust_roots),
        waivers=tuple(_waivers(options, trust, surroundings)),
    )
    for lock in locks:
        if lock.findings:
            surroundings.note(f"note: {finding_note(lock.name, lock.findings)}")
    return order


def _waivers(options: BundleOptions, trust: Trust | None, surroundings: Surroundings) -> list[Approved]:
    if trust is None:
        if options.waivers:
            what = "bundle: --waiver requires --trust"
            hint = "pass --trust FILE: the Trust resource says whose approval of a waiver is accepted"
            raise InputError("usage", what, hint)
        return []
    return read_waivers(options.waivers, (), trust, surroundings.clock())
