"""`lock`: names → digests. Keeps existing pins unless told to update them; reports what moved."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airgap.base.disk import write_durably
from airgap.base.errors import AirgapError, InputError, UnreachableError
from airgap.base.parallel import parallel
from airgap.base.places import check_file
from airgap.base.progress import Progress
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.content.lock_finding import LockFinding
from airgap.content.sizes import Tally
from airgap.jobs.lock_partial import can_be_left_out, hinted, left_out, unusable
from airgap.jobs.named_files import read_lock
from airgap.jobs.named_items import full_names
from airgap.jobs.reach import reach_for, upstreams_in
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.kinds.kind import Kind
from airgap.kinds.table import kind_named, kind_of, wanted
from airgap.net.faults import NoSuchHostError
from airgap.resources.load import load_partial_request, load_request
from airgap.resources.request import Request, Unusable
from airgap.resources.upstreams import Upstreams
from airgap.store.locate import Reach

ALL = "*"
"""In `update`: resolve every item again."""


@dataclass(frozen=True, slots=True)
class LockOptions:
    """Which request is resolved, and where its lock is."""

    request: Path
    output: Path | None = None
    """The lock; `None` for the request's place and name, ending in `.lock.json`."""
    check: bool = False
    """Compare with the existing lock, and write nothing."""
    update: tuple[str, ...] = ()
    """Names of items that are resolved again, `ALL` for every one."""
    upstreams: Path | None = None
    """The Upstreams resource: how to reach each host. It takes precedence over one in the request's file."""
    partial: bool = False
    """Record what cannot be locked as findings of the lock, instead of refusing it."""
    jobs: int = DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class LockResult:
    """The lock of a request, the lock before it, and the differences."""

    output: Path
    before: Lock | None
    lock: Lock
    changes: list[dict[str, str]]
    size: LockSize


@dataclass(frozen=True, slots=True)
class LockSize:
    """What the items of a lock take on a medium."""

    bytes: int
    """Each blob once. If `exact` is false, items that were kept share blobs that are counted for each."""
    apart: int
    """The sum of the items, each by itself."""
    exact: bool
    unmeasured: int
    """Items whose size only `pull` finds: Git repositories."""


def lock(options: LockOptions, surroundings: Surroundings) -> LockResult:
    """Resolves the names of a request to digests, and writes the lock.

    1. Read the request and the Upstreams resources, and check that the lock can be written. 2. Resolve (`make_lock`).
    3. Write the lock, unless it is only compared.

    Raises `InputError`, `UpstreamError`, `ToolError`, `StoreError`.
    """
    # 1.
    unusable_entries: tuple[Unusable, ...] = ()
    if options.partial:
        request, beside, unusable_entries = load_partial_request(options.request)
    else:
        request, beside = load_request(options.request)
    upstreams = Upstreams(hosts={**beside.hosts, **upstreams_in(options.upstreams).hosts})
    output = options.output or default_lock(options.request)
    if not options.check:
        check_file(output, "-o" if options.output else "the lock")
    before = read_lock(output) if output.exists() else None
    # 2.
    with (
        tempfile.TemporaryDirectory(prefix="airgap-lock-") as work,
        reach_for(upstreams, options.request.parent, Path(work), options.jobs, surroundings) as reach,
    ):
        reach.partial = options.partial
        made = make_lock(
            request,
            before,
            (ALL,) if options.check else options.update,
            reach,
            jobs=options.jobs,
            progress=surroundings.progress(),
            folder=output.parent.absolute(),
            findings=unusable(unusable_entries),
        )
    for note in made.notes:
        surroundings.note(f"note: {note}")
    changes = diff_locks(before, made.lock) if before is not None else []
    # 3.
    data = encoded(made.lock, output)
    if not options.check:
        write_durably(output, data)
    return LockResult(output, before, made.lock, changes, made.size)


def encoded(lock: Lock, where: Path) -> bytes:
    """The bytes of a lock, once it is certain that every command can read them. Raises `InputError` (`bad-lock`).

    Publishers choose names of any length, and servers answer with any value.
    """
    data = lock.encode()
    try:
        Lock.decode(data, str(where))
    except InputError as error:
        hint = "change the item in the request, or leave it out; nothing was written"
        raise error.with_hint(hint) from error
    return data


