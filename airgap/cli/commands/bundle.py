"""`airgap bundle`."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any

from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import (
    add_approval,
    add_jobs,
    add_key,
    add_limit_rate,
    add_signer_trust,
    add_store,
    number,
    resource_name,
    size,
)
from airgap.cli.parser import Parser, command

MAX_PARITY = 99
"""Parity files: more than anybody has discs to spare, and two digits in their names."""


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "bundle",
        run,
        summary="cut a signed delivery from a store, onto a disk or into a folder",
        examples="""
airgap bundle platform.lock.json --store /srv/store --to /media/usb/nov --for bankdhofar --key exporter.key
airgap bundle platform.lock.json --store /srv/store --to out --for bankdhofar --key exporter.key --volume-size 25GB
airgap bundle platform.lock.json --store /srv/store --for bankdhofar --dry-run --disc-size 25GB     how many discs?
airgap bundle platform.lock.json --store /srv/store --to out --for bankdhofar --key e.key --parity 2  any 2 may be lost
airgap bundle platform.lock.json --store /srv/store --to out --for bankdhofar --key e.key --trust trust.yaml
with the receiving side's trust.yaml (or STORE/airgap/trust/*.yaml), what an import would refuse is refused here
airgap bundle platform.lock.json --store /srv/store --to out --for bankdhofar --key e.key --encrypt-to age1…
an approval that `airgap sign LOCK` wrote next to the lock is included; if it is elsewhere: --approval FILE
interrupted? run the same command again: finished volumes are kept""",
    )
    parser.add_argument(
        "locks",
        nargs="*",
        type=Path,
        metavar="LOCK",
        help="locks whose content was pulled; --want needs none",
    )
    add_store(parser)
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="a new or empty folder, or one with an unfinished delivery of the same content; a dry run needs none",
    )
    parser.add_argument(
        "--for",
        dest="sovereigns",
        type=resource_name,
        action="append",
        required=True,
        metavar="SOVEREIGN",
        help="name of the Sovereign that the delivery is for; may be given more than once: then they share the "
        "volumes, and each has a folder with its own AIRGAP.json",
    )
    parser.add_argument(
        "--stream",
        type=resource_name,
        default="main",
        metavar="NAME",
        help="delivery stream; each stream is numbered separately (default main)",
    )
    _add_media(parser)
    _add_judged(parser)
    _add_delta(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything and show volumes and sizes; write nothing, sign nothing, need no key",
    )
    add_key(parser, what="the delivery")
    add_signer_trust(parser, each=True)
    add_jobs(parser)
    add_limit_rate(parser, "what is written to the volumes")


def _add_media(parser: Parser) -> None:
    """How the delivery lies on its media."""
    parser.add_argument(
        "--volume-size",
        type=size,
        default=4095 << 20,
        metavar="SIZE",
        help="maximum size of a volume (default 4095MiB, which fits FAT32)",
    )
    parser.add_argument(
        "--parity",
        type=_parity,
        default=0,
        metavar="N",
        help="N more files, from which any N lost or damaged volumes are computed again (default 0)",
    )
    parser.add_argument(
        "--disc-size",
        type=size,
        metavar="SIZE",
        help="with --dry-run: how many discs of this size it would take, such as 25GB (`airgap copy` writes them)",
    )
    parser.add_argument(
        "--encrypt-to",
        action="append",
        default=[],
        metavar="RECIPIENT",
        help="encrypt everything, and the names of the content too: to age1… (`airgap keys identity` prints it), "
        "'ssh-ed25519 …', 'ssh-rsa …', or to each in a file with one a line; may be given more than once",
    )


def _add_judged(parser: Parser) -> None:
    """What goes along so that it is let in, and what must be known of the locks."""
    parser.add_argument(
        "--expires-in",
        type=_days,
        default=timedelta(days=60),
        metavar="DAYS",
        help="days until the delivery expires (default 60)",
    )
    add_approval(parser, "approval of a lock, if it is not next to the lock; may be given more than once")
    parser.add_argument(
        "--trust-root",
        type=_named_root,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="trust root to include, for `airgap trust pin` at the receiving side; may be given more than once",
    )
    parser.add_argument(
        "--role",
        choices=("exporter", "station"),
        default="exporter",
        help="role of the key (default exporter)",
    )
    parser.add_argument(
        "--unscanned",
        action="store_true",
        help="accept locks without a verdict, for a station that will scan them; never one whose verdict is fail",
    )
    parser.add_argument(
        "--waiver",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Waiver resource that accepts findings of a lock without a verdict (`airgap lock --partial`), with its "
        "approval next to it; requires --trust; may be given more than once",
    )
    parser.add_argument(
        "--receipt",
        type=Path,
        metavar="FILE",
        help="newest receipt of the Sovereign: refuse a number that does not follow it; requires --trust",
    )


def _add_delta(parser: Parser) -> None:
    """What of the locks travels."""
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="carry only this item of the locks; inside, nothing is concluded about the others; may be given more than "
        "once",
    )
    parser.add_argument(
        "--since",
        action="append",
        default=[],
        metavar="RECEIPT",
        help="receipt that came back: leave out what it says is inside (a delta); `last`: the newest of this stream in "
        "the store's records, or the newest delivery; requires --trust; may be given more than once",
    )
    parser.add_argument(
        "--since-delivery",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="earlier delivery that was cut from this store: leave out what it has, although no receipt says that it "
        "arrived; may be given more than once",
    )
    parser.add_argument(
        "--want",
        type=Path,
        metavar="FILE",
        help="want list of the Sovereign: bring exactly what an earlier delivery lacks inside, in the same stream; "
        "requires --trust",
    )


def _parity(text: str) -> int:
    if not 0 <= number(text) <= MAX_PARITY:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of files from 0 to {MAX_PARITY}")
    return number(text)


def _days(text: str) -> timedelta:
    if not 1 <= number(text) <= 3650:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of days from 1 to 3650")
    return timedelta(days=number(text))


def _named_root(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=FILE, for example sigstore=trusted_root.json")
    return resource_name(name), Path(path)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap bundle`."""
    from airgap.cli.bundle_report import report, report_plan
    from airgap.jobs.baselines import Since
    from airgap.jobs.bundle import BundleOptions, bundle, plan_bundle

    options = BundleOptions(
        locks=tuple(arguments.locks),
        store=context.store(arguments),
        to=arguments.to,
        sovereigns=tuple(arguments.sovereigns),
        key=context.key_path(arguments),
        role=arguments.role,
        stream=arguments.stream,
        volume_size=arguments.volume_size,
        parity=arguments.parity,
        life=arguments.expires_in,
        approvals=tuple(arguments.approval),
        trust=tuple(arguments.trust),
        receipt=arguments.receipt,
        trust_roots=tuple(arguments.trust_root),
        unscanned=arguments.unscanned,
        waivers=tuple(arguments.waiver),
        only=tuple(arguments.only),
        encrypt_to=tuple(arguments.encrypt_to),
        since=Since(tuple(arguments.since), tuple(arguments.since_delivery)),
        want=arguments.want,
        disc_size=arguments.disc_size,
        jobs=context.jobs(arguments),
    )
    if not options.locks and options.want is None:
        raise InputError("usage", "bundle: no lock was named", "name the locks to deliver, or a list with --want")
    if arguments.dry_run:
        report_plan(plan_bundle(options, context.surroundings(arguments)), options, context)
        return exits.DONE
    if options.disc_size is not None:
        raise InputError("usage", "bundle: --disc-size needs --dry-run", "`airgap copy --disc-size` writes the discs")
    if options.to is None:
        raise InputError("usage", "bundle: --to is required", "pass --to DIR; or see the sizes with --dry-run")
    report(bundle(options, context.surroundings(arguments)), options, context)
    return exits.DONE
