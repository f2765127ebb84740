"""`airgap receive`."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.errors import InputError
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_jobs, add_shared_key, add_trust, size, span
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.jobs.receive import ReceivedNow


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "receive",
        run,
        summary="receive deliveries from one-way roads into an inbox",
        examples="""
airgap receive --listen udp://:9000 --inbox /srv/inbox --trust trust.yaml --key-file diode.psk      until Ctrl-C
airgap receive --listen tcp://:9000 --inbox /srv/inbox --trust trust.yaml
airgap receive --watch /srv/diode-in --inbox /srv/inbox --trust trust.yaml        a folder that a box copies into
airgap receive --listen - --inbox /srv/inbox --trust trust.yaml                   stdin, until its end
airgap receive --inbox /srv/inbox --trust trust.yaml                              what is on its way, what it lacks""",
        as_json="print JSON on stdout, one document a line: each event, and the end",
    )
    parser.add_argument(
        "--inbox", type=Path, required=True, metavar="DIR", help="where deliveries appear, whole and verified"
    )
    add_trust(parser, required=True)
    parser.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="ROAD",
        help="udp://[ADDRESS]:PORT, tcp://[ADDRESS]:PORT, serial:/dev/ttyS0?baud=115200, or - for stdin; may be given "
        "more than once",
    )
    parser.add_argument(
        "--watch",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a folder that a box copies into; may be given more than once",
    )
    parser.add_argument(
        "--empty", action="store_true", help="delete files from --watch once their delivery is in the inbox"
    )
    add_shared_key(parser)
    parser.add_argument(
        "--buffer",
        type=size,
        default=64 << 20,
        metavar="SIZE",
        help="by udp: how much the kernel keeps of what was not taken yet (default 64MiB)",
    )
    parser.add_argument("--once", action="store_true", help="end after one delivery")
    parser.add_argument("--for", dest="span", type=span, metavar="SPAN", help="end after this time: 90s, 30m, 12h")
    parser.add_argument(
        "--alarm-after",
        type=span,
        metavar="SPAN",
        help="raise the alarm if the sender is silent for so long (default: three of its beats, once one came)",
    )
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="write metrics for Prometheus to FILE")
    add_jobs(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap receive`."""
    from airgap.jobs.receive import ReceiveOptions, receive

    if arguments.empty and not arguments.watch:
        raise InputError("usage", "--empty is for --watch", "leave it out")
    roads = bool(arguments.listen or arguments.watch)
    if not roads and (arguments.once or arguments.span is not None):
        raise InputError("usage", "there is nothing to receive from", "use --listen ROAD or --watch DIR")
    options = ReceiveOptions(
        inbox=arguments.inbox,
        trust=arguments.trust,
        listen=tuple(arguments.listen),
        watch=tuple(arguments.watch),
        empty=arguments.empty,
        shared_key=arguments.key_file,
        unauthenticated=arguments.unauthenticated,
        buffer=min(arguments.buffer, 1 << 30),
        once=arguments.once,
        span=arguments.span,
        alarm_after=arguments.alarm_after,
        metrics=arguments.metrics,
        jobs=context.jobs(arguments),
        stdin=context.pipe_in(),
    )
    try:
        found = receive(options, context.surroundings(arguments), context.event, threading.Event())
    except KeyboardInterrupt:
        context.note("stopped; what arrived is kept, and the same command goes on with it")
        return exits.DONE
    _say(found, context)
    return _exit(found)


def _say(found: ReceivedNow, context: Context) -> None:
    document = {
        "event": "end",
        "arrived": [str(one.digest) for one in found.arrived],
        "onTheWay": [one.as_dict() for one in found.on_the_way],
        "refused": [error.as_dict() for error in found.refused],
    }
    lines = [line for one in found.on_the_way for line in one.words().splitlines()]
    if not lines and not found.arrived:
        lines = ["nothing is on its way"]
    context.result_lines([document], lines)


def _exit(found: ReceivedNow) -> int:
    """0 if nothing is missing, 3 if something is; 4 if all was refused, and 5 if the disk could keep nothing."""
    if found.on_the_way:
        return exits.NO
    if found.arrived:
        return exits.DONE
    return exits.TRUST if found.refused else exits.UPSTREAM if found.troubles else exits.DONE
