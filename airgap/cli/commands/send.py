"""`airgap send`."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import human
from airgap.base.errors import InputError
from airgap.base.text import Lines
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_delivery, add_sent_store, add_shared_key, number, span
from airgap.cli.parser import Parser, command

if TYPE_CHECKING:
    from airgap.jobs.send import SendOptions, SentNow


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "send",
        run,
        summary="send a delivery over a one-way road, such as a data diode",
        examples="""
airgap send out/nov --to udp://10.0.0.2:9000 --key-file diode.psk --rate 900M
airgap send out/nov --to tcp://proxy:9000                        a vendor's proxy, which ends TCP on both sides
airgap send out/nov --to /srv/diode-out                          a folder that a box copies
airgap send out/nov --to -                                       to stdout, for whatever else carries bytes one way
airgap send --resend 1A3C8-5H006-9TSVB                           what the other side misses, by the same road
airgap send --watch /srv/outbox --to udp://10.0.0.2:9000         each delivery that appears there, until Ctrl-C""",
        as_json="print one JSON document on stdout; with --watch one for each delivery, on a line",
    )
    add_delivery(parser, optional=True)
    parser.add_argument(
        "--to",
        default="",
        metavar="ROAD",
        help="udp://HOST:PORT, tcp://HOST:PORT, serial:/dev/ttyS0?baud=115200, a folder that is copied, - for stdout",
    )
    parser.add_argument(
        "--resend", default="", metavar="CODE", help="send only what the receiver misses: the code that it showed"
    )
    parser.add_argument(
        "--watch", type=Path, metavar="DIR", help="send each delivery that appears in DIR, until Ctrl-C"
    )
    add_shared_key(parser)
    _add_road(parser)
    add_sent_store(parser)
    parser.add_argument(
        "--every", type=span, default=None, metavar="SPAN", help="with --watch: time between two beats (default 30s)"
    )
    parser.add_argument(
        "--metrics", type=Path, metavar="FILE", help="with --watch: write metrics for Prometheus to FILE"
    )


def _add_road(parser: Parser) -> None:
    """How fast, and how much more than once."""
    parser.add_argument(
        "--rate",
        type=_rate,
        default=0,
        metavar="RATE",
        help="bits a second: 900M, 2.5G (default: 100M by udp, else what the road takes)",
    )
    parser.add_argument(
        "--passes",
        type=_passes,
        default=0,
        metavar="N",
        help="how often everything is sent (default: 2 by udp, else 1)",
    )
    parser.add_argument(
        "--parity",
        type=_percent,
        default=10,
        metavar="PERCENT",
        help="by udp: what each pass sends in addition, so that lost packets are computed again (default 10)",
    )
    parser.add_argument(
        "--mtu", type=_mtu, default=1500, metavar="BYTES", help="by udp: largest packet of the network (default 1500)"
    )


def _rate(text: str) -> int:
    units = {"k": 10**3, "M": 10**6, "G": 10**9}
    digits, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    whole, _, part = digits.partition(".")
    if number(whole) < 0 or (part and number(part) < 0) or len(part) > 3 or ("." in digits and not part):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected bits a second: 900M or 2.5G")
    made = (number(whole) * 1000 + int(f"{part:0<3}" if part else 0)) * unit // 1000
    if made < 1000:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected at least 1k")
    return made


def _between(text: str, least: int, most: int) -> int:
    if not least <= number(text) <= most:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from {least} to {most}")
    return number(text)


def _passes(text: str) -> int:
    return _between(text, 1, 10)


def _percent(text: str) -> int:
    return _between(text, 0, 100)


def _mtu(text: str) -> int:
    return _between(text, 576, 9216)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap send`."""
    from airgap.jobs.send import SendOptions, send

    _check(arguments)
    options = SendOptions(
        delivery=tuple(arguments.delivery),
        to=arguments.to,
        resend=arguments.resend,
        store=context.store_or_not(arguments),
        shared_key=arguments.key_file,
        rate=arguments.rate,
        passes=arguments.passes,
        parity=arguments.parity,
        mtu=arguments.mtu,
        unauthenticated=arguments.unauthenticated,
        stdout=context.pipe_out(),
    )
    if arguments.watch is not None:
        return _serve(options, arguments, context)
    sent = send(options, context.surroundings(arguments))
    if arguments.to == "-":
        context.note(_words(sent))
    else:
        context.result(_document(sent), _words(sent))
    return exits.DONE


def _check(arguments: argparse.Namespace) -> None:
    given = [bool(arguments.delivery), bool(arguments.watch)]
    if arguments.watch is not None and (arguments.delivery or arguments.resend):
        raise InputError("usage", "--watch finds the deliveries itself", "leave out DELIVERY and --resend")
    if not any(given) and not arguments.resend:
        raise InputError("usage", "DELIVERY is required", "name the folder of a delivery, or use --watch or --resend")
    if not arguments.to and not arguments.resend:
        raise InputError("usage", "--to is required", "name the road, such as --to udp://10.0.0.2:9000")
    if arguments.watch is None and (arguments.every is not None or arguments.metrics is not None):
        raise InputError("usage", "--every and --metrics are for --watch", "leave them out")
    if arguments.to == "-" and (arguments.json or sys.stdout.isatty()):
        what = "with --to -, the delivery itself goes to stdout"
        raise InputError("usage", what, "send stdout to a program or a file, and leave out --json")


def _serve(options: SendOptions, arguments: argparse.Namespace, context: Context) -> int:
    from airgap.diode.beats import DEFAULT_EVERY
    from airgap.jobs.outbox import Outbox, OutboxOptions

    every = DEFAULT_EVERY if arguments.every is None else int(arguments.every.total_seconds())
    outbox = Outbox(
        OutboxOptions(arguments.watch, options, every, arguments.metrics),
        context.surroundings(arguments),
        lambda sent: context.event(_document(sent), _words(sent)),
    )
    context.note(f"sending what appears in {arguments.watch} to {options.to}; Ctrl-C ends it")
    stop = threading.Event()
    try:
        outbox.run(stop)
    except KeyboardInterrupt:
        context.note("stopped; what was not sent is sent after the next start")
    return exits.DONE


def _document(sent: SentNow) -> dict[str, Any]:
    record = sent.record
    return {
        "delivery": str(record.delivery),
        "stream": record.stream,
        "sequence": record.sequence,
        "sovereign": record.sovereign,
        "to": record.to,
        "bytes": sent.bytes,
        "seconds": round(sent.seconds, 3),
        "state": record.state,
    }


def _words(sent: SentNow) -> Lines:
    record, seconds = sent.record, max(sent.seconds, 0.001)
    speed = f"{human(sent.bytes)} in {seconds:.1f} s ({human(sent.bytes / seconds)}/s)"
    return Lines.of(
        [
            f"sent: delivery {record.sequence} of stream {record.stream!r} for {record.sovereign!r}, {speed}",
            "  whether it arrived, only the other side knows: enter its receipt code with `airgap sent CODE`",
        ]
    )
