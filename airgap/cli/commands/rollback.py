"""`airgap rollback`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_jobs, add_key, add_sovereign, add_trust, existing
from airgap.cli.parser import command
from airgap.cli.words import next_step, outcomes, table
from airgap.content.forms import Change, ChangeOutcome

if TYPE_CHECKING:
    from airgap.jobs.rollback import RolledBack

HEADING = ("OUTCOME", "AT", "NAME", "HOLDS NOW", "HELD BEFORE")


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "rollback",
        run,
        summary="move every tag, ref and pointer back to what it held before a delivery; sign that; delete nothing",
        examples="""
airgap rollback receipt.json --sovereign sovereign.yaml --trust trust.yaml --dry-run
airgap rollback receipt.json --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key
airgap rollback state/receipts/main-000007.sigstore.json --sovereign sovereign.yaml --trust trust.yaml --keep-going
several deliveries? roll back the newest first
a name that a later delivery has, or that somebody changed, does not go back: then nothing is moved (exit 3)""",
    )
    parser.add_argument("receipt", type=existing, metavar="RECEIPT", help="a receipt of the delivery to roll back")
    add_sovereign(parser)
    add_trust(parser, required=True)
    add_key(parser, what="the rollback")
    parser.add_argument(
        "--earlier",
        type=existing,
        action="append",
        default=[],
        metavar="RECEIPT",
        help="a receipt of an earlier delivery that is not in the state folder; may be given more than once",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write the signed rollback to FILE")
    parser.add_argument("--dry-run", action="store_true", help="report what would be done; write nothing")
    parser.add_argument("--keep-going", action="store_true", help="move what can go back, even if other names cannot")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap rollback`."""
    from airgap.jobs.rollback import RollbackOptions, rollback

    options = RollbackOptions(
        receipt=arguments.receipt,
        sovereign=arguments.sovereign,
        trust=arguments.trust,
        key=context.key_path(arguments),
        earlier=tuple(arguments.earlier),
        report=arguments.report,
        dry_run=arguments.dry_run,
        keep_going=arguments.keep_going,
        jobs=context.jobs(arguments),
    )
    done = rollback(options, context.surroundings(arguments))
    document = {
        "delivery": done.receipt.delivery,
        "digest": str(done.subject),
        "stream": done.receipt.stream,
        "sequence": done.receipt.sequence,
        "dryRun": options.dry_run,
        "stopped": done.stopped,
        "changes": [{"destination": url, **change.as_dict()} for url, change in done.changes],
        "errors": [
            change.error.as_dict() | {"item": change.item, "destination": url}
            for url, change in done.changes
            if change.error is not None
        ],
        "signed": done.statement is not None,
        "standingStatement": None if done.standing is None else str(done.standing),
    }
    context.result(document, [*_tables(done), *_summary(done, dry_run=options.dry_run)])
    for error in dict.fromkeys(change.error for _, change in done.changes if change.error is not None):
        context.problem(f"airgap: {error}", next_step(error))
    return _exit(done)


def _tables(done: RolledBack) -> list[str]:
    lines: list[str] = []
    urls = dict.fromkeys(url for url, _ in done.changes)
    for url in urls:
        changes = [change for found, change in done.changes if found == url]
        lines += [url] if len(urls) > 1 else []
        lines += table([HEADING, *map(_row, changes)])
        lines += [
            f"  {one.at} {one.name}: {one.outcome}: {one.reason}"
            for one in changes
            if one.reason and one.outcome is not ChangeOutcome.STAYS and one.error is None
        ]
    return lines


def _row(change: Change) -> tuple[str, ...]:
    now, before = change.previous, change.digest
    if change.outcome in (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT):
        now = before
    if change.outcome is ChangeOutcome.STAYS:
        now, before = change.digest, ""
    return str(change.outcome), change.at, change.name, now[:19], before[:19]


def _summary(done: RolledBack, *, dry_run: bool) -> list[str]:
    if not done.changes:
        return ["this delivery moved no name: nothing to roll back"]
    lines = [outcomes((change.outcome for _, change in done.changes), dry_run=dry_run)]
    if done.stopped:
        lines.append("nothing was moved, because not every name can go back; --keep-going moves the others")
    if any(change.outcome is ChangeOutcome.STAYS for _, change in done.changes):
        lines.append("names that were new with the delivery stay, and were not looked at: a rollback deletes nothing")
    if done.standing is not None:
        lines.append(f"nothing changed, so nothing was signed: the rollback {done.standing} stands")
    return lines


def _exit(done: RolledBack) -> int:
    outcomes = {change.outcome for _, change in done.changes}
    if outcomes & {ChangeOutcome.FAILED, ChangeOutcome.UNCONFIRMED}:
        return exits.UPSTREAM
    return exits.NO if ChangeOutcome.REFUSED in outcomes else exits.DONE
