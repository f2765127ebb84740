"""`airgap serve`."""

from __future__ import annotations

import argparse
import re
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.base.errors import InputError
from airgap.base.times import utc_text
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_at, add_baseline, add_identity, add_jobs, add_lock, add_trust_or_not, existing, number
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.jobs.serve import Serving
    from airgap.serving.server import AccessLine

_LOCALHOST = "127.0.0.1"


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "serve",
        run,
        summary="serve the images and charts of a delivery, a store or an OCI layout as a read-only registry",
        as_json="print JSON on stdout, one document a line: the start, each request, the end",
        examples="""
airgap serve /media/usb/nov --trust trust.yaml                          at http://127.0.0.1:5000, until Ctrl-C
airgap serve /media/disc1 /media/disc2 --trust trust.yaml --listen 10.0.0.5:5000 --tls-cert s.pem --tls-key s.key
airgap serve /media/usb/nov --trust trust.yaml --print-config --url http://10.0.0.5:5000    for containerd and k3s
airgap serve /srv/store --lock platform.lock.json
crane pull 127.0.0.1:5000/docker.io/library/alpine:3.20 alpine.tar      upstream's whole name is the repository""",
    )
    parser.add_argument(
        "things",
        nargs="+",
        type=existing,
        metavar="THING",
        help="a delivery, a store or an OCI layout; several folders, if a delivery's volumes are in several",
    )
    add_trust_or_not(parser)
    add_at(parser)
    add_baseline(parser)
    add_identity(parser)
    add_lock(parser)
    add_jobs(parser)
    parser.add_argument(
        "--listen",
        type=_address,
        default=(_LOCALHOST, 5000),
        metavar="ADDRESS:PORT",
        help="where to answer: an IP address and a port, 0 for any (default 127.0.0.1:5000)",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="answer by TLS: the certificate, with its chain")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the private key of --tls-cert")
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print what nodes need to ask this registry (hosts.toml, registries.yaml), and serve nothing",
    )
    parser.add_argument(
        "--url", type=_url, metavar="URL", help="the address by which nodes reach it, for --print-config"
    )
    parser.add_argument(
        "--ca", default="", metavar="PATH", help="where nodes have the CA of --tls-cert, for --print-config"
    )


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    try:
        address = ip_address(_LOCALHOST if host == "localhost" else host.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an IP address and a port: 127.0.0.1:5000") from error
    if not colon or not 0 <= number(port) <= 65535:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a port from 0 to 65535 at the end")
    return str(address), number(port)


def _url(text: str) -> str:
    from airgap.net.origin import Origin

    try:
        good = re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+/?", text) and Origin.of(text)
    except InputError:
        good = None
    if not good:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected such as https://10.0.0.5:5000")
    return text.rstrip("/")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap serve`."""
    from airgap.jobs.offer import OfferOptions
    from airgap.jobs.serve import ServeOptions, serve

    thing, *more = arguments.things
    trust, baselines = arguments.trust, tuple(arguments.baseline)
    offer = OfferOptions(thing, tuple(more), trust, arguments.unverified, arguments.at, arguments.lock, baselines)
    host, port = arguments.listen
    options = ServeOptions(
        offer,
        host,
        port,
        arguments.tls_cert,
        arguments.tls_key,
        arguments.url or "",
        arguments.ca,
        only_config=arguments.print_config,
        jobs=context.jobs(arguments),
    )
    if offer.unverified:
        context.note("WARNING: no signature was checked (--unverified): whoever held the delivery decides what runs")
    if options.only_config:
        serve(options, context.surroundings(arguments), lambda made: _print_config(made, context), _unheard)
        return exits.DONE
    done = serve(
        options,
        context.surroundings(arguments),
        lambda made: _started(made, context),
        lambda access: _accessed(access, context),
    )
    context.event({"event": "ended", "requests": done.requests}, f"ended after {count(done.requests, 'request')}")
    return exits.DONE


def _unheard(_access: AccessLine) -> None:
    """Nothing is served."""


def _print_config(made: Serving, context: Context) -> None:
    lines = []
    for path, text in made.config.items():
        lines += [f"# {path}", *text.splitlines(), ""]
    context.result({"files": dict(made.config)}, lines[:-1])


def _started(made: Serving, context: Context) -> None:
    tags = sum(made.repositories.values())
    document = {
        "event": "serving",
        "url": made.url,
        "verified": made.verified,
        "repositories": dict(made.repositories),
        "leftOut": list(made.left_out),
        "missingVolumes": list(made.missing),
    }
    context.event(
        document,
        f"serving {count(len(made.repositories), 'repository', 'repositories')} with {count(tags, 'tag')} at "
        f"{made.url}; Ctrl-C ends it; --print-config shows what nodes need",
    )
    if made.left_out:
        first = ", ".join(made.left_out[:3]) + (", …" if len(made.left_out) > 3 else "")
        context.note(f"note: not served, because registries have no such things: {first}; use `airgap extract`")
    if made.missing:
        context.note(f"note: what is on these volumes is answered with 404: {', '.join(made.missing)}")


def _accessed(access: AccessLine, context: Context) -> None:
    document = {
        "event": "access",
        "time": utc_text(context.now()),
        "client": access.client,
        "method": access.method,
        "path": access.target,
        "status": access.status,
        "bytes": access.bytes,
        "ms": round(access.seconds * 1000),
    }
    if access.fault:
        document["fault"] = access.fault
    text = f"{access.client} {access.method} {access.target} {access.status} {human(access.bytes)}"
    context.event(document, f"{text} {access.seconds:.2f} s" + (f": {access.fault}" if access.fault else ""))
