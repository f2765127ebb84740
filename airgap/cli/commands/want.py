"""`airgap want`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_identity, add_jobs, add_key, add_sovereign, add_trust, existing
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.jobs.want import WantedOf

SHOWN = 20
"""Blobs and items that are shown; `--json` has all."""


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "want",
        run,
        summary="list what a delivery needs and what is not inside, signed, so that exactly that can be cut",
        examples="""
airgap want /media/usb/dec --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key -o want.json
airgap want /media/usb/dec --sovereign sovereign.yaml --trust trust.yaml --key sovereign.key -o want.json --deep
airgap show want.json
it asks the destinations, and writes nothing there; the list goes back, and `airgap bundle --want want.json` cuts it
exit 0: nothing is missing, and no list was written; exit 3: something is missing, and the list says what""",
    )
    parser.add_argument(
        "delivery",
        nargs="+",
        type=existing,
        metavar="DELIVERY",
        help="folder of the delivery; AIRGAP.json, its signatures, the evidence and the first volume suffice",
    )
    add_sovereign(parser)
    add_trust(parser, required=True)
    add_identity(parser)
    add_key(parser, what="the list")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the list is written")
    parser.add_argument(
        "--deep", action="store_true", help="ignore receipts, and hash everything that is there: damaged is missing"
    )
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap want`."""
    from airgap.jobs.want import WantOptions, want

    options = WantOptions(
        delivery=tuple(arguments.delivery),
        sovereign=arguments.sovereign,
        trust=arguments.trust,
        out=arguments.output,
        key=context.key_path(arguments),
        deep=arguments.deep,
        jobs=context.jobs(arguments),
    )
    found = want(options, context.surroundings(arguments))
    for url, error in found.unasked:
        context.note(f"note: {url} could not be asked, and what it lacks is not known: {error}")
    document = {
        "delivery": found.opened.index.journey.id,
        "digest": str(found.opened.media.digest),
        "accepted": found.accepted,
        "items": list(found.items),
        "blobs": [{"digest": str(one.digest), "size": one.size} for one in found.blobs],
        "bytes": found.size,
        "unasked": [url for url, _ in found.unasked],
        "out": str(options.out) if found.blobs else None,
    }
    context.result(document, _text(found, options.out))
    return exits.NO if found.blobs else exits.DONE


def _text(found: WantedOf, out: Path) -> list[str]:
    if not found.blobs:
        how = "run its import again" if found.accepted else "import it"
        return [f"nothing is missing that the delivery does not carry, and no list was written: {how}"]
    lines = [f"{one.digest}  {human(one.size)}" for one in found.blobs[:SHOWN]]
    if len(found.blobs) > SHOWN:
        lines.append(f"and {len(found.blobs) - SHOWN} more: --json has all")
    what = f"{count(len(found.blobs), 'blob')}, {human(found.size)}, of {count(len(found.items), 'item')}"
    return [*lines, f"{out}: {what}; take it back, and have it cut: airgap bundle --want {out} …"]
