"""What is inside already, by receipts that came back, or by deliveries that were cut here: a delta leaves it out.

A receipt proves what its lines say is in place: the leaves that the store's manifests reach from there. Of a delivery
alone, it is only known that it was cut. What the store cannot walk any more is not proven, and is carried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.acceptance.open import evidence_files
from airgap.base.digest import Digest, is_digest
from airgap.base.errors import AirgapError, InputError, TrustError
from airgap.base.inputs import read_input
from airgap.base.known_files import not_expected, recognized
from airgap.base.times import utc_text
from airgap.bundling.baselines import KnownInside
from airgap.content.forms import Change, Graph, Refs, Tree
from airgap.content.graph import Node, by_platform, unnamed, walk
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.platforms import arriving, narrow
from airgap.delivery.fields import INDEX_NAME
from airgap.delivery.index import MAX_INDEX, Index
from airgap.delivery.journey import EVIDENCE_NAME, Baseline
from airgap.delivery.read import open_media
from airgap.delivery.sealed import is_sealed
from airgap.jobs.cut_records import cut_index
from airgap.jobs.receiving_side import Receiver, check_audience, check_receipt
from airgap.kinds.table import kind_of
from airgap.statements.accepted_state import AcceptedState
from airgap.statements.predicates import Receipt
from airgap.statements.trust import VerifiedStatement
from airgap.station import receipts
from airgap.station.brought import spot
from airgap.station.files import Records, pin_name
from airgap.station.receipts import DONE, receipt_of
from airgap.store.layout import Layout
from airgap.tools.git_bundle import header_of

LAST = "last"
"""Instead of the path of a receipt: the newest that came back, else the newest delivery of the stream."""
LFS = "lfs/"
"""How the name of an LFS object begins in a receipt (docs/format.md, "Statements")."""
FULL = "or cut a full delivery, without --since and --since-delivery"

Found = Iterator[tuple[str, Digest]]
"""Blobs that are inside, each with the item that brought it."""


@dataclass(frozen=True, slots=True)
class Since:
    """What a delta rests on."""

    receipts: tuple[str, ...] = ()
    """Paths of receipts, or `LAST`."""
    deliveries: tuple[Path, ...] = ()
    """Folders with an AIRGAP.json that was cut here, or such files."""


@dataclass(frozen=True, slots=True)
class Coming:
    """The delivery that is about to be cut."""

    locks: tuple[Lock, ...]
    stream: str
    receivers: tuple[Receiver, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class _Cut:
    """A delivery that was cut here, with its digest and its locks."""

    digest: Digest
    index: Index
    locks: tuple[Lock, ...]


@dataclass(frozen=True, slots=True)
class Baselines:
    """Every blob of which a baseline of one receiver says that it is inside, and the receipts that say it."""

    proven: Mapping[Digest, KnownInside]
    receipts: tuple[VerifiedStatement, ...] = ()
    notes: tuple[str, ...] = ()
    """What each baseline is, for people."""


def find_baselines(since: Since, one: Coming, layout: Layout, records: Records) -> list[Baselines]:
    """What is inside already, for each receiver. Receipts come before deliveries, newer ones before older ones.

    Raises `InputError` (`no-trust`, `no-receipt`, `no-delivery`, `not-cut-here`, `no-baseline`), `TrustError`,
    `IntegrityError` (`bad-index`).
    """
    given = {receiver.sovereign: list[VerifiedStatement]() for receiver in one.receivers}
    deliveries = {receiver.sovereign: list[_Cut]() for receiver in one.receivers}
    for path in (Path(path) for path in since.receipts if path != LAST):
        for receiver, verified in check_receipt(path, one.receivers, records, one.stream, one.now, "--since"):
            given[receiver.sovereign].append(verified)
    for path in since.deliveries:
        cut = _delivery(path, records)
        name = cut.index.journey.sovereign
        if name not in deliveries:
            check_audience(cut.index, one.receivers[0].sovereign, path)
        deliveries[name].append(cut)
    for receiver in one.receivers if LAST in since.receipts else ():
        came_back, newest = _last(receiver, one, records)
        given[receiver.sovereign] += came_back
        deliveries[receiver.sovereign] += newest
    return [_baselines(given[name], deliveries[name], one, layout, records) for name in given]


def _baselines(
    given: Sequence[VerifiedStatement],
    deliveries: Sequence[_Cut],
    one: Coming,
    layout: Layout,
    records: Records,
) -> Baselines:
    """What receipts and deliveries prove together for one receiver."""
    proven, notes, files = dict[Digest, KnownInside](), list[str](), _files(one.locks)
    of = dict[Digest, list[VerifiedStatement]]()
    for verified in sorted(given, key=lambda verified: verified.statement.signed_at, reverse=True):
        of.setdefault(verified.statement.subject, []).append(verified)
    for subject, about in of.items():
        bodies = [receipt_of(verified) for verified in about]
        baseline = Baseline(subject, tuple(dict.fromkeys(Digest.of(verified.raw) for verified in about)))
        for item, digest in _told(bodies, [*one.locks, *_locks_of(bodies, records)], files, layout):
            proven.setdefault(digest, KnownInside(baseline, item))
        at = utc_text(about[0].statement.signed_at)
        notes.append(f"by the receipt of {at}: delivery {bodies[0].sequence} of stream {bodies[0].stream!r}")
    for cut in deliveries:
        for item, blob in brought(cut.index, cut.locks, one.locks, layout):
            proven.setdefault(blob, KnownInside(Baseline(cut.digest), item))
        journey = cut.index.journey
        notes.append(
            f"delivery {journey.sequence} of stream {journey.stream!r}, of which it is only known that it "
            "was cut here: the import is refused if something of it is not inside"
        )
    return Baselines(proven, tuple(given), tuple(notes))


def _delivery(path: Path, records: Records) -> _Cut:
    """A delivery that was cut here: this station signed its AIRGAP.json."""
    file = path / INDEX_NAME if path.is_dir() else path
    data = read_input(file, MAX_INDEX, "no-delivery", absent="pass the folder of the delivery")
    digest = Digest.of(data)
    sealed = is_sealed(data)
    index = cut_index(digest, records) if sealed else None
    if records.statement("delivery", digest) is None or (sealed and index is None):
        if recognized(data) != recognized(b'{"kind": "Delivery"}'):
            what = not_expected(str(file), data, "the index of a delivery")
            raise InputError("no-delivery", what, "pass the folder of the delivery")
        raise InputError(
            "not-cut-here",
            f"{file}: the records of this store do not contain the delivery {digest}",
            f"use the store that it was cut from; or pass the receipt of it, with --since; {FULL}",
        )
    index = index or Index.decode(data)
    known = locks_of(index, records) or _locks_beside(file.parent, index)
    return _Cut(digest, index, known)


def _locks_beside(folder: Path, index: Index) -> tuple[Lock, ...]:
    """The locks in the evidence next to an AIRGAP.json: earlier versions kept none. Raises `InputError`."""
    try:
        files = evidence_files(open_media([folder]), index)
        return tuple(Lock.decode(data, name) for name, data in files.items() if name.startswith("locks/"))
    except AirgapError as error:
        what = f"{folder}: the locks of this delivery are not in the store's records, and not here: {error.what}"
        raise InputError("no-baseline", what, f"pass the folder with its {EVIDENCE_NAME}; {FULL}") from error


def locks_of(index: Index, records: Records) -> tuple[Lock, ...]:
    """The locks of a delivery, if the records have all of them."""
    found = [records.lock(digest) for digest in index.contents.locks]
    return tuple(lock for lock in found if lock is not None) if None not in found else ()


def _last(who: Receiver, one: Coming, records: Records) -> tuple[list[VerifiedStatement], list[_Cut]]:
    """The receipts of the newest delivery of the stream of which one came back; else the newest delivery.

    A selection brought little: it counts together with what came before it. Raises `InputError` (`no-baseline`).
    """
    cut = records.cuts(who.sovereign, one.stream)
    came_back = list[VerifiedStatement]()
    for digest in cut:
        found = list(_kept(digest, who, one.now, records))
        came_back += found
        if found and not all(receipt_of(verified).only for verified in found):
            break
    if came_back:
        return came_back, []
    deliveries = list[_Cut]()
    for digest in cut:
        index = cut_index(digest, records)
        if index is None:  # its record was changed, and tells nothing
            continue
        deliveries.append(_Cut(digest, index, locks_of(index, records)))
        if not index.contents.only:
            return [], deliveries
    if deliveries:
        return [], deliveries
    raise InputError(
        "no-baseline",
        f"the records of this store have no delivery of stream {one.stream!r} for {who.sovereign!r}",
        f"pass a receipt with --since FILE, or an earlier delivery with --since-delivery DIR; {FULL}",
    )


def _kept(delivery: Digest, who: Receiver, now: datetime, records: Records) -> Iterator[VerifiedStatement]:
    """The receipts of a delivery that came back, as far as they are trusted today."""
    if who.trust is None:
        return
    state = AcceptedState(who.sovereign)
    for data in records.received(Receipt.kind, delivery):
        with suppress(TrustError, InputError):
            yield receipts.verify(data, "a receipt in the store", who.trust, now, lambda: state)


def _locks_of(bodies: Sequence[Receipt], records: Records) -> list[Lock]:
    """The locks that receipts name, as far as the records have them."""
    named = dict.fromkeys(lock.digest for body in bodies for lock in body.locks)
    return [lock for lock in map(records.lock, named) if lock is not None]


def _files(locks: Sequence[Lock]) -> Mapping[str, Digest]:
    """By path, the files of locks that are their own names: an import replaces what such a path holds."""
    forms = (kind_of(item).expect(item) for lock in locks for item in lock.items)
    trees = (form for form in forms if isinstance(form, Tree) and form.pointer is None)
    return {path: entry.digest for tree in trees for path, entry in tree.entries.items()}


def _told(bodies: Sequence[Receipt], locks: Sequence[Lock], files: Mapping[str, Digest], layout: Layout) -> Found:
    """The blobs of what receipts say is in place, and that `files` do not replace."""
    items = [item for lock in locks for item in lock.items]
    derived = {str(item.inside.digest): item for item in items if item.inside is not None}
    packed = _packed(locks)
    for part in (part for body in bodies for part in body.destinations):
        done = [line for line in part.items if line.outcome in DONE]
        if part.form == "graph":
            for line in done:
                yield from _below(line, derived, layout)
        elif part.form == "tree":
            there = ((line, spot(part.form, line)[1]) for line in done if is_digest(line.digest))
            yield from (
                (line.item, Digest(line.digest)) for line, key in there if files.get(key, line.digest) == line.digest
            )
        else:
            yield from _repositories(done, packed, layout)


def _below(line: Change, derived: Mapping[str, Item], layout: Layout) -> Found:
    """The leaves below what a name holds inside: a root, or what `platforms` make of one."""
    item = derived.get(line.digest)
    with suppress(AirgapError):  # what the store no longer has, or never had: our own signatures inside
        if item is not None and item.root is not None:
            found = list(walk(layout, item.root, by_platform(item.platforms)))
        else:
            found = list(walk(layout, unnamed(layout, Digest(line.digest))))
        yield from ((line.item, leaf.digest) for leaf in found if not isinstance(leaf, Node))


def _repositories(done: Sequence[Change], items: Sequence[Item], layout: Layout) -> Found:
    """The LFS objects that are in place, and the bundles of the repositories whose refs are."""
    refs = dict[str, dict[str, str]]()
    for line in done:
        if line.name.startswith(LFS) and is_digest(line.digest):
            yield line.item, Digest(line.digest)
        else:
            refs.setdefault(line.item, {})[line.name] = line.digest
    yield from _bundles(refs, items, layout)


def _bundles(there: Mapping[str, Mapping[str, str]], items: Sequence[Item], layout: Layout) -> Found:
    """The bundles of which everything is inside, where these refs are. They are those of items, by name."""
    for item in items:
        refs, root = there.get(item.name), layout.find(pin_name(item))
        if refs is None or root is None:
            continue
        with suppress(AirgapError):
            form = kind_of(item).form(item, root, layout)
            if isinstance(form, Refs) and form.refs:
                # Of a bundle everything is in the history of its refs, and of a repository in that of its own.
                whole, oids = form.refs.items() <= refs.items(), set(refs.values())
                for bundle in form.bundles:
                    if whole or oids.issuperset(header_of(bundle, layout).refs.values()):
                        yield item.name, bundle.digest


def brought(index: Index, locks: Sequence[Lock], next_locks: Sequence[Lock], layout: Layout) -> Found:
    """What is inside when a delivery with these locks was imported completely, as far as the store can walk it.

    `next_locks` are those that are to be cut: a repository in them can be packed otherwise.
    """
    roots, files = {root.item: root.digest for root in index.contents.roots}, _files(next_locks)
    refs = dict[str, Mapping[str, str]]()
    for item in (item for lock in locks for item in lock.items if item.name in roots):
        refs[item.name] = item.refs
        with suppress(AirgapError):
            yield from ((item.name, digest) for digest in _arrives(item, roots[item.name], files, layout))
    yield from _bundles(refs, _packed(next_locks), layout)


def _packed(locks: Sequence[Lock]) -> list[Item]:
    """The items whose root only the store knows."""
    return list({item.pin: item for lock in locks for item in lock.items if item.root is None}.values())


def _arrives(item: Item, root: Digest, files: Mapping[str, Digest], layout: Layout) -> list[Digest]:
    """The leaves that an item has inside, and that `files` do not replace. Raises any error of reading manifests."""
    form = kind_of(item).form(item, item.root or unnamed(layout, root), layout)
    if isinstance(form, Tree):
        own = {} if form.prefix else files
        return [entry.digest for path, entry in form.entries.items() if own.get(path, entry.digest) == entry.digest]
    if isinstance(form, Refs):
        return [blob.digest for blob in form.blobs()]
    return _graph_leaves(form, layout)


def _graph_leaves(form: Graph, layout: Layout) -> list[Digest]:
    inside, _ = narrow(layout, form.root, form.platforms)
    tops = [(form.root, by_platform(form.platforms))]
    tops += [(one.descriptor, None) for one in arriving(form.attached, form.root.digest, inside.digest)]
    return [found.digest for top, keep in tops for found in walk(layout, top, keep) if not isinstance(found, Node)]