def default_lock(request: Path) -> Path:
    """`x.request.yaml` → `x.lock.json`."""
    stem = request.name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".request")
    return request.with_name(stem + ".lock.json")


@dataclass(frozen=True, slots=True)
class Locked:
    """A new lock, and notes about it for people."""

    lock: Lock
    notes: tuple[str, ...]
    size: LockSize


def make_lock(
    request: Request,
    old: Lock | None,
    update: Collection[str],
    reach: Reach,
    *,
    jobs: int,
    progress: Progress,
    folder: Path,
    findings: Sequence[LockFinding] = (),
) -> Locked:
    """Resolves a request, several items at once. Keeps the pins of `old` for items whose request did not change; an
    item whose request changed is resolved again, and a note reports that.

    `update` names items to resolve again (`ALL` for every one); `folder` is the folder of the lock: local paths
    below it are written relative to it; `findings` are known already. If `reach` is partial, an item that cannot be
    locked becomes a finding, unless that is all of them; else a pin with findings is not kept. Raises the first error,
    after every item was tried.
    """
    entries = list(wanted(request))
    update = named(update, entries)
    kept = {(item.kind, item.name): item for item in old.items} if old else {}
    edited, reached, hostless = list[str](), list[str](), list[AirgapError]()
    progress.start("lock", 0, len(entries))

    def one(entry: tuple[str, Any]) -> Item | AirgapError | LockFinding:
        kind, asked = kind_named(entry[0]), entry[1]
        progress.item(asked.name)
        pin = kept.get((kind.name, asked.name))
        lacking = pin is not None and not reach.partial and kind.findings(pin)
        if pin is not None and not lacking and not {asked.name, ALL} & set(update):
            edits = _edits(kind, asked, pin, reach, folder)
            if not edits:
                progress.done(asked.name, "kept")
                return pin
            edited.append(f"{asked.name}: resolved again, because the request changed: {edits}")
        try:
            item = kind.resolve(asked, reach)
        except AirgapError as error:
            progress.done(asked.name, "failed")
            if reach.partial and isinstance(error, NoSuchHostError):
                hostless.append(error.with_where(f"{kind.name} {asked.name!r}"))
                return left_out(asked.name, error, reach)
            if reach.partial and can_be_left_out(error):
                return left_out(asked.name, error, reach)
            return error.with_where(f"{asked.where + ': ' if asked.where else ''}{kind.name} {asked.name!r}")
        progress.done(asked.name, "locked")
        if not kind.is_local(item):
            reached.append(item.name)
        source = _relative(item.source, kind, folder)
        return replace(item, source=source, asked=kind.unwritten(asked, reach))

    results = parallel(jobs, one, entries)
    if not reached:  # it may as well be this machine that resolves no name at all
        raise_all(hostless)
    failed = [result for result in results if isinstance(result, AirgapError)]
    raise_all(hinted(failed) if len(failed) < len(results) else failed)
    absent = [result for result in results if isinstance(result, LockFinding)]
    if absent and len(absent) == len(results):
        what = f"none of {len(absent)} items can be locked; the first: {absent[0].item}: {absent[0].detail}"
        raise InputError("nothing-to-lock", what, "run it without --partial, which shows every mistake with its place")
    lock = Lock.of(request.name, [result for result in results if isinstance(result, Item)], [*findings, *absent])
    notes = (note for item in lock.items for note in kind_of(item).notes(item))
    return Locked(lock, (*sorted(edited), *notes), _measure(lock, reach))


def _measure(lock: Lock, reach: Reach) -> LockSize:
    """The size of all items, each blob once as far as this run has read what items consist of."""
    tally, apart, unread, unmeasured = Tally(), 0, 0, 0
    for item in lock.items:
        blobs = kind_of(item).blobs(item) or reach.blobs.get(item.name)
        size = tally.add(blobs) if blobs is not None else tally.add_unread(item.bytes)
        apart += size.bytes
        unread += blobs is None and item.root is not None
        unmeasured += item.root is None
    return LockSize(tally.total, apart, unread == 0 or len(lock.items) == 1, unmeasured)


