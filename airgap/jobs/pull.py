"""`pull_locks`: origin → store. Verified while it streams, resumable; at the end one signed statement per lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from airgap.base.digest import Digest
from airgap.base.errors import (
    AirgapError,
    InputError,
    IntegrityError,
    NotFoundError,
    StoppedError,
    StoreError,
    UpstreamError,
)
from airgap.base.parallel import parallel
from airgap.base.places import check_folder
from airgap.base.progress import Progress
from airgap.base.throttle import FREE, Throttle
from airgap.content.copy import Copied, Copy, copy_graph
from airgap.content.graph import (
    Descriptor,
    Node,
    Source,
    read_node,
    walk,
)
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import finding_note
from airgap.content.scanner_database import DATABASE
from airgap.content.sizes import Tally, item_blobs
from airgap.content.throttled import ThrottledSource
from airgap.jobs.lock import raise_all
from airgap.jobs.named_files import read_lock
from airgap.jobs.packing import Packing
from airgap.jobs.reach import reach_for, upstreams_in
from airgap.jobs.receiving_side import trust_of_puller
from airgap.jobs.signing import signatory_of
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.table import kind_of, store_names
from airgap.scanning.databases.dates import database_info
from airgap.scanning.databases.read import DatabaseInfo
from airgap.station.files import Records, store_records
from airgap.station.uses import Uses
from airgap.store.in_use import using
from airgap.store.layout import Layout
from airgap.store.locate import Reach
from airgap.store.overlay import Overlay

if TYPE_CHECKING:
    from airgap.statements.predicates import Pull
    from airgap.station.signatory import Signatory


@dataclass(slots=True)
class Pulled:
    """The result for one item."""

    lock: Lock
    item: Item
    root: Descriptor | None = None
    bytes: int = 0
    written: int = 0
    findings: tuple[str, ...] = ()
    error: AirgapError | None = None
    database: DatabaseInfo | None = None
    """Of a scanner's database, what it says about itself."""

    @property
    def outcome(self) -> str:
        """`pass` or `fail`."""
        return "fail" if self.findings or self.error else "pass"


@dataclass(frozen=True, slots=True)
class PullOptions:
    """Which locks are fetched, into which store, and how."""

    locks: tuple[Path, ...]
    store: Path
    key: str | None = None
    """Signs the pull statements: a path, or a `pkcs11:` URI. Without a key, none are signed."""
    upstreams: Path | None = None
    """The Upstreams resource: how hosts are reached."""
    trust: Path | None = None
    """The Trust resource of the receiving side: a key that it does not accept as exporter is refused."""
    jobs: int = DEFAULT_JOBS


def pull(options: PullOptions, surroundings: Surroundings) -> list[Pulled]:
    """Fetches everything that locks name into a store; returns one `Pulled` per item.

    1. Read the locks and the Upstreams resource, and check that the store can be written. 2. Open the key, and ask the
    Trust resource about it. 3. Make the store, and fetch (`pull_locks`).

    Content that was fetched and failed a check is in the result. Raises `InputError`, `UpstreamError`,
    `IntegrityError`, `StoreError`, `ToolError`. The same call goes on.
    """
    # 1.
    locks = [(path, read_lock(path)) for path in options.locks]
    for _, lock in locks:
        if lock.findings:
            surroundings.note(f"note: {finding_note(lock.name, lock.findings)}")
    upstreams = upstreams_in(options.upstreams)
    check_folder(options.store, "--store")
    records = store_records(options.store)
    # 2.
    trust = trust_of_puller(options.trust, records, surroundings)
    if trust is not None and options.key is None and "pull" in trust.require:
        raise InputError(
            "no-key",
            f"the Trust resource for {trust.sovereign!r} requires pull statements, and no key was given to sign them",
            "use --key KEY, or set AIRGAP_KEY: the exporter's key",
        )
    signatory = None if options.key is None else signatory_of(options.key, "exporter", records, surroundings, trust)
    # 3.
    layout = Layout(options.store, create=True, batch=True)
    progress, jobs, work = surroundings.progress(), options.jobs, records.work()
    try:
        with ExitStack() as opened:
            opened.enter_context(using(options.store, surroundings.note))
            uses, every = Uses(records.folder), [lock for _, lock in locks]
            uses.note(every, "pull", surroundings.clock(), whole=False)
            reaches = [
                (lock, opened.enter_context(reach_for(upstreams, path.parent, work, jobs, surroundings)))
                for path, lock in locks
            ]
            results = pull_locks(
                reaches, layout, records, signatory, jobs=jobs, progress=progress, throttle=surroundings.throttle
            )
            uses.note(every, "pull", surroundings.clock(), whole=True)
            return results
    except StoppedError:
        layout.settle()
        raise
    except AirgapError as error:
        if options.upstreams is not None:
            raise
        raise _with_upstreams(error) from error


