"""`airgap show`, `airgap ls`, `airgap extract`: look into locks, deliveries, statements and stores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import command, existing
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
        summary="extract one item from a delivery or a store, and check every byte",
        examples="""
airgap extract /media/usb/nov docker.io/library/alpine:3.20 --to alpine-layout     an OCI layout folder
airgap extract /srv/store docker.io/library/alpine:3.20 --to alpine.tar            for `ctr images import`, k3s""",
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


def run_show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap show`."""
    from airgap.report.things import describe

    document, text = describe(arguments.thing)
    context.result(document, text)
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

    options = ExtractOptions(arguments.thing, arguments.name, arguments.to)
    done = extract(options, context.surroundings(arguments))
    context.result(
        {"to": str(options.to), "digest": str(done.digest), "bytes": done.bytes},
        f"{options.to}: {done.digest}, {human(done.bytes)}, every byte checked",
    )
    return exits.DONE
