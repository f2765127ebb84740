"""`airgap report`: what was scanned and judged, as a page for people or a file for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count, human
from airgap.base.errors import InputError
from airgap.cli import exits, output
from airgap.cli.context import Context
from airgap.cli.flags import add_at, add_identity, add_trust_or_not, add_volumes, existing
from airgap.cli.parser import command

if TYPE_CHECKING:
    from airgap.report.scans.model import ScanReport

FORMATS = ("html", "sarif", "cyclonedx", "json", "jsonl")
STDOUT = "-"
MOST_OLD = 512 << 20
"""Bytes of an earlier report that is replaced."""


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "report",
        run,
        summary="show what was judged and found: one HTML file that opens anywhere, or SARIF, CycloneDX, JSON",
        examples="""
airgap report /media/usb/nov --trust trust.yaml -o report.html     what enters, for the one who signs; no network needed
airgap report /srv/store -o report.html                            the newest verdict about each lock in a store
airgap report /srv/store --lock platform.lock.json --trust trust.yaml
                                                                   a summary on the terminal, of one lock
airgap report verdict.sigstore.json --results /srv/store --lock platform.lock.json -o report.html
airgap report /archive/nov --trust trust.yaml --at 2026-11-23T10:00:00Z -o report.html     a year later
airgap report /srv/store -o findings.jsonl                         one line a finding, for a SIEM; -o - for stdout
airgap report /media/usb/nov --trust trust.yaml -o findings.sarif    the ending says the format
exit code 4: something that a verdict names is missing or differs; the report says what, and has the rest""",
    )
    parser.add_argument("thing", type=existing, metavar="THING", help="a signed verdict, a delivery or a store")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write the report; - is stdout. It replaces nothing but an earlier report. Default: a summary on "
        "stdout, or with --format the report",
    )
    parser.add_argument(
        "--format",
        dest="form",
        choices=FORMATS,
        help="default: what the ending of FILE says (.html, .sarif, .cdx.json, .json, .jsonl)",
    )
    parser.add_argument(
        "--lock",
        type=Path,
        action="append",
        default=[],
        metavar="LOCK",
        help="for a verdict or a store: a lock that was judged, for kinds, sizes and rules; of a store, only these "
        "locks are reported; may be given more than once",
    )
    parser.add_argument(
        "--results",
        type=existing,
        metavar="DIR",
        help="for a verdict: the store that was scanned, or a folder with its scan results; not needed for a verdict "
        "in the records of its store",
    )
    add_volumes(parser, "files")
    add_trust_or_not(parser)
    add_at(parser)
    add_identity(parser)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap report`."""
    from airgap.base.results import ResultFile
    from airgap.jobs.report import ReportOptions, gather
    from airgap.report.scans.build import build
    from airgap.report.scans.formats import written

    form = _form(arguments)
    to = None
    if arguments.output not in (None, STDOUT):
        media = (arguments.thing, *arguments.volumes) if arguments.thing.is_dir() else ()
        to = ResultFile(Path(arguments.output), "--output", "a report", media=media, most=MOST_OLD)
        to.check()
    elif form and arguments.json:
        raise InputError(
            "usage", "--json and a report on stdout exclude each other", "give --output FILE, or leave out --json"
        )
    options = ReportOptions(
        thing=arguments.thing,
        volumes=tuple(arguments.volumes),
        trust=arguments.trust,
        unverified=arguments.unverified,
        at=arguments.at,
        locks=tuple(arguments.lock),
        results=arguments.results,
    )
    surroundings = context.surroundings(arguments)
    report = build(gather(options, surroundings), surroundings.clock())
    data = written(report, form) if form else b""
    if to is not None:
        to.write(data)
    if form and to is None:
        context.end_progress()
        output.write(data.decode("utf-8"))
    else:
        context.result(
            _document(report, None if to is None else to.path, form),
            [*_text(report, None if to is None else to.path, len(data))],
        )
    for one in report.problems[:20]:
        context.problem(f"{one.text} [{one.code}]")
    if report.problems:
        context.problem(
            f"the report is not complete: {count(len(report.problems), 'thing')} that verdicts name could not be read",
            "scan again, or have the delivery cut again; of a verdict, name its store with --results",
        )
    return exits.TRUST if report.problems else exits.DONE


def _form(arguments: argparse.Namespace) -> str:
    """The format, `""` for a summary on stdout. Raises `InputError` (`usage`) for an ending that says none."""
    from airgap.report.scans.formats import form_of

    if arguments.form or arguments.output is None:
        return str(arguments.form or "")
    found = "" if arguments.output == STDOUT else form_of(arguments.output)
    if not found:
        what = f"--output {arguments.output}: the name says no format"
        raise InputError("usage", what, f"add --format ({', '.join(FORMATS)}), or end the name in .html")
    return found


def _document(report: ScanReport, to: Path | None, form: str) -> dict[str, Any]:
    from airgap.report.scans.declared import as_json

    return {
        "report": None if to is None else str(to),
        "format": form or None,
        "outcome": str(report.outcome),
        "summary": report.summary,
        "about": as_json(report.about),
        "verified": bool(report.trust),
        "complete": not report.problems,
        "problems": as_json(report.problems),
        "notScanned": len(report.not_scanned),
        "findings": len(report.findings) + report.more,
        "counts": as_json(report.counts),
    }


def _text(report: ScanReport, to: Path | None, size: int) -> Iterator[str]:
    from airgap.report.scans.summary import summary_lines

    yield from summary_lines(report)
    if not report.trust:
        yield "--trust FILE checks who signed"
    if to is not None:
        yield f"{to}: {human(size)}"
