"""`export`: the content of some locks → another store, which may lie on a disk: an OCI layout that other tools read.

Locks, pull statements and approvals go along, so that `scan` and `bundle` take them there as if they had been pulled
there. Verdicts do not, as in an import: whoever goes on from there judges by a policy of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.base.errors import AirgapError, InputError
from airgap.base.places import check_folder
from airgap.base.text import visible
from airgap.content.copy import Copied, Copy, copy_graph
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.jobs.import_store import CARRIED
from airgap.jobs.lock import raise_all
from airgap.jobs.storing.choose import named_locks
from airgap.jobs.storing.holdings import HeldLock, Holdings, open_store, read_holdings
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.table import store_names
from airgap.station.files import Records, pin_name, store_records
from airgap.station.uses import Uses
from airgap.store.in_use import using
from airgap.store.layout import Layout, check_place


@dataclass(frozen=True, slots=True)
class StoreExportOptions:
    """Which locks go from one store into another."""

    store: Path
    locks: tuple[str, ...]
    """Files, names or digests."""
    to: Path
    dry_run: bool = False
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class StoreExported:
    """What was copied, or would be."""

    locks: tuple[HeldLock, ...]
    items: int
    bytes: int
    """Of everything that the locks hold."""
    written: int
    """Bytes that are new in the other store."""


def export(options: StoreExportOptions, surroundings: Surroundings) -> StoreExported:
    """Copies everything that locks need into another store; every byte is hashed. The same call goes on.

    1. Find the locks; each has to be whole. 2. Copy. 3. Statements and locks, then names.

    Raises `InputError` (`no-store`, `no-such-lock`, `not-pulled`, `not-empty`), `IntegrityError` for damage in the
    store, `StoreError`.
    """
    if options.to.resolve().is_relative_to(options.store.resolve()):
        raise InputError("usage", f"--to {options.to}: this is the store itself, or in it", "name another folder")
    check_folder(options.to, "--to")
    check_place(options.to)
    layout, records = open_store(options.store)
    with using(options.store, surroundings.note):
        # 1.
        holdings = read_holdings(layout, records)
        locks = sorted(named_locks(options.locks, holdings), key=lambda held: held.order)  # the newest names last
        roots = [one for held in locks for one in _roots(held, holdings)]
        digests = frozenset[str]().union(*(held.below.digests for held in locks))
        total = sum(size for digest, size in holdings.sizes.items() if digest in digests)
        if options.dry_run:
            there = _there(options.to)
            new = sum(size for digest, size in holdings.sizes.items() if digest in digests and digest not in there)
            return StoreExported(tuple(locks), len(roots), total, new)
        target = Layout(options.to, create=True, batch=True)
        goal = store_records(options.to)
        goal.work()
        with using(options.to, surroundings.note):
            uses = Uses(goal.folder)
            uses.note([held.lock for held in locks], "export", surroundings.clock(), whole=False)
            # 2.
            progress = surroundings.progress()
            progress.start("export", 0, len(roots))
            copies = [
                Copy(item.name, layout, target, top, keep) for item, root in roots for top, keep in item.graphs(root)
            ]
            done = copy_graph(copies, jobs=options.jobs, progress=progress)
            raise_all([_explain(one, layout) for one in done if one.error is not None])
            # 3.
            for held in locks:
                _carry(held, records, goal)
            target.publish({name: place for item, root in roots for name, place in store_names(item, root).items()})
            uses.note([held.lock for held in locks], "export", surroundings.clock(), whole=True)
    return StoreExported(tuple(locks), len(roots), total, sum(one.written for one in done))


def _roots(held: HeldLock, holdings: Holdings) -> list[tuple[Item, Descriptor]]:
    lacks = holdings.lacks(held)
    packed = dict(holdings.names)
    roots = [(one.item, one.item.root or packed.get(pin_name(one.item))) for one in held.items]
    found = [(item, root) for item, root in roots if root is not None]
    if lacks or len(found) < len(roots):
        first = lacks[0][0].name if lacks else "an item"
        raise InputError(
            "not-pulled",
            f"lock {held.lock.name!r} is not whole in {holdings.layout.path}: {first!r} is incomplete",
            "run `airgap pull` again with this lock and this store",
        )
    return found


def _there(store: Path) -> set[str]:
    if not (store / "oci-layout").exists():
        return set()
    return {blob.digest for blob in Layout(store).digests()}


def _carry(held: HeldLock, records: Records, goal: Records) -> None:
    """Statements about the lock that go along: this station's newest, and received ones."""
    for subject in held.lock.pulled_as:
        for kind in CARRIED:
            newest = records.statement(kind, subject)
            found: Sequence[bytes] = records.received(kind, subject)
            every = list(dict.fromkeys([*([newest] if newest else []), *found]))
            if every:
                goal.receive(kind, subject, every, replace=True)
    full = records.lock(held.lock.promoted_from) if held.lock.promoted_from is not None else None
    if full is not None:
        goal.save_lock(full)


def _explain(one: Copied, layout: Layout) -> AirgapError:
    error = one.error
    assert error is not None  # noqa: S101  (asked by the caller)
    hint = error.hint or f"`airgap store check --store {visible(str(layout.path))}` sets damaged blobs aside; then pull"
    return error.with_where(repr(one.copy.item)).with_hint(hint)
