"""`airgap store ls|du|check|gc|export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_jobs, add_store, number, span
from airgap.cli.parser import Parser, command
from airgap.cli.store_report import (
    check_document,
    check_lines,
    check_summary,
    gc_document,
    gc_lines,
    item_lines,
    list_lines,
    lock_document,
    mending,
    share_lines,
    usage_document,
)

if TYPE_CHECKING:
    from airgap.jobs.storing.usage import Usage


def add(subparsers: Any) -> None:
    """Adds the family."""
    store = subparsers.add_parser(
        "store",
        help="what is in a store and for which lock, whether it is whole, and what may leave it",
        description="What is in a store and for which lock, whether it is whole, and what may leave it.",
        allow_abbrev=False,
    )
    family = store.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    parser = command(
        family,
        "ls",
        list_,
        summary="list the locks and the deliveries of a store",
        examples="""
airgap store ls --store /srv/store
airgap store ls --store /srv/store --json""",
    )
    add_store(parser)
    parser = command(
        family,
        "du",
        usage,
        summary="show what each lock and each delivery holds, alone and shared with others",
        examples="""
airgap store du --store /srv/store
airgap store du platform-2026-11 --store /srv/store        the items of one lock, the largest first""",
    )
    parser.add_argument("lock", nargs="?", default="", metavar="LOCK", help="a lock: its file, name or digest")
    add_store(parser)
    parser = command(
        family,
        "check",
        check,
        summary="hash every byte of a store again; exit 4 if anything is damaged or lost",
        examples="""
airgap store check --store /srv/store
airgap store check --store /srv/store --dry-run        look, and set nothing aside
damaged blobs are set aside (.HEX.damaged), so that the next pull fetches them again""",
    )
    add_store(parser)
    parser.add_argument("--dry-run", action="store_true", help="only look: leave damaged blobs where they are")
    add_jobs(parser)
    _add_gc(family)
    _add_export(family)


def _add_gc(family: Any) -> None:
    parser = command(
        family,
        "gc",
        gc,
        summary="delete from a store what no kept lock, name, delivery or running command needs",
        examples="""
airgap store gc --store /srv/store --keep-last 3 --dry-run      say what would go, by lock; delete nothing
airgap store gc --store /srv/store --keep-last 3                keep the three newest locks of each series
airgap store gc --store /srv/store --keep-last 3 --keep platform-2026-01 --records-older-than 365d
airgap store gc --store /srv/store                              remove no lock, only what nothing needs""",
    )
    add_store(parser)
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="LOCK",
        help="a lock that stays: its file, name or digest; may be given more than once. With --keep or --keep-last, "
        "locks that neither names are removed",
    )
    parser.add_argument(
        "--keep-last",
        type=_many,
        metavar="N",
        help="keep the N newest locks of each series (one name, except for a date at its end)",
    )
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="LOCK",
        help="a lock that goes, also if it is not delivered or not whole; may be given more than once",
    )
    parser.add_argument(
        "--records-older-than",
        type=span,
        metavar="SPAN",
        help="also delete scan results, SBOMs, reports and VEX documents of removed locks that are older than this, "
        "such as 365d; statements, locks and the log stay for good",
    )
    parser.add_argument(
        "--work",
        action="store_true",
        help="also delete the working folders of Git repositories; the next pull makes them again from the store",
    )
    parser.add_argument("--wait", action="store_true", help="wait for commands that use the store (default: refuse)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be deleted; delete nothing")


def _add_export(family: Any) -> None:
    parser = command(
        family,
        "export",
        export,
        summary="copy the content of locks into another store, which other tools read as an OCI layout",
        examples="""
airgap store export platform-2026-11 --store /srv/store --to /media/disk/store
airgap store export locks/platform.lock.json --store /srv/store --to ./small --dry-run
skopeo inspect oci:./small:docker.io/library/alpine:3.20        other tools read it""",
    )
    parser.add_argument("locks", nargs="+", metavar="LOCK", help="locks of the store: their files, names or digests")
    add_store(parser)
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="a store, an empty or a new folder")
    parser.add_argument("--dry-run", action="store_true", help="say how much would be copied; write nothing")
    add_jobs(parser)


def _many(text: str) -> int:
    if not 1 <= number(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 1 to 10000")
    return number(text)


def list_(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap store ls`."""
    found = _usage(arguments, context, "")
    context.result(usage_document(found), list_lines(found))
    return exits.DONE


def usage(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap store du`."""
    found = _usage(arguments, context, arguments.lock)
    context.result(usage_document(found), item_lines(found) if arguments.lock else share_lines(found))
    return exits.DONE


def _usage(arguments: argparse.Namespace, context: Context, lock: str) -> Usage:
    from airgap.jobs.storing.usage import UsageOptions
    from airgap.jobs.storing.usage import usage as job

    return job(UsageOptions(context.store(arguments), lock), context.surroundings(arguments))


def check(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap store check`."""
    from airgap.jobs.storing.check import CheckOptions
    from airgap.jobs.storing.check import check as job

    store = context.store(arguments)
    options = CheckOptions(store, arguments.dry_run, context.jobs(arguments))
    found = job(options, context.surroundings(arguments))
    document = check_document(found, store)
    text = f"{store}: {count(found.blobs, 'blob')}, {human(found.bytes)}"
    lines = [f"{text}: every byte is right" if found.good else text, *check_lines(found)]
    context.result(document, lines)
    for held, many in found.unfinished:
        context.note(f"note: lock {held.lock.name!r} was never whole here: {count(many, 'item')} still to come")
    if found.good:
        return exits.DONE
    context.problem(check_summary(found), mending(found, store))
    return exits.TRUST


def gc(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap store gc`."""
    from airgap.jobs.storing.choose import Rules
    from airgap.jobs.storing.gc import GcOptions, collect

    rules = Rules(tuple(arguments.keep), arguments.keep_last, tuple(arguments.drop))
    options = GcOptions(
        context.store(arguments),
        rules,
        arguments.records_older_than,
        work=arguments.work,
        wait=arguments.wait,
        dry_run=arguments.dry_run,
    )
    found = collect(options, context.surroundings(arguments))
    context.result(gc_document(found, options), gc_lines(found, options))
    return exits.DONE


def export(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap store export`."""
    from airgap.jobs.storing.export import StoreExportOptions
    from airgap.jobs.storing.export import export as job

    store = context.store(arguments)
    options = StoreExportOptions(
        store, tuple(arguments.locks), arguments.to, arguments.dry_run, context.jobs(arguments)
    )
    done = job(options, context.surroundings(arguments))
    document = {
        "store": str(store),
        "to": str(options.to),
        "dryRun": options.dry_run,
        "locks": [lock_document(held) for held in done.locks],
        "items": done.items,
        "bytes": done.bytes,
        "written": done.written,
    }
    what = f"{count(len(done.locks), 'lock')}, {count(done.items, 'item')}, {human(done.bytes)}"
    new = f"{human(done.written)} of it {'would be new' if options.dry_run else 'new'}"
    said = "dry run, nothing was written: " if options.dry_run else ""
    context.result(document, f"{said}{options.to}: {what}, {new}")
    return exits.DONE
