"""`airgap doctor`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.cli.context import Context
from airgap.cli.flags import add_identity, add_jobs, add_key, existing, number
from airgap.cli.parser import command
from airgap.cli.words import table

if TYPE_CHECKING:
    from airgap.base.probe import Probe

HEADING = ("STATE", "WHERE", "WHAT", "FOUND")
WIDTH = 60
"""Characters of a cell in the last column; the whole text of what is not as it should be follows the table."""


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "doctor",
        run,
        summary="try everything that resources name, before anything moves; report each problem with its next step",
        examples="""
airgap doctor sovereign.yaml trust.yaml
airgap doctor sovereign.yaml trust.yaml --key sovereign.key --delivery /media/usb/nov
airgap doctor request.yaml upstreams.yaml                 in the connected zone, before a lock
nothing is changed: it asks, and writes nothing. Exit 0: no problem""",
    )
    parser.add_argument(
        "resources",
        nargs="+",
        type=existing,
        metavar="RESOURCE",
        help="file with a Sovereign, Trust, Upstreams, Request, Policy, Waiver or Station resource",
    )
    parser.add_argument(
        "--delivery",
        nargs="+",
        type=existing,
        default=[],
        metavar="DIR",
        help="delivery that is to be imported: compare quotas, tags and space with what it would bring",
    )
    parser.add_argument(
        "--within",
        type=_days,
        default=30,
        metavar="DAYS",
        help="warn this many days before a key or a certificate ends (default 30)",
    )
    add_key(parser, what="the receipt of an import")
    add_identity(parser)
    add_jobs(parser)


def _days(text: str) -> int:
    if not 0 <= number(text) <= 3650:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of days")
    return number(text)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap doctor`."""
    from airgap.base.probe import exit_of
    from airgap.jobs.doctor.run import DoctorOptions, doctor

    options = DoctorOptions(
        resources=tuple(arguments.resources),
        key=context.key_path(arguments),
        delivery=tuple(arguments.delivery),
        within=timedelta(days=arguments.within),
        jobs=context.jobs(arguments),
    )
    probes = doctor(options, context.surroundings(arguments))
    code = exit_of(probes)
    document = {"outcome": "fail" if code else "pass", "exit": code, "probes": [one.as_dict() for one in probes]}
    context.result(document, _report(probes))
    return code


def _report(probes: Sequence[Probe]) -> list[str]:
    """The table, and below it the next step of everything that is not as it should be."""
    from airgap.base.probe import Health

    lines = table([HEADING, *((str(one.health), one.place, one.what, _short(_parts(one)[0])) for one in probes)])
    for one in probes:
        if one.health is Health.OK:
            continue
        code = f" [{one.code}]" if one.code else ""
        where = "" if one.said.startswith(f"{one.place}:") else f"{one.place}: "
        first, *more = _parts(one)
        lines += ["", f"{one.health}: {where}{first}", *more]
        lines[-1] += code
        lines += [f"  next: {one.hint}"] if one.hint else []
    counts = {health: sum(one.health is health for one in probes) for health in Health}
    lines += ["", ", ".join(_counted(health, many) for health, many in counts.items() if many)]
    return lines


def _counted(health: str, many: int) -> str:
    return count(many, health) if health in ("warning", "problem") else f"{many} {health}"


def _parts(one: Probe) -> list[str]:
    from airgap.base.text import Lines

    return one.said.split("\n") if isinstance(one.said, Lines) else [one.said]


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
