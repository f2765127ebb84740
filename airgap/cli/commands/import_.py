"""`airgap import`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.base.errors import InputError
from airgap.cli.context import Context
from airgap.cli.flags import add_baseline, add_delivery, add_identity, add_jobs, add_key, add_limit_rate, add_trust
from airgap.cli.parser import command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "import",
        run,
        summary="accept a delivery, and write its content into the Sovereign or a station's store; sign a receipt",
        examples="""
airgap import /media/usb/nov --sovereign sovereign.yaml --trust trust.yaml --dry-run
airgap import /media/usb/nov --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key --receipt receipt.json
airgap import /media/disc1 /media/disc2 --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key
airgap import /media/usb/first-leg --store /srv/store --trust station-trust.yaml     at the DMZ station
one drive, several discs? run the same command for each disc: names become visible with the last one
interrupted, or a destination failed? run the same command again""",
    )
    add_delivery(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--sovereign", type=Path, metavar="FILE", help="Sovereign resource: the destinations")
    where.add_argument(
        "--store", type=Path, metavar="DIR", help="store of the station that the delivery is addressed to"
    )
    add_trust(parser, required=True)
    add_baseline(parser)
    add_identity(parser)
    add_key(parser, what="the receipt")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="also write the signed receipt to FILE")
    parser.add_argument("--dry-run", action="store_true", help="report what would be done; write nothing")
    parser.add_argument(
        "--restore",
        action="store_true",
        help="import earlier deliveries again, after a loss in any order: adds what is missing, moves no name back",
    )
    parser.add_argument(
        "--deep",
        action="store_true",
        help="ignore receipts: check and re-hash everything at the destination, and re-send what is damaged",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="where something failed, publish all other names; default: no name of the delivery at that destination",
    )
    parser.add_argument(
        "--allow-rewrite",
        action="append",
        default=[],
        metavar="NAME",
        help="replace the history of this Git repository, which was rewritten upstream; keeps the old one under "
        "refs/airgap/rewritten/; requires an approval (`airgap sign DELIVERY --allow-rewrite NAME`); may be "
        "given more than once",
    )
    add_jobs(parser)
    add_limit_rate(parser, "what is read from the media, however many registries take it")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap import`."""
    if arguments.store:
        return _into_store(arguments, context)
    from airgap.cli.import_report import report
    from airgap.jobs.import_delivery import ImportOptions, import_delivery

    options = ImportOptions(
        delivery=tuple(arguments.delivery),
        sovereign=arguments.sovereign,
        trust=arguments.trust,
        key=context.key_path(arguments),
        receipt=arguments.receipt,
        dry_run=arguments.dry_run,
        restore=arguments.restore,
        deep=arguments.deep,
        keep_going=arguments.keep_going,
        allow_rewrite=tuple(arguments.allow_rewrite),
        baselines=tuple(arguments.baseline),
        jobs=context.jobs(arguments),
    )
    done = import_delivery(options, context.surroundings(arguments))
    return report(done, context, dry_run=options.dry_run)


def _into_store(arguments: argparse.Namespace, context: Context) -> int:
    from airgap.cli.import_report import report_store
    from airgap.jobs.import_store import StoreImportOptions, import_into_store

    if arguments.keep_going:
        raise InputError(
            "usage",
            "--keep-going cannot be combined with --store: a station takes a delivery as a whole",
            "leave --keep-going out",
        )
    if arguments.allow_rewrite:
        what = "--allow-rewrite cannot be combined with --store: a station's store keeps no history to replace"
        raise InputError("usage", what, "leave --allow-rewrite out")
    for flag in ("receipt", "key"):
        if getattr(arguments, flag):
            raise InputError(
                "usage",
                f"--{flag} cannot be combined with --store: a station's import signs nothing; only a Sovereign "
                "signs receipts",
                f"leave --{flag} out; `airgap scan` and `airgap bundle` sign for the station",
            )
    options = StoreImportOptions(
        delivery=tuple(arguments.delivery),
        store=arguments.store,
        trust=arguments.trust,
        dry_run=arguments.dry_run,
        restore=arguments.restore,
        deep=arguments.deep,
        baselines=tuple(arguments.baseline),
        jobs=context.jobs(arguments),
    )
    taken = import_into_store(options, context.surroundings(arguments))
    return report_store(taken, options.store, context, dry_run=options.dry_run)
