"""`airgap history`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.times import utc_text
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_trust, existing
from airgap.cli.parser import command
from airgap.cli.words import table
from airgap.content.forms import ChangeOutcome

if TYPE_CHECKING:
    from airgap.jobs.history import PastDelivery, PastRun

HEADING = ("STREAM", "NUMBER", "ACCEPTED", "SIGNED BY", "CHANGED")
QUIET = (ChangeOutcome.PRESENT, ChangeOutcome.STAYS)
"""Outcomes that `--items` leaves out: nothing happened."""


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "history",
        run,
        summary="list the deliveries that came in: number, date, who signed, what each import and rollback changed",
        examples="""
airgap history --sovereign sovereign.yaml --trust trust.yaml
airgap history --sovereign sovereign.yaml --trust trust.yaml --lists        the state folder was lost
airgap history --sovereign sovereign.yaml --trust trust.yaml --items --last 1
airgap history receipts/*.json --trust trust.yaml --json""",
    )
    parser.add_argument(
        "receipts", nargs="*", type=existing, metavar="RECEIPT", help="receipts and rollbacks, as files"
    )
    parser.add_argument("--sovereign", type=Path, metavar="FILE", help="Sovereign resource: whose state folder is read")
    add_trust(parser, required=False)
    parser.add_argument(
        "--lists", action="store_true", help="also ask the destinations for the signed lists that they keep"
    )
    parser.add_argument("--items", action="store_true", help="list every name that was written, moved or refused")
    parser.add_argument("--last", type=_last, metavar="N", help="only the last N deliveries")


def _last(text: str) -> int:
    from airgap.cli.flags import number

    if number(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of at least 1")
    return number(text)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap history`."""
    from airgap.jobs.history import HistoryOptions, history

    options = HistoryOptions(tuple(arguments.receipts), arguments.sovereign, arguments.trust, lists=arguments.lists)
    found = history(options, context.surroundings(arguments))
    found = found[-arguments.last :] if arguments.last else found
    lines = table([HEADING, *map(_row, found)]) if found else ["no delivery"]
    if arguments.items:
        lines += [line for one in found for line in _items(one)]
    context.result({"deliveries": [_document(one) for one in found]}, lines)
    return exits.DONE


def _row(one: PastDelivery) -> tuple[str, ...]:
    accepted = "" if one.accepted_at is None else utc_text(one.accepted_at)
    signed = ", ".join(dict.fromkeys(f"{who.key} ({who.role})" if who.key else who.role for who in one.signers))
    changed = "; ".join(_told(run) for run in one.runs) or "no receipt"
    return one.stream, str(one.sequence), accepted, signed or "unknown", changed


def _told(run: PastRun) -> str:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(run.counts.items())) or "nothing"
    return f"rolled back at {utc_text(run.signed_at)}: {counts}" if run.body.kind == "rollback" else counts


def _items(one: PastDelivery) -> list[str]:
    lines = ["", f"{one.stream} {one.sequence}, {one.digest}"]
    for run in one.runs:
        lines.append(f"  {run.body.kind} of {utc_text(run.signed_at)}, {run.path}")
        lines += [
            f"    {line.outcome} {line.at}:{line.name or line.digest} {line.digest[:19]}"
            + (f", before {line.previous[:19]}" if line.previous not in ("", line.digest) else "")
            for _, line in run.lines
            if line.outcome not in QUIET
        ]
    return lines


def _document(one: PastDelivery) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "sequence": one.sequence,
        "id": one.id,
        "digest": str(one.digest),
        "acceptedAt": None if one.accepted_at is None else utc_text(one.accepted_at),
        "signedBy": [{"kind": who.kind, "role": who.role, "key": who.key or None} for who in one.signers],
        "rolledBackAt": None if one.rolled_back is None else utc_text(one.rolled_back),
        "runs": [
            {
                "kind": run.body.kind,
                "file": str(run.path),
                "signedAt": utc_text(run.signed_at),
                "key": run.key or None,
                "counts": run.counts,
                "items": [{"destination": url, **line.as_dict()} for url, line in run.lines],
            }
            for run in one.runs
        ],
    }