def size_of(results: Sequence[Pulled], store: Path) -> int:
    """Bytes of everything that was fetched or found, each blob once. What failed counts as far as it is known."""
    layout, tally = Layout(store), Tally()
    for result in results:
        try:
            tally.add(item_blobs(result.item, result.root, layout))
        except AirgapError:
            tally.add_unread(result.bytes)
    return tally.total


def _with_upstreams(error: AirgapError) -> AirgapError:
    """Adds that pull needs --upstreams: the Upstreams next to a request, which `lock` used, are not in the lock."""
    made = _with_hint(error)
    made.also = [_with_hint(one) for one in error.also]
    return made


def _with_hint(error: AirgapError) -> AirgapError:
    if not isinstance(error, UpstreamError) or isinstance(error, NotFoundError):
        return error
    where = "pass the Upstreams resource with --upstreams: pull does not read the one in the request's file"
    return error.with_hint(f"{error.hint}; {where}" if error.hint else where)


def pull_locks(
    locks: Sequence[tuple[Lock, Reach]],
    layout: Layout,
    records: Records,
    station: Signatory | None,
    *,
    jobs: int,
    progress: Progress,
    throttle: Throttle = FREE,
) -> list[Pulled]:
    """Fetches everything that the locks name; returns one `Pulled` per item. A lock that is named twice counts once.

    1. Pack what is no graph upstream (Git); 2. copy all graphs at once, each blob once; 3. check what digests do not
    fix; 4. publish the names in one sweep; 5. with a station, sign one statement a lock.
    What is on this machine is read through `throttle`; what a network brings, through that of `reach`.
    An origin that fails is raised after everything else was fetched, and then there is no statement.
    """
    if layout.mended:
        progress.note(
            f"{layout.path}: its index.json was lost, and airgap made a new one: items of other locks have no names in "
            "it until you pull these locks again (their content is not fetched again)"
        )
    locks = list({lock.digest: (lock, reach) for lock, reach in reversed(locks)}.values())[::-1]
    results = [Pulled(lock, item) for lock, _ in locks for item in lock.items]
    reaches = {id(lock): reach for lock, reach in locks}
    progress.start("pull", 0, len(results))
    # 1. Git repositories become graphs.
    packing = Packing(layout, records.work(), progress)
    for result in results:
        throttle.check()
        _pack(result, packing, reaches[id(result.lock)])
    # 2. Everything else is one.
    copies, owners = [], []
    for result in results:
        try:
            made = _copies(result.item, layout, reaches[id(result.lock)], throttle)
        except StoreError:
            raise
        except AirgapError as error:
            result.error = error
            continue
        copies += made
        owners += [result] * len(made)
    for copied, result in zip(copy_graph(copies, jobs=jobs, progress=progress), owners, strict=True):
        _account(result, copied)
    # 3. Check what digests do not fix.
    parallel(jobs, lambda result: _check(result, layout), results)
    _mend([result for result in results if result.findings], packing, reaches, layout)
    # 4. Names, last.
    layout.publish(_names(results))
    for result in results:
        progress.done(result.item.name, result.outcome)
    raise_all([_explain(result) for result in results if result.error is not None])
    _date(results, layout, progress)
    # 5. One statement per lock.
    if station is not None:
        for lock, _ in locks:
            _sign(lock, [result for result in results if result.lock is lock], records, station)
    return results


def _pack(result: Pulled, packing: Packing, reach: Reach) -> None:
    if not kind_of(result.item).packed:
        return
    try:
        result.root, result.written = packing.pack(result.item, reach)
    except (StoreError, StoppedError):
        raise
    except AirgapError as error:
        result.error = error


