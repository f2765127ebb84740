"""`airgap lock` and `airgap diff`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_jobs
from airgap.cli.parser import command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.jobs.lock import LockSize


def add(subparsers: Any) -> None:
    """Adds both commands."""
    parser = command(
        subparsers,
        "lock",
        run_lock,
        summary="resolve the names in a request to digests, and write them into a lock",
        examples="""
airgap lock platform.request.yaml                      writes platform.lock.json next to it
airgap lock platform.request.yaml -o platform.lock.json --update docker.io/library/alpine:3.20
airgap lock platform.request.yaml --check              exit 3 if upstream has moved; writes nothing
airgap lock platform.request.yaml --partial            if an image is gone, lock the rest; a waiver accepts it""",
    )
    parser.add_argument(
        "request",
        type=Path,
        metavar="REQUEST",
        help="a Request resource; the file may also contain an Upstreams resource",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="LOCK",
        help="where to write the lock (default: next to the request)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the existing lock, write nothing; exit 3 on a difference",
    )
    parser.add_argument(
        "--update",
        nargs="*",
        metavar="NAME",
        help="resolve these items again, given by name or by its last part; without a name, all items",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="lock everything else if items are gone upstream or have names that cannot be right, and record these as "
        "findings; a delivery with findings requires an approved waiver for each of them",
    )
    parser.add_argument("--upstreams", type=Path, metavar="FILE", help="Upstreams resource: how to reach each host")
    add_jobs(parser)
    parser = command(
        subparsers,
        "diff",
        run_diff,
        summary="show the differences between two locks",
        examples="airgap diff approved.lock.json platform.lock.json        exit 0, with or without differences",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="the earlier lock")
    parser.add_argument("new", type=Path, metavar="NEW", help="the later lock, for example one that awaits approval")


def run_lock(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap lock`."""
    from airgap.content.lock_finding import finding_lines, findings_json
    from airgap.jobs.lock import ALL, LockOptions, lock

    update = () if arguments.update is None else (arguments.update or (ALL,))
    options = LockOptions(
        request=arguments.request,
        output=arguments.output,
        check=arguments.check,
        update=tuple(update),
        upstreams=arguments.upstreams,
        partial=arguments.partial,
        jobs=context.jobs(arguments),
    )
    made = lock(options, context.surroundings(arguments))
    items = [item.as_dict() for item in made.lock.items]
    document = {
        "lock": str(made.output),
        "digest": str(made.lock.digest),
        "items": items,
        "findings": findings_json(made.lock.findings),
        "size": {"bytes": made.size.bytes, "exact": made.size.exact, "unmeasured": made.size.unmeasured},
        "changes": made.changes,
    }
    if options.check:
        lines = _rows(made.changes) if made.changes else ["upstream has not moved", *finding_lines(made.lock.findings)]
        context.result(document, lines if made.before is not None else f"{made.output} does not exist yet")
        return exits.NO if made.changes or made.before is None else exits.DONE
    summary = f"{made.output}: {count(len(made.lock.items), 'item')}, {_size(made.size)}, {made.lock.digest}"
    lines = [summary, *(_rows(made.changes) if made.changes else ()), *finding_lines(made.lock.findings)]
    context.result(document, lines)
    return exits.DONE


def run_diff(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap diff`."""
    from airgap.jobs.lock import diff_locks
    from airgap.jobs.named_files import read_lock

    rows = diff_locks(read_lock(arguments.old), read_lock(arguments.new))
    context.result({"changes": rows}, _rows(rows) if rows else "no difference")
    return exits.DONE


def _size(size: LockSize) -> str:
    """What a medium takes. Layers that several items share are there once."""
    said = f"{'' if size.exact else 'at most '}{human(size.bytes)}"
    if size.exact and size.apart != size.bytes:
        said += f" ({human(size.apart)} item by item)"
    return said + (f" and {count(size.unmeasured, 'Git repository', 'Git repositories')}" if size.unmeasured else "")


def _rows(rows: list[dict[str, str]]) -> list[str]:
    lines = [("CHANGE", "KIND", "NAME", "DETAIL")]
    lines += [(row["change"], row["kind"], row["name"], row["detail"]) for row in rows]
    return table(lines)
