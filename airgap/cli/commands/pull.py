"""`airgap pull`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.base.errors import AirgapError, NotFoundError, UpstreamError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import add_jobs, add_key, add_store, command
from airgap.cli.places import check_folder
from airgap.cli.words import count, human


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "pull",
        run,
        summary="fetch everything that locks name into a store, verified and resumable",
        examples="""
airgap pull platform.lock.json --store /srv/store
airgap pull platform.lock.json --store /srv/store --key exporter.key --key-password-file pw   with a signed statement
interrupted? run the same command again: what is there is not fetched twice""",
    )
    parser.add_argument("locks", nargs="+", type=Path, metavar="LOCK", help="what `airgap lock` wrote")
    add_store(parser)
    add_key(parser, what="the pull statement")
    parser.add_argument("--upstreams", type=Path, metavar="FILE", help="Upstreams resource: how hosts are reached")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap pull`."""
    from airgap.cli.connect import reach_for, read_lock, station_for, upstreams_of
    from airgap.jobs.pull import pull
    from airgap.station.files import store_records
    from airgap.store.layout import Layout

    store = context.store(arguments)
    locks = [(path, read_lock(path)) for path in arguments.locks]
    upstreams = upstreams_of(arguments)
    check_folder(store, "--store")
    records = store_records(store)
    station = station_for(arguments, context, records, "exporter", required=False)
    layout = Layout(store, create=True, batch=True)
    jobs = context.jobs(arguments)
    reaches = [(lock, reach_for(upstreams, path.parent, records.work(), jobs, context)) for path, lock in locks]
    try:
        results = pull(reaches, layout, records, station, jobs=jobs, progress=context.progress())
    except AirgapError as error:
        if arguments.upstreams:
            raise
        raise _with_upstreams(error) from error
    rows = [
        {
            "name": r.item.name,
            "kind": r.item.kind,
            "root": str(r.root.digest) if r.root else None,
            "outcome": r.outcome,
            "bytes": r.bytes,
            "written": r.written,
            "findings": list(r.findings),
        }
        for r in results
    ]
    failed = [r for r in results if r.outcome != "pass"]
    for result in failed:
        for finding in result.findings:
            context.note(f"{result.item.kind} {result.item.name!r}: {finding}")
    written = sum(result.written for result in results)
    total = sum(result.bytes for result in results)
    signed = "a pull statement was signed for each lock" if station else "no --key: no pull statement was signed"
    text = f"{store}: {count(len(results), 'item')}, {human(total)}, {human(written)} of it new; {signed}"
    context.result({"store": str(store), "items": rows, "signed": station is not None}, text)
    return exits.NO if failed else exits.DONE


def _with_upstreams(error: AirgapError) -> AirgapError:
    """Says where a host is described: the Upstreams beside a request, which served `lock`, are not in the lock."""
    made = _with_hint(error)
    made.also = [_with_hint(one) for one in error.also]
    return made


def _with_hint(error: AirgapError) -> AirgapError:
    if not isinstance(error, UpstreamError) or isinstance(error, NotFoundError):
        return error
    where = "hosts are described in a file that --upstreams names; what stands beside the request is not read"
    return error.with_hint(f"{error.hint}; {where}" if error.hint else where)
