"""`airgap repair`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_at, add_jobs, add_trust, existing
from airgap.cli.parser import command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.jobs.repair import Repaired, RepairOptions


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "repair",
        run,
        summary="write the lost and damaged files of a delivery again, from its parity files",
        examples="""
airgap repair /media/disc1 /media/disc2 /media/disc4 --trust trust.yaml --dry-run      is enough left?
airgap repair /media/disc1 /media/disc2 /media/disc4 --to /srv/repaired --trust trust.yaml
then pass the new folder too: airgap import /media/disc1 /media/disc2 /media/disc4 /srv/repaired …
with all discs attached, an import needs no repair before: it computes what is damaged, and writes nothing to the media
only one drive? copy the discs into one folder first; what cannot be read may be left out""",
    )
    parser.add_argument(
        "delivery",
        nargs="+",
        type=existing,
        metavar="DIR",
        help="folders with everything that is left of the delivery",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="folder for the files that are written again; a dry run needs none",
    )
    add_trust(parser, required=True)
    add_at(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what can be repaired, and write nothing")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap repair`."""
    from airgap.jobs.repair import RepairOptions, repair

    options = RepairOptions(
        delivery=tuple(arguments.delivery),
        trust=arguments.trust,
        to=arguments.to,
        at=arguments.at,
        dry_run=arguments.dry_run,
        jobs=context.jobs(arguments),
    )
    if options.to is None and not options.dry_run:
        raise InputError("usage", "repair: --to is required", "pass --to DIR; or see what is lost with --dry-run")
    done = repair(options, context.surroundings(arguments))
    document = {
        "delivery": done.index.journey.id,
        "digest": str(done.media.digest),
        "to": None if options.to is None else str(options.to),
        "dryRun": options.dry_run,
        "files": [{"name": one.name, "state": one.state, "detail": one.detail} for one in done.files],
    }
    context.result(document, _text(done, options))
    return exits.TRUST if done.lost else exits.DONE


def _text(done: Repaired, options: RepairOptions) -> list[str]:
    journey = done.index.journey
    head = f"delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}, {done.media.digest}"
    if not done.repairable and not done.lost:
        return [head, "every file is whole: there is nothing to repair"]
    again = {} if options.dry_run else {"repairable": "repaired"}
    bad = [one for one in done.files if one.state != "good"]
    rows = [("FILE", "STATE", "")] + [(one.name, again.get(one.state, one.state), one.detail) for one in bad]
    many = count(len(done.repairable), "file")
    end = f"can be repaired: {many}; nothing was written" if options.dry_run else f"{options.to}: repaired {many}"
    lost = ", ".join(one.name for one in done.lost)
    still = [f"not replaced by parity files: {lost}; pass another disc or copy that has it"] if lost else []
    return [head, *table(rows), *([end] if done.repairable else []), *still]
