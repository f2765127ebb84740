"""`airgap sent`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_sent_store, add_shared_key
from airgap.cli.parser import command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.station.sent import Sent


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "sent",
        run,
        summary="list what was sent over one-way roads, or enter a receipt code: then a delivery is delivered",
        examples="""
airgap sent --store /srv/store                                    what was sent, and what of it arrived
airgap sent 25NRH-HCZXG-7SK5Q-850PE-QHQH1 --key-file diode.psk    the code that the receiver showed""",
    )
    parser.add_argument(
        "code", nargs="?", default="", metavar="CODE", help="the receipt code that the other side showed"
    )
    add_shared_key(parser)
    add_sent_store(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap sent`."""
    from airgap.jobs.send import enter_receipt, sent_records

    surroundings, store = context.surroundings(arguments), context.store_or_not(arguments)
    if arguments.code:
        found = enter_receipt(arguments.code, store, arguments.key_file, surroundings)
        text = f"delivered: delivery {found.sequence} of stream {found.stream!r} for {found.sovereign!r}"
        context.result(_document(found), text)
        return exits.DONE
    sent = sent_records(store, surroundings).all()
    rows = [("STREAM", "NUMBER", "FOR", "STATE", "SENT", "DELIVERED", "TO")]
    rows += [(s.stream, str(s.sequence), s.sovereign, s.state, s.last, s.delivered_at, s.to) for s in sent]
    context.result([_document(one) for one in sent], table(rows) if sent else "nothing was sent")
    return exits.DONE


def _document(sent: Sent) -> dict[str, Any]:
    return {**sent.as_dict(), "state": sent.state}
