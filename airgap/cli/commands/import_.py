"""`airgap import`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError
from airgap.cli.context import Context
from airgap.cli.parser import add_jobs, add_key, add_trust, command, existing
from airgap.cli.places import check_file
from airgap.cli.words import count

if TYPE_CHECKING:
    from airgap.acceptance.open import Opened
    from airgap.jobs.importing.lines import Imported
    from airgap.resources.model import Sovereign, Trust
    from airgap.station.ledger import Ledger


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "import",
        run,
        summary="accept a delivery and bring it into the Sovereign, or into a station's store; sign a receipt",
        examples="""
airgap import /media/usb/nov --sovereign sovereign.yaml --trust trust.yaml --dry-run
airgap import /media/usb/nov --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key --receipt receipt.json
airgap import /media/disc1 /media/disc2 --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key
airgap import /media/usb/first-leg --store /srv/store --trust station-trust.yaml     at the DMZ station
one drive, several discs? the same command for each disc: names become visible with the last one
interrupted, or a destination failed? run the same command again""",
    )
    parser.add_argument("delivery", nargs="+", type=existing, metavar="DELIVERY", help="folders that hold its files")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--sovereign", type=Path, metavar="FILE", help="Sovereign resource: where things go")
    where.add_argument(
        "--store", type=Path, metavar="DIR", help="store of the station that the delivery is addressed to"
    )
    add_trust(parser, required=True)
    add_key(parser, what="the receipt")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="write the signed receipt there as well")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done; write nothing")
    parser.add_argument(
        "--restore",
        action="store_true",
        help="take an earlier accepted delivery again: adds, moves nothing",
    )
    parser.add_argument(
        "--deep",
        action="store_true",
        help="believe no receipt: ask for everything, hash what is there, bring anew what is damaged",
    )
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap import`."""
    from airgap.acceptance.open import accept
    from airgap.cli.gap import state_of
    from airgap.cli.import_report import report
    from airgap.cli.ledger import open_ledger
    from airgap.cli.station import import_into_store
    from airgap.resources.load import load_sovereign, load_trust

    if arguments.store:
        return import_into_store(arguments, context)
    sovereign, trust = load_sovereign(arguments.sovereign), load_trust(arguments.trust)
    state = state_of(sovereign, context)
    if arguments.receipt and not context.key_path(arguments):
        raise InputError("no-key", "--receipt needs a key to sign it with", "use --key KEY, or set AIRGAP_KEY")
    if arguments.receipt:
        check_file(arguments.receipt, "--receipt")
    ledger = open_ledger(arguments, context, trust, sovereign)
    # Trust before bytes, and before the destinations are even asked, but for the list that a restore goes by.
    opened = accept(
        arguments.delivery,
        trust,
        ledger.known(),
        sovereign=sovereign.name,
        now=context.now(),
        restore=arguments.restore,
        state_folder=state,
    )
    _notes(opened, context)
    if arguments.dry_run:
        planned = _planned(arguments, context, trust, sovereign, opened)
        ledger.compare(planned.gone)
        return report(planned, context, dry_run=True)
    done = _imported(arguments, context, trust, sovereign, opened, ledger)
    return report(done, context, dry_run=False)


def _notes(opened: Opened, context: Context) -> None:
    for note in opened.admitted.notes:
        context.note(f"note: {note}")
    seeds = [item.name for lock in opened.locks for item in lock.items if item.phase == "seed"]
    if seeds:
        context.note(
            f"note: {count(len(seeds), 'item')} of phase seed, first {seeds[0]}: to the registry like all others; for "
            "machines that start before it answers, take it out with `airgap extract`"
        )


def _planned(
    arguments: argparse.Namespace,
    context: Context,
    trust: Trust,
    sovereign: Sovereign,
    opened: Opened,
) -> Imported:
    """The plan alone. Git is unpacked to see what would move: not in the state folder, for nothing is to be written."""
    import tempfile

    from airgap.cli.countersign import countersigner_for
    from airgap.cli.gap import open_gap, state_of
    from airgap.jobs.importing.run import plan_import

    countersigner = countersigner_for(sovereign, trust, state_of(sovereign, context), context)
    with tempfile.TemporaryDirectory(prefix="airgap-dry-run-") as work:
        gap = open_gap(
            arguments,
            context,
            trust,
            sovereign,
            create=False,
            restore=arguments.restore,
            deep=arguments.deep,
            work=Path(work),
        )
        planned = plan_import(opened, gap.destinations, context.jobs(arguments))
        if countersigner is not None:
            countersigner.plan(planned.lines, opened.admitted.reports, context.jobs(arguments))
        return planned


def _imported(
    arguments: argparse.Namespace,
    context: Context,
    trust: Trust,
    sovereign: Sovereign,
    opened: Opened,
    ledger: Ledger,
) -> Imported:
    from airgap.acceptance.discs import forget_superseded
    from airgap.base.disk import disk_errors, locked
    from airgap.cli.connect import station_for
    from airgap.cli.countersign import countersigner_for
    from airgap.cli.gap import open_gap, state_of
    from airgap.cli.ledger import sign_with
    from airgap.delivery.spool import Spool
    from airgap.jobs.importing.run import plan_import, run_import
    from airgap.statements.trust import check_signer
    from airgap.station.files import Records

    state, jobs = state_of(sovereign, context), context.jobs(arguments)
    station = station_for(arguments, context, Records(state), "sovereign", required=False)
    if station is not None:
        check_signer(trust, station.signer.key_id, "sovereign", context.now())
    countersigner = countersigner_for(sovereign, trust, state, context)
    with disk_errors(state):
        state.mkdir(parents=True, exist_ok=True)
    with locked(state / ".import.lock", wait=False):
        gap = open_gap(
            arguments,
            context,
            trust,
            sovereign,
            create=True,
            restore=arguments.restore,
            deep=arguments.deep,
        )
        planned = plan_import(opened, gap.destinations, jobs)
        ledger.compare(planned.gone)
        sign_with(ledger, station, sovereign, context)
        progress = context.progress()
        done = run_import(planned, ledger, station, jobs=jobs, progress=progress, countersigner=countersigner)
        _keep(done, state, arguments.receipt)
        # Behind the receipt: what is kept of discs is needed until all is in, and known to be.
        if done.whole:
            Spool.of(state, opened.media.digest).remove()
        forget_superseded(state, ledger.file.load(), opened.media.digest)
    return done


def _keep(done: Imported, state: Path, copy: Path | None) -> None:
    from airgap.base.disk import write_durably
    from airgap.station import receipts

    if done.receipt is None:
        return
    journey = done.opened.index.journey
    receipts.save(state, journey.sequence, journey.stream, done.receipt)
    if copy is not None:
        write_durably(copy, done.receipt)
