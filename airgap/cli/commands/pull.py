"""`airgap pull`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.base.amounts import count, human
from airgap.base.errors import StoppedError
from airgap.base.throttle import Limited, Throttle
from airgap.base.times import utc_text
from airgap.cli import exits
from airgap.cli.context import Context, typed
from airgap.cli.flags import add_jobs, add_key, add_limit_rate, add_signer_trust, add_store, add_until
from airgap.cli.parser import command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "pull",
        run,
        summary="fetch all content of one or more locks into a store, and verify it; can be resumed",
        examples="""
airgap pull platform.lock.json --store /srv/store
airgap pull platform.lock.json --store /srv/store --key exporter.key --key-password-file pw   sign a statement
airgap pull platform.lock.json --store /srv/store --limit-rate 10MiB --until 06:00      tonight; goes on tomorrow
interrupted? run the same command again: content that is already in the store is not fetched again""",
    )
    parser.add_argument("locks", nargs="+", type=Path, metavar="LOCK", help="a lock that `airgap lock` wrote")
    add_store(parser)
    add_key(parser, what="the pull statement")
    parser.add_argument("--upstreams", type=Path, metavar="FILE", help="Upstreams resource: how to reach each host")
    add_signer_trust(parser)
    add_jobs(parser)
    add_limit_rate(parser, "what is fetched, except by git itself")
    add_until(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap pull`."""
    from airgap.jobs.pull import PullOptions, pull, size_of
    from airgap.scanning.databases.dates import dated

    options = PullOptions(
        locks=tuple(arguments.locks),
        store=context.store(arguments),
        key=context.key_path(arguments),
        upstreams=arguments.upstreams,
        trust=arguments.trust,
        jobs=context.jobs(arguments),
    )
    try:
        results = pull(options, context.surroundings(arguments))
    except StoppedError as error:
        return _stopped(error, options.store, context.throttle(arguments), context)
    rows = [
        {
            "name": r.item.name,
            "kind": r.item.kind,
            "root": str(r.root.digest) if r.root else None,
            "outcome": r.outcome,
            "bytes": r.bytes,
            "written": r.written,
            "findings": list(r.findings),
            **({"database": r.database.as_dict()} if r.database else {}),
        }
        for r in results
    ]
    failed = [r for r in results if r.outcome != "pass"]
    for result in failed:
        for finding in result.findings:
            context.problem(f"{result.item.kind} {result.item.name!r}: {finding}")
    written = sum(result.written for result in results)
    total = size_of(results, options.store)
    signed = "signed a pull statement for each lock" if options.key else "signed no pull statement (no --key)"
    text = f"{options.store}: {count(len(results), 'item')}, {human(total)}, {human(written)} of it new; {signed}"
    dates = [f"  {r.item.name}: {dated(r.database, context.now())}" for r in results if r.database]
    document = {
        "store": str(options.store),
        "items": rows,
        "bytes": total,
        "signed": options.key is not None,
        "state": "done",
    }
    context.result(document, [text, *dates])
    return exits.NO if failed else exits.DONE


def _stopped(error: StoppedError, store: Path, throttle: Throttle, context: Context) -> int:
    """Says that the window ended, what was fetched in it, and what goes on."""
    command = typed(("airgap", *context.line))
    fetched = throttle.moved if isinstance(throttle, Limited) else 0
    until = throttle.until if isinstance(throttle, Limited) else None
    document = {
        "store": str(store),
        "items": [],
        "bytes": fetched,
        "signed": False,
        "state": error.code,
        "until": None if until is None else utc_text(until),
        "next": command,
        "exit": error.exit_code,
    }
    context.result(document, f"{store}: the time is up: {human(fetched)} fetched, and kept; nothing has a name yet")
    context.problem(f"airgap: {error}", f"when the next window begins, run: {command}")
    return error.exit_code
