"""What `airgap store` shows: lines for people, and the fields of `--json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human, span_words
from airgap.base.times import utc_text
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.jobs.storing.check import Checked, HurtItem
    from airgap.jobs.storing.gc import Collected, Freed, GcOptions
    from airgap.jobs.storing.holdings import HeldLock
    from airgap.jobs.storing.usage import Holding, Usage, UsedLock

SHOWN = 20
"""Damaged blobs and hurt items in a text; `--json` has all of them."""


def list_lines(found: Usage) -> list[str]:
    """The locks and deliveries of a store."""
    rows = [("LOCK", "DIGEST", "LAST USED", "ITEMS", "SIZE", "STATE"), *(_lock_row(row) for row in found.locks)]
    lines = table(rows) if found.locks else ["no lock"]
    if found.deliveries:
        lines += ["", *table([("DELIVERY", "FOR", "STREAM", "CREATED", "VOLUMES"), *_delivery_rows(found)])]
    return [*lines, *_notes(found)]


def _lock_row(row: UsedLock) -> tuple[str, ...]:
    use = row.held.use
    state = "whole"
    if row.lacks:
        state = f"{count(row.lacks, 'item')} {'lost' if use.whole else 'still to come'}"
    used = f"{utc_text(use.at)} by {use.by}" if use.by else utc_text(use.at)
    many = str(len(row.held.items))
    return use.name, row.held.digest.short, used, many, human(row.share.bytes), state


def _delivery_rows(found: Usage) -> list[tuple[str, ...]]:
    return [
        (one.id, one.sovereign, f"{one.stream} {one.sequence}", utc_text(one.created), human(one.volumes))
        for one in found.deliveries
    ]


def _notes(found: Usage) -> list[str]:
    notes = []
    if found.removed:
        notes.append(f"{count(len(found.removed), 'lock')} removed by gc")
    if found.unknown:
        notes.append(
            f"{count(len(found.unknown), 'lock')} known only by statements, the first is {found.unknown[0]}: name the "
            "file with `airgap store gc --keep FILE`"
        )
    if found.unexplained:
        notes.append(f"{count(found.unexplained, 'name')} that no lock here explains; what they hold stays")
    notes += [
        f"unfinished delivery to {one.folder} for {one.sovereign}, since {utc_text(one.since)}" for one in found.cutting
    ]
    if found.waiting:
        deliveries = count(found.waiting, "delivery", "deliveries")
        notes.append(f"{deliveries} waiting for a disc (`airgap import --store`)")
    return notes


def share_lines(found: Usage) -> list[str]:
    """What each lock and delivery holds."""
    rows = [("HOLDS", "SIZE", "ALONE", "SHARED")]
    rows += [(f"lock {row.held.use.name} {row.held.digest.short}", *_cells(row.share)) for row in found.locks]
    rows += [(f"delivery {one.id} ({one.stream} {one.sequence})", *_cells(one.share)) for one in found.deliveries]
    if found.unexplained:
        rows.append(("names that no lock explains", *_cells(found.names)))
    lines = [*table(rows), "", f"{count(found.blobs, 'blob')}: {human(found.bytes)}"]
    if found.unreferenced:
        lines.append(f"{human(found.unreferenced)} of it nothing needs: `airgap store gc --dry-run`")
    if found.leftovers:
        lines.append(f"unfinished and damaged blobs: {human(found.leftovers)}")
    records = ", ".join(f"{name} {human(size)}" for name, size in found.records.items())
    if records:
        lines.append(f"records: {human(sum(found.records.values()))} ({records})")
    return [*lines, *_notes(found)]


def _cells(share: Holding) -> tuple[str, str, str]:
    return human(share.bytes), human(share.alone), human(share.shared)


def item_lines(found: Usage) -> list[str]:
    """What each item of a lock holds."""
    rows = [("KIND", "ITEM", "SIZE", "ALONE", "SHARED")]
    return table([*rows, *((one.kind, one.name, *_cells(one.share)) for one in found.items)])


def usage_document(found: Usage) -> dict[str, Any]:
    """The fields of `store ls` and `store du`."""
    return {
        "locks": [
            {**lock_document(row.held), **_share(row.share), "items": len(row.held.items), "lacks": row.lacks}
            for row in found.locks
        ],
        "removed": [lock_document(held) for held in found.removed],
        "unknown": [str(digest) for digest in found.unknown],
        "deliveries": [
            {
                "digest": str(one.digest),
                "id": one.id,
                "stream": one.stream,
                "sequence": one.sequence,
                "sovereign": one.sovereign,
                "created": utc_text(one.created),
                "locks": [str(lock) for lock in one.locks],
                "volumes": one.volumes,
                **_share(one.share),
                "gone": one.gone,
            }
            for one in found.deliveries
        ],
        "cutting": [one.as_dict() for one in found.cutting],
        "waiting": found.waiting,
        "unexplained": {"names": found.unexplained, **_share(found.names)},
        "served": found.served,
        "blobs": found.blobs,
        "bytes": found.bytes,
        "unreferenced": found.unreferenced,
        "leftovers": found.leftovers,
        "records": found.records,
        "items": [{"kind": one.kind, "name": one.name, **_share(one.share)} for one in found.items],
    }


def lock_document(held: HeldLock) -> dict[str, Any]:
    """The fields of a lock in a store."""
    return held.use.as_dict()


def _share(share: Holding) -> dict[str, int]:
    return {"bytes": share.bytes, "alone": share.alone, "shared": share.shared}


def _hurt_document(one: HurtItem) -> dict[str, Any]:
    return {
        "lock": str(one.lock.digest),
        "lockName": one.lock.lock.name,
        "kind": one.kind,
        "item": one.name,
        "missing": [str(digest) for digest in one.missing],
        "damaged": [str(digest) for digest in one.damaged],
    }


def check_lines(found: Checked) -> list[str]:
    """What is damaged, and whose items are hurt."""
    lines = [f"damaged: {digest}: {what}" for digest, what in sorted(found.damaged.items())[:SHOWN]]
    lines += _more(len(found.damaged), "damaged blob")
    for one in found.hurt[:SHOWN]:
        wrong = [f"{len(one.damaged)} damaged"] if one.damaged else []
        wrong += [f"{len(one.missing)} missing"] if one.missing else []
        lines.append(f"hurt: lock {one.lock.lock.name!r}: {one.kind} {one.name!r}: {', '.join(wrong) or 'not packed'}")
    lines += _more(len(found.hurt), "item")
    lines += [f"hurt: the name {name!r}, which no lock explains" for name in found.names[:SHOWN]]
    lines += [f"damaged record: {path}" for path in found.records[:SHOWN]]
    return lines


def _more(many: int, what: str) -> list[str]:
    return [f"  and {count(many - SHOWN, f'more {what}')}"] if many > SHOWN else []


def check_summary(found: Checked) -> str:
    """What a check found, in a line."""
    parts = []
    if found.damaged:
        parts.append(f"{count(len(found.damaged), 'blob')} damaged")
    if found.hurt:
        locks = {one.lock.digest for one in found.hurt}
        parts.append(f"{count(len(found.hurt), 'item')} of {count(len(locks), 'lock')} hurt")
    if found.names:
        parts.append(f"{count(len(found.names), 'name')} hurt that no lock explains")
    if found.records:
        parts.append(f"{count(len(found.records), 'record')} damaged")
    return f"airgap: {', '.join(parts)}"


def mending(found: Checked, store: Path) -> str:
    """The next step: what brings the content back."""
    if found.damaged and not found.set_aside:
        return (
            f"airgap store check --store {store}    sets the damaged blobs aside, so that they are fetched again, if "
            "this account may write there"
        )
    steps = []
    locks = {one.lock.digest: one.lock for one in found.hurt}.values()
    # A lock that was used since, by `scan` or `bundle`, may have come either way.
    ways = []
    pulled = sorted({held.lock.name for held in locks if held.use.by != "import"})
    if pulled:
        ways.append(f"airgap pull LOCK --store {store} with the lock files of: {' '.join(pulled)}")
    if any(held.use.by != "pull" for held in locks):
        ways.append(f"airgap import DELIVERY --store {store} --trust FILE --restore, with the delivery that brought it")
    if ways:
        steps.append("; or for what came by a delivery: ".join(ways))
    if found.records:
        steps.append("restore the records from a backup; without one, pull the locks and scan again")
    if found.names:
        steps.append("pull again what the names come from")
    return "; ".join(steps) or "nothing that a lock needs is hurt: the disk may fail; look at its log (dmesg)"


def _freed(freed: Freed | None) -> dict[str, int]:
    return {"files": 0 if freed is None else freed.files, "bytes": 0 if freed is None else freed.bytes}


def gc_lines(found: Collected, options: GcOptions) -> list[str]:
    """What becomes of each lock, and what was freed."""
    rows = [("LOCK", "DIGEST", "LAST USED", "STAYS", "FREED", "WHY")]
    rows += [
        (
            one.held.use.name,
            one.held.digest.short,
            utc_text(one.held.use.at),
            "yes" if one.keeps else "no",
            "" if one.keeps else human(_freed(found.by_lock.get(one.held.digest))["bytes"]),
            one.why,
        )
        for one in found.decisions
    ]
    lines = table(rows) if found.decisions else ["no lock"]
    told = {one.held.digest for one in found.decisions}
    before = sum(freed.bytes for lock, freed in found.by_lock.items() if lock not in told)
    parts = (
        (before, "of locks that an earlier run removed"),
        (found.unreferenced.bytes, "of blobs that nothing needs"),
        (found.leftovers.bytes, "of unfinished and damaged blobs"),
        (found.records.bytes, f"of records older than {_words(options)}"),
        (found.work.bytes, "of working folders"),
    )
    lines += [f"{human(size)} {what}" for size, what in parts if size]
    if found.held_back.files:
        names = sorted(one.held.use.name for one in found.decisions if one.held.digest in found.unfinished)
        why = "they may belong to a name that no lock explains: name its lock with --keep FILE, or remove the name"
        if names:
            why = (
                f"lock {', '.join(names)} is not whole, and may need them: finish the pull or import, or give the lock "
            )
            why += "up with --drop"
        lines.append(f"{human(found.held_back.bytes)} that no lock names stay, because {why}")
    if found.unexplained:
        lines.append(f"{count(len(found.unexplained), 'name')} that no lock here explains stay, with what they hold")
    files = count(found.freed.files, "file")
    said = f"{human(found.freed.bytes)} in {files}"
    lines.append(f"dry run, nothing was deleted: {said} would be freed" if options.dry_run else f"freed {said}")
    return lines


def _words(options: GcOptions) -> str:
    return "" if options.records_older is None else span_words(options.records_older)


def check_document(found: Checked, store: Path) -> dict[str, Any]:
    """The fields of `store check`."""
    return {
        "store": str(store),
        "blobs": found.blobs,
        "bytes": found.bytes,
        "damaged": [{"digest": str(digest), "problem": what} for digest, what in sorted(found.damaged.items())],
        "setAside": found.set_aside,
        "hurt": [_hurt_document(one) for one in found.hurt],
        "unfinished": [{**lock_document(held), "lacks": many} for held, many in found.unfinished],
        "names": found.names,
        "records": [str(path) for path in found.records],
        "good": found.good,
    }


def gc_document(found: Collected, options: GcOptions) -> dict[str, Any]:
    """The fields of `store gc`."""
    return {
        "store": str(options.store),
        "dryRun": options.dry_run,
        "locks": [
            {
                **lock_document(one.held),
                "kept": one.keeps,
                "why": one.why,
                "lacks": found.unfinished.get(one.held.digest, 0),
                "freed": _freed(found.by_lock.get(one.held.digest)),
            }
            for one in found.decisions
        ],
        "byLock": {str(lock): _freed(freed) for lock, freed in found.by_lock.items()},
        "unreferenced": _freed(found.unreferenced),
        "heldBack": _freed(found.held_back),
        "leftovers": _freed(found.leftovers),
        "records": _freed(found.records),
        "work": _freed(found.work),
        "namesRemoved": found.names,
        "namesMoved": found.moved,
        "namesUnexplained": found.unexplained,
        "freed": _freed(found.freed),
    }
