"""`airgap show`, `airgap ls`, `airgap extract`: look into locks, deliveries, statements and stores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_at, add_trust, command, existing
from airgap.cli.words import human, table


def add(subparsers: Any) -> None:
    """Adds the three commands."""
    parser = command(
        subparsers,
        "show",
        run_show,
        summary="describe a lock, a delivery, a signed statement or a store; verifies nothing",
        examples="""
airgap show platform.lock.json
airgap show /media/usb/nov
airgap show receipt.json --json""",
    )
    parser.add_argument(
        "thing", type=existing, metavar="THING", help="a lock, a signed statement, a delivery or a store"
    )
    parser = command(
        subparsers,
        "ls",
        run_ls,
        summary="list the items of a lock, a delivery or a store",
        examples="airgap ls /media/usb/nov\nairgap ls /srv/store --json",
    )
    parser.add_argument("thing", type=existing, metavar="THING", help="a lock, a delivery or a store")
    parser = command(
        subparsers,
        "extract",
        run_extract,
        summary="extract one item from a delivery, after checking its signatures, or from a store; hash every byte",
        examples="""
airgap extract /media/usb/nov docker.io/library/alpine:3.20 --trust trust.yaml --to alpine.tar
                                                   for `ctr images import`, k3s; a folder becomes an OCI layout
airgap extract /archive/nov docker.io/library/alpine:3.20 --trust trust.yaml --at 2026-11-23T10:00:00Z --to layout
airgap extract /srv/store docker.io/library/alpine:3.20 --to alpine.tar""",
    )
    parser.add_argument("thing", type=existing, metavar="THING", help="a delivery or a store")
    parser.add_argument("name", metavar="NAME", help="the item's name, as `airgap ls THING` lists it")
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="PATH",
        help="a new folder, or a new file ending in .tar",
    )
    trust = parser.add_mutually_exclusive_group()
    add_trust(trust, required=False)
    trust.add_argument(
        "--unverified",
        action="store_true",
        help="do not check who signed the delivery; --trust or --unverified is required for one",
    )
    add_at(parser)


def run_show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap show`."""
    from airgap.report.things import describe

    document, lines = describe(arguments.thing)
    context.result(document, lines)
    return exits.DONE


def run_ls(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap ls`."""
    from airgap.jobs.listing import items

    rows = items(arguments.thing)
    lines = [("KIND", "NAME", "SIZE", "DIGEST")]
    lines += [(row.kind, row.name, human(row.bytes) if row.bytes else "", row.digest) for row in rows]
    context.result({"items": [row.as_dict() for row in rows]}, table(lines))
    return exits.DONE


def run_extract(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap extract`."""
    from airgap.jobs.extract import ExtractOptions, extract

    options = ExtractOptions(
        arguments.thing, arguments.name, arguments.to, arguments.trust, arguments.unverified, arguments.at
    )
    done = extract(options, context.surroundings(arguments))
    if options.trust is not None:
        checked = "the delivery's signatures were checked, and every byte is as signed"
    elif options.unverified:
        checked = "NOT VERIFIED: nobody may have signed it; every byte matches its digest"
        context.note("WARNING: no signature was checked (--unverified): whoever held the delivery decided what this is")
    else:
        checked = "every byte matches its digest; a store has no signatures"
    context.result(
        {
            "to": str(options.to),
            "digest": str(done.digest),
            "bytes": done.bytes,
            "verified": options.trust is not None,
        },
        f"{options.to}: {done.digest}, {human(done.bytes)}; {checked}",
    )
    return exits.DONE
