"""`airgap copy`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_at, add_delivery, add_limit_rate, add_trust_or_not, number, size
from airgap.cli.parser import command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.delivery.disc_plan import Disc
    from airgap.jobs.copy_delivery import CopyOptions, CopyResult

_HOW = {
    "direct": "read back from the medium",
    "dropped": "read back after the page cache had forgotten it",
    "cached": "read back, perhaps from memory: this file system offers no other way",
}


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "copy",
        run,
        summary="copy a delivery to a medium, read it back from there, and say when it is safe to remove",
        examples="""
airgap copy out/nov --to /media/usb/nov --trust trust.yaml
airgap copy out/nov --disc-size 25GB --trust trust.yaml --dry-run     how many discs, and their labels
airgap copy out/nov --disc-size 25GB --disc 2 --to /media/disc/nov --trust trust.yaml
airgap copy /media/disc1/nov /media/disc2/nov --to /srv/in/nov --trust trust.yaml
interrupted, or something read back wrong? run the same command again""",
    )
    add_delivery(parser)
    parser.add_argument("--to", type=Path, metavar="DIR", help="a new folder on the medium; a dry run needs none")
    add_trust_or_not(parser)
    add_at(parser)
    add_limit_rate(parser, "what is written to the medium")
    parser.add_argument(
        "--disc-size",
        type=size,
        metavar="SIZE",
        help="spread the volumes over discs of this size, such as 25GB or 4.7GB; every disc also gets "
        "the small files, so that each can be checked alone",
    )
    parser.add_argument("--disc", type=_disc, metavar="N", help="with --disc-size: the disc to write now, from 1")
    parser.add_argument("--dry-run", action="store_true", help="check everything, show the plan, and write nothing")


def _disc(text: str) -> int:
    if number(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected the number of a disc, from 1")
    return number(text)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap copy`."""
    from airgap.base.errors import InputError
    from airgap.jobs.copy_delivery import CopyOptions, copy_delivery

    options = CopyOptions(
        delivery=tuple(arguments.delivery),
        to=arguments.to,
        trust=arguments.trust,
        unverified=arguments.unverified,
        at=arguments.at,
        disc_size=arguments.disc_size,
        disc=arguments.disc,
        dry_run=arguments.dry_run,
    )
    if options.disc is not None and options.disc_size is None:
        raise InputError("usage", "copy: --disc needs --disc-size", "pass the size of the discs")
    if options.to is None and not options.dry_run:
        raise InputError("usage", "copy: --to is required", "pass --to DIR; or see the plan with --dry-run")
    done = copy_delivery(options, context.surroundings(arguments))
    if options.unverified:
        context.note("WARNING: no signature was checked (--unverified): whoever held the delivery decided what this is")
    context.result(_document(done, options), _text(done, options))
    return exits.TRUST if done.copied is not None and done.copied.bad else exits.DONE


def _document(done: CopyResult, options: CopyOptions) -> dict[str, Any]:
    from airgap.delivery.disc_plan import label

    copied = done.copied
    return {
        "delivery": done.index.journey.id,
        "digest": str(done.media.digest),
        "to": None if options.to is None else str(options.to),
        "dryRun": options.dry_run,
        "verified": options.trust is not None,
        "discs": [
            {
                "number": disc.number,
                "bytes": disc.size,
                "label": label(done.index.journey, disc),
                "files": [file.as_dict() for file in disc.files],
            }
            for disc in done.discs
        ],
        "disc": None if done.disc is None else done.disc.number,
        "files": [{"name": name, "state": state} for name, state in (copied.files.items() if copied else ())],
        "readBack": None if copied is None else str(copied.how),
        "safeToRemove": copied is not None and not copied.bad,
    }


def _text(done: CopyResult, options: CopyOptions) -> list[str]:
    from airgap.base.media import file_system
    from airgap.delivery.disc_plan import label

    journey, copied = done.index.journey, done.copied
    if copied is None or done.disc is None or options.to is None:
        lines = [f"dry run, nothing was written: {count(len(done.discs), 'disc')}"]
        for disc in done.discs:
            lines += _disc_lines(disc, label(journey, disc))
        return lines
    if copied.bad:
        return [
            *table([("FILE", "STATE"), *copied.files.items()]),
            f"{options.to}: {count(len(copied.bad), 'file')} read back wrong: the medium, its reader or cable is bad",
            "run the same command again, which writes them again; if it happens again, use another medium",
        ]
    medium = file_system(options.to)
    written = [name for name, state in copied.files.items() if state == "written"]
    lines = [
        f"{options.to}: delivery {journey.sequence} of stream {journey.stream!r} for {journey.sovereign!r}",
        f"  disc {done.disc.number} of {done.disc.count}: {count(len(copied.files), 'file')}, {len(written)} new",
        f"  every byte is as in AIRGAP.json, {_HOW[copied.how]} ({medium.type})",
        f"  label: {label(journey, done.disc)}",
    ]
    if medium.in_memory:
        return [*lines, f"  {options.to} is in memory: it is gone without power"]
    return [*lines, f"safe to remove: umount {medium.mounted}" if str(medium.mounted) != "/" else "copied, and durable"]


def _disc_lines(disc: Disc, name: str) -> list[str]:
    rows = [(f"  {file.name}", human(file.size)) for file in disc.files]
    return [f"disc {disc.number} of {disc.count}, {human(disc.size)}", f"  label: {name}", *table(rows)]
