"""`airgap import --store`: a delivery into the store of a station."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.places import check_folder
from airgap.cli.words import count, human

if TYPE_CHECKING:
    from airgap.acceptance.open import Opened
    from airgap.jobs.import_store import Taken
    from airgap.resources.model import Trust
    from airgap.station.ledger import Ledger


def import_into_store(arguments: argparse.Namespace, context: Context) -> int:
    """Takes a delivery that is addressed to this station, by the name in its Trust resource, into its store."""
    from airgap.acceptance.open import accept
    from airgap.jobs.import_store import left_here, look
    from airgap.resources.load import load_trust

    for flag in ("receipt", "key"):
        if getattr(arguments, flag):
            raise InputError(
                "usage",
                f"--{flag} does not go with --store: a station's import signs nothing, only a Sovereign gives receipts",
                "leave it out; `airgap scan` and `airgap bundle` sign for the station",
            )
    trust, store = load_trust(arguments.trust), arguments.store
    check_folder(store, "--store")
    ledger = _ledger(arguments, context, trust)
    opened = accept(
        arguments.delivery,
        trust,
        ledger.known(),
        sovereign=trust.sovereign,
        now=context.now(),
        restore=arguments.restore,
        state_folder=ledger.records.folder,
    )
    for note in (*opened.admitted.notes, *left_here(opened)):
        context.note(f"note: {note}")
    taken = look(opened, store) if arguments.dry_run else _taken(arguments, context, opened, ledger)
    return _report(taken, store, context, dry_run=arguments.dry_run)


def _ledger(arguments: argparse.Namespace, context: Context, trust: Trust) -> Ledger:
    from airgap.statements.accepted_state import StateFile
    from airgap.station.files import store_records
    from airgap.station.ledger import Ledger
    from airgap.station.signatory import Diary

    records = store_records(arguments.store)
    return Ledger(
        file=StateFile(records.folder, trust.sovereign),
        shelves=(),
        trust=trust,
        records=records,
        diary=Diary(records.log(), "station", context.now),
        note=context.note,
        restore=arguments.restore,
    )


def _taken(arguments: argparse.Namespace, context: Context, opened: Opened, ledger: Ledger) -> Taken:
    from airgap.acceptance.discs import forget_superseded
    from airgap.base.disk import disk_errors, locked
    from airgap.delivery.spool import Spool
    from airgap.jobs.import_store import take
    from airgap.store.layout import Layout

    state, delivery = ledger.records.folder, opened.media.digest
    layout = Layout(arguments.store, create=True, batch=True)
    with disk_errors(state):
        state.mkdir(parents=True, exist_ok=True)
    with locked(state / ".import.lock", wait=False):
        jobs, progress = context.jobs(arguments), context.progress()
        taken = take(opened, layout, ledger, jobs=jobs, deep=arguments.deep, progress=progress)
        if not taken.waits:
            Spool.of(state, delivery).remove()
        forget_superseded(state, ledger.file.load(), delivery)
    return taken


def _report(taken: Taken, store: Path, context: Context, *, dry_run: bool) -> int:
    journey = taken.opened.index.journey
    document = {
        "delivery": journey.id,
        "digest": str(taken.opened.media.digest),
        "stream": journey.stream,
        "sequence": journey.sequence,
        "store": str(store),
        "dryRun": dry_run,
        "items": [{"name": item.name, "kind": item.kind} for item in taken.items],
        "written": taken.written,
        "locks": [str(path) for path in taken.locks],
        "missingVolumes": taken.missing_volumes,
    }
    lines = [
        ("dry run, nothing was written: " if dry_run else "")
        + f"{store}: delivery {journey.sequence} of stream {journey.stream!r}: {count(len(taken.items), 'item')}, "
        f"{human(taken.written)} of it new"
    ]
    if taken.missing_volumes:
        what = "not at hand" if dry_run else "still to come"
        lines.append(f"{what}: {', '.join(taken.missing_volumes)}")
    if taken.waits:
        lines.append(
            "nothing has a name yet. Insert the next disc and run the same command with its folder; this one is not "
            "needed again"
        )
    for path in taken.locks:
        lines += [f"  {path}", f"    next: airgap scan {path} --store {store} …"]
    context.result(document, "\n".join(lines))
    return exits.UPSTREAM if taken.waits and not dry_run else exits.DONE
