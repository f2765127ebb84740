"""`airgap verify`."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from airgap.base.errors import ExpiredError, InputError
from airgap.base.times import utc_text, utc_time
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_jobs, add_trust, command, existing
from airgap.cli.words import count, table


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "verify",
        run,
        summary="check a delivery's signatures, then every byte of every file",
        examples="""
airgap verify /media/usb/nov --trust trust.yaml
airgap verify /media/disc1 /media/disc2 --trust trust.yaml
airgap verify /media/usb/nov --trust trust.yaml --index-only       signatures, locks and statements: seconds
airgap verify /archive/nov --trust trust.yaml --at 2026-11-23T10:00:00Z      one that has expired since, as of then""",
    )
    parser.add_argument("delivery", nargs="+", type=existing, metavar="DELIVERY", help="folders that hold its files")
    add_trust(parser, required=True)
    parser.add_argument("--index-only", action="store_true", help="do not read the volumes")
    parser.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="judge as of that time, which is past: for a delivery out of an archive",
    )
    add_jobs(parser)


def _moment(text: str) -> datetime:
    try:
        return utc_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap verify`."""
    from airgap.acceptance.open import accept
    from airgap.delivery.verify import check_files
    from airgap.report.judged import judged
    from airgap.resources.load import load_trust
    from airgap.statements.accepted_state import AcceptedState

    if arguments.at is not None and arguments.at > context.now():
        raise InputError("usage", f"--at {utc_text(arguments.at)} is still to come", "name a time that is past")
    trust = load_trust(arguments.trust)
    try:
        opened = accept(
            arguments.delivery,
            trust,
            AcceptedState(trust.sovereign),
            sovereign=trust.sovereign,
            now=arguments.at or context.now(),
        )
    except ExpiredError as error:
        hint = f"{error.hint}; was it accepted in time, and comes out of an archive? --at TIME"
        raise error.with_hint(hint) from error
    if arguments.at is not None:
        context.note(f"note: judged as of {utc_text(arguments.at)}; an import goes by the clock")
    for note in opened.admitted.notes:
        context.note(f"note: {note}")
    journey = opened.index.journey
    believed = [one.statement for one in opened.admitted.statements]
    said = judged(opened.media, opened.index, believed)
    reports = []
    if not arguments.index_only:
        reports = check_files(opened.index, opened.media, context.jobs(arguments), context.progress())
    bad = [report for report in reports if report.state in ("missing", "damaged")]
    document = {
        "delivery": journey.id,
        "digest": str(opened.media.digest),
        "sequence": journey.sequence,
        "signedBy": [{"key": v.key.name, "role": v.role, "kind": v.statement.kind} for v in opened.admitted.statements],
        "judged": said.as_dict(),
        "files": [{"name": r.name, "state": r.state, "detail": r.detail} for r in reports],
        "outcome": "fail" if bad else "pass",
    }
    text = _text(opened, said.lines(), reports, index_only=arguments.index_only)
    context.result(document, text)
    return exits.TRUST if bad else exits.DONE


def _text(opened: Any, judged: list[str], reports: list[Any], *, index_only: bool) -> str:
    journey = opened.index.journey
    lines = [
        f"delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}, {opened.media.digest}"
    ]
    lines += [
        f"  {v.statement.kind} signed by {v.key.name!r} ({v.role}) at {v.statement.signed_at.isoformat()}"
        for v in opened.admitted.statements
    ]
    lines += [f"  {line}" for line in judged]
    if index_only:
        return "\n".join([*lines, "  signatures, locks and statements are good; the volumes were not read"])
    rows = [("FILE", "STATE", "")] + [(r.name, r.state, r.detail) for r in reports]
    bad = sum(report.state in ("missing", "damaged") for report in reports)
    end = f"missing or damaged: {count(bad, 'file')}" if bad else "every byte is as it was signed"
    return "\n".join(lines) + "\n" + table(rows) + end