def _mend(results: Iterable[Pulled], packing: Packing, reaches: Mapping[int, Reach], layout: Layout) -> None:
    """Packs items again whose graph in the store is damaged."""
    for result in results:
        if result.item.root is None and result.root is not None and packing.drop_damaged(result.root):
            result.findings = ()
            _pack(result, packing, reaches[id(result.lock)])
            _check(result, layout)


def _copies(item: Item, layout: Layout, reach: Reach, throttle: Throttle) -> list[Copy]:
    kind = kind_of(item)
    if kind.packed or item.root is None:
        return []
    origin = kind.source(item, reach)
    if kind.is_local(item):
        origin = ThrottledSource(origin, throttle)
    source: Source = Overlay(VerifiedNodes(layout), origin)
    return [Copy(item.name, source, layout, top, keep) for top, keep in item.graphs(item.root)]


class VerifiedNodes:
    """The store as a source of nodes for walking: damaged content counts as missing, and is fetched again."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def has(self, descriptor: Descriptor) -> bool:
        """True for a node in the store whose bytes are right."""
        if not descriptor.is_node or not self._layout.has(descriptor):
            return False
        with self._layout.open(descriptor) as stream:
            good = Digest.of(stream.read(descriptor.size)) == descriptor.digest
        if not good:
            self._layout.discard(descriptor)
        return good

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """From the store."""
        return self._layout.open(descriptor, offset)

    def roots(self) -> Sequence[tuple[str, Descriptor]]:
        """Does nothing: there is nothing to write."""
        return ()


def _account(result: Pulled, copied: Copied) -> None:
    result.bytes += copied.bytes
    result.written += copied.written
    result.error = result.error or copied.error
    if result.root is None:
        result.root = result.item.root


def _check(result: Pulled, layout: Layout) -> None:
    if result.error is None and result.root is not None:
        try:
            if result.item.root is None:
                # Packed here and not copied, so it is not counted yet.
                graph = walk(layout, result.root)
                result.bytes = sum(_descriptor(found).size for found in graph)
            result.findings = tuple(kind_of(result.item).check(result.item, result.root, layout))
        except AirgapError as error:
            result.error = error


def _date(results: Iterable[Pulled], layout: Layout, progress: Progress) -> None:
    """Reads the dates of scanner databases, and notes them in the store. What cannot be read is only said."""
    for result in results:
        if result.outcome == "pass" and result.root is not None and DATABASE in result.item.more:
            progress.item(result.item.name)
            try:
                result.database = database_info(layout, read_node(layout, result.root), note=True)
            except IntegrityError as error:
                progress.note(f"{result.item.name}: {error}: no station can use this database")


def _descriptor(found: Node | Descriptor) -> Descriptor:
    return found.descriptor if isinstance(found, Node) else found


def _names(results: Sequence[Pulled]) -> dict[str, Descriptor]:
    names: dict[str, Descriptor] = {}
    for result in results:
        if result.root is not None and result.outcome == "pass":
            names |= store_names(result.item, result.root)
    return names


def _explain(result: Pulled) -> AirgapError:
    error = result.error
    assert error is not None  # noqa: S101  (asked by the caller)
    hint: str = error.hint
    if isinstance(error, NotFoundError):
        hint = hint or "upstream no longer has the locked content: `airgap lock --check` shows what moved"
    if isinstance(error, IntegrityError) and not hint:
        hint = "upstream, or a proxy on the way, changed the bytes; nothing of it was kept: try again, or ask upstream"
    placed = error.with_where(f"{result.item.kind} {result.item.name!r} ({result.item.source})")
    return placed.with_hint(hint or "run the same command again: finished downloads are kept")


def _sign(lock: Lock, results: Sequence[Pulled], records: Records, station: Signatory) -> None:
    """Signs the pull statement of a lock. One that is still true keeps its time: verdicts must not become older."""
    body, before = _statement(results), records.statement("pull", lock.digest)
    if before is None or not station.made(before, lock.digest, body):
        records.save_statement("pull", lock.digest, station.sign(lock.digest, body))


def _statement(results: Sequence[Pulled]) -> Pull:
    from airgap.statements.predicates import Pull, PulledItem  # not needed by a pull without a key

    return Pull(
        {
            result.item.name: PulledItem(
                root=None if result.root is None else result.root.digest,
                outcome=result.outcome,
                bytes=result.bytes,
                reason="; ".join(result.findings) or None,
            )
            for result in results
        }
    )