def raise_all(errors: list[AirgapError]) -> None:
    """Raises the first of `errors`, with the others in `also`, so that one run reports all mistakes.

    A host that does not answer is one mistake, however many items are there.
    """
    causes: dict[object, list[AirgapError]] = {}
    for error in errors:
        causes.setdefault(_cause(error), []).append(error)
    told = [
        same[0] if len(same) == 1 else same[0].with_where(f"{len(same)} items fail alike, the first is")
        for same in causes.values()
    ]
    if told:
        told[0].also = told[1:]
        raise told[0]


def _cause(error: AirgapError) -> object:
    """What is equal for two errors with the same cause."""
    root, seen = error, {id(error)}
    # `raise error from error` makes a circle.
    while isinstance(root.__cause__, AirgapError) and id(root.__cause__) not in seen:
        root = root.__cause__
        seen.add(id(root))
    return str(root.what) if isinstance(root, UnreachableError) else id(error)


def named(update: Collection[str], entries: list[tuple[str, Any]]) -> set[str]:
    """`update` in full names: the last part of a name is enough where it is the end of one name only.

    Raises `InputError` (`no-such-item`), with the name that was probably meant.
    """
    every = {ALL} & set(update)
    return every | full_names(set(update) - every, {asked.name for _, asked in entries}, "--update", "the request")


def _edits(kind: Kind[Any], asked: Any, pin: Item, reach: Reach, folder: Path) -> str:
    """How the request differs from the one that `pin` was made from, in words; empty if the pin can be kept."""
    source = _relative(kind.origin(asked), kind, folder)
    new = {"source": source, **kind.said(asked), **kind.unwritten(asked, reach)}
    old = {"source": pin.source, **kind.pinned(pin), **pin.asked}
    return "; ".join(
        f"{key}: {_text(old[key]) if key in old else 'not recorded in the lock'} → {_text(new.get(key, ()))}"
        for key in {**new, **pin.asked}
        if old.get(key) != new.get(key)
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | bool) else ", ".join(value) or "all"


def _relative(source: str, kind: Kind[Any], folder: Path) -> str:
    """Local paths below the lock's folder are written relative to it, so that both can be moved together.

    The current folder does not matter: `..` in the folder's name is taken out as in the request's paths.
    """
    for prefix in kind.path_prefixes:
        path = source.removeprefix(prefix)
        if source.startswith(prefix) and path.startswith("/"):
            base = os.path.normpath(folder.absolute()).rstrip("/") + "/"
            return prefix + path.removeprefix(base)
    return source


def diff_locks(old: Lock, new: Lock) -> list[dict[str, str]]:
    """The changes, for the approver: rows of `change` (added, removed, changed), `kind`, `name`, `detail`.

    A finding is a row of the kind `finding`.
    """
    before = {(item.kind, item.name): item for item in old.items}
    after = {(item.kind, item.name): item for item in new.items}
    rows = []
    for key in sorted(before.keys() | after.keys()):
        one, two = before.get(key), after.get(key)
        if one == two:
            continue
        if one is None or two is None:
            item, change = (two, "added") if two is not None else (one, "removed")
            detail = kind_of(item).identity(item) if item is not None else ""
        else:
            change, detail = "changed", "; ".join(_changes(one, two))
        rows.append({"change": change, "kind": key[0], "name": key[1], "detail": detail})
    for found in sorted({*old.findings} ^ {*new.findings}):
        change, detail = "added" if found in new.findings else "removed", f"{found.code}: {found.detail}"
        rows.append({"change": change, "kind": "finding", "name": found.item, "detail": detail})
    return rows


def _changes(one: Item, two: Item) -> list[str]:
    kind, old, new = kind_of(two), one.as_dict(), two.as_dict()
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "root":
            found.append(f"root {before['digest']} → {after['digest']}" if before and after else "root")
        elif key == "asked":
            found.append(f"asked: {json.dumps(before)} → {json.dumps(after)}")
        elif key in ("attached", "files"):
            found.append(f"{key}: {len(before or ())} → {len(after or ())}")
        else:
            found += kind.changed(key, before, after)
    return found
