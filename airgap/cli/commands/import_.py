"""`airgap import`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.cli import exits
from airgap.cli.context import Context, count, table
from airgap.cli.parser import add_jobs, add_key, add_trust, command, existing
from airgap.cli.places import check_file
from airgap.errors import AirgapError, InputError


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "import",
        run,
        summary="accept a delivery and bring it into the Sovereign; sign a receipt",
        examples="""
airgap import /media/usb/nov --sovereign sovereign.yaml --trust trust.yaml --dry-run
airgap import /media/usb/nov --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key --receipt receipt.json
airgap import /media/disc1 /media/disc2 --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key
one drive, several discs? the same command for each disc: names become visible with the last one
interrupted, or a destination failed? run the same command again""",
    )
    parser.add_argument("delivery", nargs="+", type=existing, metavar="DELIVERY")
    parser.add_argument(
        "--sovereign",
        type=Path,
        required=True,
        metavar="FILE",
        help="Sovereign resource: where things go",
    )
    add_trust(parser, required=True)
    add_key(parser, what="the receipt")
    parser.add_argument(
        "--receipt", type=Path, metavar="FILE", help="write the signed receipt there as well"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done; write nothing"
    )
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
    import tempfile

    from airgap.cli.connect import station_for
    from airgap.cli.gap import open_gap, state_of
    from airgap.resources.load import load_sovereign, load_trust
    from airgap.stage.accept import accept
    from airgap.stage.import_ import plan_import, run_import
    from airgap.stage.records import Records
    from airgap.store.files import disk_errors, locked
    from airgap.trust.roles import check_signer
    from airgap.trust.state import StateFile

    sovereign, trust = load_sovereign(arguments.sovereign), load_trust(arguments.trust)
    state = state_of(sovereign, context)
    if arguments.receipt and not context.key_path(arguments):
        raise InputError(
            "no-key", "--receipt needs a key to sign it with", "use --key KEY, or set AIRGAP_KEY"
        )
    if arguments.receipt:
        check_file(arguments.receipt, "--receipt")
    file = StateFile(state, sovereign.name)
    # Trust before bytes, and before the destinations are even asked.
    opened = accept(
        arguments.delivery,
        trust,
        file.load(),
        sovereign=sovereign.name,
        now=context.now(),
        restore=arguments.restore,
        state_folder=state,
    )
    for note in opened.admitted.notes:
        context.note(f"note: {note}")
    seeds = [item.name for lock in opened.locks for item in lock.items if item.phase == "seed"]
    if seeds:
        context.note(
            f"note: {count(len(seeds), 'item')} of phase seed, first {seeds[0]}: to the registry like all others; for "
            "machines that start before it answers, take it out with `airgap extract`"
        )
    options: dict[str, Any] = {"restore": arguments.restore, "deep": arguments.deep}
    if arguments.dry_run:
        # Git is unpacked to see what would move: not in the state folder, for nothing is to be written.
        with tempfile.TemporaryDirectory(prefix="airgap-dry-run-") as work:
            options |= {"create": False, "work": Path(work)}
            gap = open_gap(arguments, context, trust, sovereign, **options)
            planned = plan_import(opened, gap.destinations, context.jobs(arguments))
        return _report(planned, context, dry_run=True)
    station = station_for(arguments, context, Records(state), "sovereign", required=False)
    if station is not None:
        check_signer(trust, station.signer.key_id, "sovereign", context.now())
    with disk_errors(state):
        state.mkdir(parents=True, exist_ok=True)
    with locked(state / ".import.lock", wait=False):
        gap = open_gap(arguments, context, trust, sovereign, create=True, **options)
        planned = plan_import(opened, gap.destinations, context.jobs(arguments))
        done = run_import(
            planned, file, station, jobs=context.jobs(arguments), progress=context.progress()
        )
        if done.receipt is not None:
            _keep(done, state, arguments.receipt)
    return _report(done, context, dry_run=False)


def _keep(done: Any, state: Path, copy: Path | None) -> None:
    from airgap.stage import receipts
    from airgap.store.files import write_durably

    journey = done.opened.index.journey
    receipts.save(state, journey.sequence, journey.stream, done.receipt)
    if copy is not None:
        write_durably(copy, done.receipt)


def _report(done: Any, context: Context, *, dry_run: bool) -> int:
    rows = [("OUTCOME", "AT", "NAME", "DIGEST", "BEFORE")]
    changes, reasons = [], []
    # The errors of whole lines are told on stderr, with what to do about them.
    told = {str(line.error) for line in done.failed}
    for url, change in done.changes:
        changes.append({"destination": url, **change.as_dict()})
        if change.reason and change.reason not in told:
            reasons.append(f"  {change.at} {change.name}: {change.outcome}: {change.reason}\n")
        before = "" if change.previous in ("", change.digest) else change.previous[:19]
        rows.append((str(change.outcome), change.at, change.name, change.digest[:19], before))
    errors = [
        error.as_dict() | {"item": line.form.item, "destination": line.destination.url}
        for line in done.failed
        if (error := line.error)
    ]
    document = {
        "delivery": done.opened.index.journey.id,
        "digest": str(done.opened.media.digest),
        "sequence": done.opened.index.journey.sequence,
        "dryRun": dry_run,
        "changes": changes,
        "errors": errors,
        "missingVolumes": done.missing_volumes,
        "receipt": done.receipt is not None,
    }
    context.result(document, table(rows) + "".join(reasons) + _summary(done, dry_run=dry_run))
    for line in done.failed:
        context.note(f"airgap: {line.form.item} at {line.destination.url}: {line.error}")
        if line.error.hint:
            context.note(f"  next: {line.error.hint}")
    return _exit(done, dry_run=dry_run)


def _summary(done: Any, *, dry_run: bool) -> str:
    counts: dict[str, int] = {}
    for _, change in done.changes:
        counts[str(change.outcome)] = counts.get(str(change.outcome), 0) + 1
    said = ", ".join(f"{found} {outcome}" for outcome, found in sorted(counts.items()))
    lines = [("dry run, nothing was written: " if dry_run else "") + said]
    if done.missing_volumes:
        what = "not at hand" if dry_run else "still to come"
        lines.append(f"{what}: {', '.join(done.missing_volumes)}")
        if not dry_run:
            lines.append(
                "what this disc has is in place, and nothing is visible yet. Insert the next disc and run the same "
                "command with its folder; this one is not needed again"
            )
    elif not dry_run and done.receipt is None:
        lines.append(
            "no --key: no receipt was signed; the next import and audit look at everything again"
        )
    return "\n".join(lines)


def _exit(done: Any, *, dry_run: bool) -> int:
    from airgap.forms import Verdict

    errors: list[AirgapError] = done.errors
    if errors:
        return max(error.exit_code for error in errors)
    outcomes = {change.outcome for _, change in done.changes}
    if Verdict.FAILED in outcomes or (done.missing_volumes and not dry_run):
        return exits.UPSTREAM
    return exits.NO if Verdict.REFUSED in outcomes else exits.DONE
