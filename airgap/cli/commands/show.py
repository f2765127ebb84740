"""`airgap show`, `airgap ls`: look into locks, deliveries, statements and stores."""

from __future__ import annotations

import argparse
from typing import Any

from airgap.base.amounts import human
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_identity, existing
from airgap.cli.parser import command
from airgap.cli.words import table


def add(subparsers: Any) -> None:
    """Adds the two commands."""
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
    add_identity(parser)
    parser = command(
        subparsers,
        "ls",
        run_ls,
        summary="list the items of a lock, a delivery or a store",
        examples="airgap ls /media/usb/nov\nairgap ls /srv/store --json\nairgap ls /srv/store --quarantine",
    )
    parser.add_argument("thing", type=existing, metavar="THING", help="a lock, a delivery or a store")
    add_identity(parser)
    parser.add_argument(
        "--quarantine",
        action="store_true",
        help="of a station's store: only what the newest verdicts stop, since when and why",
    )


def run_show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap show`."""
    from airgap.report.things import describe

    document, lines = describe(arguments.thing, context.now(), lambda: context.identities(arguments))
    context.result(document, lines)
    return exits.DONE


def run_ls(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap ls`."""
    if arguments.quarantine:
        return _quarantine(arguments, context)
    from airgap.jobs.listing import items
    from airgap.scanning.databases.dates import shown_date

    rows = items(arguments.thing, lambda: context.identities(arguments))
    dated = any(row.database for row in rows)
    lines = [("KIND", "NAME", "SIZE", "SHARED", "DIGEST", *(("DATABASE",) if dated else ()))]
    for row in rows:
        cells = (row.kind, row.name, _size(row.bytes), _size(row.shared), row.digest)
        lines.append((*cells, *((shown_date(row.database, context.now()),) if dated else ())))
    context.result({"items": [row.as_dict() for row in rows]}, table(lines))
    return exits.DONE


def _quarantine(arguments: argparse.Namespace, context: Context) -> int:
    from airgap.base.times import utc_text
    from airgap.jobs.quarantine import quarantined

    rows = quarantined(arguments.thing)
    lines = [("KIND", "NAME", "LOCK", "SINCE", "WHY")]
    lines += [(row.kind, row.name, row.lock, utc_text(row.since), row.reason) for row in rows]
    document = {"items": [], "quarantined": [row.as_dict() for row in rows]}
    context.result(document, table(lines) if rows else ["nothing is in quarantine"])
    return exits.DONE


def _size(size: int) -> str:
    return human(size) if size else ""
