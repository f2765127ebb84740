"""`airgap log show|verify|lost`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airgap.base.amounts import count
from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.base.times import utc_text
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_trust, existing, number
from airgap.cli.parser import Parser, command
from airgap.cli.words import next_step, table

if TYPE_CHECKING:
    from airgap.statements.log import LogLine

SHOWN = 2
"""Subjects of a line that fit into the table; `--json` has all of them."""


def add(subparsers: Any) -> None:
    """Adds the family."""
    log = subparsers.add_parser(
        "log",
        help="show and verify a station's log",
        description="Show and verify a station's log: the chain of lines that records what it did.",
        allow_abbrev=False,
    )
    family = log.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    parser = command(
        family,
        "show",
        show,
        summary="list what a station did: time, actor, action and digests; with --json, one document per line",
        examples="""
airgap log show --store /srv/store --last 20
airgap log show --sovereign sovereign.yaml --json
airgap log show                                     the log of `airgap sign`""",
    )
    _add_which(parser)
    parser.add_argument("--last", type=_lines, metavar="N", help="only the last N lines")
    parser = command(
        family,
        "verify",
        verify,
        summary="check that a log is an unbroken chain, and that log and kept statements name each other",
        examples="""
airgap log verify --store /srv/store --trust trust.yaml
airgap log verify --sovereign sovereign.yaml --trust trust.yaml --statement receipt.json
only statements reveal that whole lines were removed from the end of a log: keep some elsewhere""",
    )
    _add_which(parser)
    parser.add_argument(
        "--statement",
        type=existing,
        action="append",
        default=[],
        metavar="FILE",
        help="a signed statement of this station, in addition to those that it keeps; may be given more than once",
    )
    add_trust(parser, required=False)
    parser = command(
        family,
        "lost",
        lost,
        summary="record that statements which `log verify` misses are lost for good, so that it only notes them",
        examples="""
airgap log lost sha256:9f3c1c5f0b6e3c7f5f5d6f4dbd3a0b1c2d3e4f5061728394a5b6c7d8e9f00112 --sovereign sovereign.yaml
find out first why they are missing: a crash, a file that was removed; this cannot be undone""",
    )
    _add_which(parser)
    parser.add_argument(
        "line", nargs="+", type=_digest, metavar="DIGEST", help="a line of the log, as `log verify` shows it"
    )
    add_trust(parser, required=False)


def _add_which(parser: Parser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--log", type=Path, metavar="FILE", help="the log in this file")
    chosen.add_argument("--store", type=Path, metavar="DIR", help="the log of the station with this store")
    chosen.add_argument("--sovereign", type=Path, metavar="FILE", help="the log of this Sovereign (its resource)")


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except IntegrityError as error:
        raise argparse.ArgumentTypeError(error.what) from None


def _lines(text: str) -> int:
    if number(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of at least 1")
    return number(text)


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap log show`."""
    from airgap.jobs.station_log import LogOptions, read_log

    options = LogOptions(arguments.log, arguments.sovereign, arguments.store, last=arguments.last)
    found = read_log(options, context.surroundings(arguments))
    documents = [_document(one) for one in found.lines]
    rows = [("TIME", "ACTOR", "ACTION", "SUBJECTS"), *(_row(one) for one in found.lines)]
    context.result_lines(documents, table(rows))
    if found.broken is not None:
        raise found.broken
    return exits.DONE


def _document(entry: LogLine) -> dict[str, Any]:
    return {
        "time": utc_text(entry.time),
        "actor": entry.actor,
        "action": entry.action,
        "subjects": [str(subject) for subject in entry.subjects],
        "digest": str(entry.digest),
    }


def _row(entry: LogLine) -> tuple[str, str, str, str]:
    subjects = " ".join(str(subject)[:19] for subject in entry.subjects[:SHOWN])
    more = f" and {len(entry.subjects) - SHOWN} more" if len(entry.subjects) > SHOWN else ""
    return utc_text(entry.time), entry.actor, entry.action, subjects + more


def verify(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap log verify`."""
    from airgap.jobs.station_log import LogOptions, verify_log

    options = LogOptions(
        arguments.log,
        arguments.sovereign,
        arguments.store,
        statements=tuple(arguments.statement),
        trust=arguments.trust,
    )
    found = verify_log(options, context.surroundings(arguments))
    heads = found.heads
    if not heads.statements:
        context.note(
            "note: no signed statement was found, so lines removed from the end of the log would go unnoticed; "
            "pass a statement with --statement FILE"
        )
    document = {
        "log": str(found.path),
        "lines": found.lines,
        "head": str(found.head),
        "statements": heads.statements,
        "heads": len(heads.named),
        "signaturesChecked": options.trust is not None,
        "errors": [] if found.error is None else [found.error.as_dict()],
        "missing": [_document(line) for line in found.missing],
        "lost": [_document(line) for line in found.lost],
        "replaced": [_document(line) for line in found.replaced],
    }
    text = f"{found.path}: {count(found.lines, 'line')}, an unbroken chain" + (
        f"; {count(len(heads.named), 'head')} of {count(heads.statements, 'signed statement')}, all found in the log"
        if heads.statements
        else ""
    )
    rows = [("MISSING", "STATEMENT", "ABOUT", "LINE OF THE LOG"), *map(_missing, found.missing)]
    context.result(document, [text, *table(rows)] if found.missing else text)
    for lines, why in (
        (found.lost, "lost, as the log records"),
        (found.replaced, "replaced by a later one about the same thing, as earlier versions did"),
    ):
        if lines:
            context.note(f"note: {count(len(lines), 'statement')} that the log names: {why}")
    if found.error is None:
        return exits.DONE
    context.problem(f"airgap: {found.error}", next_step(found.error))
    return found.error.exit_code


def lost(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap log lost`."""
    from airgap.jobs.station_log import LogOptions, record_lost

    options = LogOptions(arguments.log, arguments.sovereign, arguments.store, trust=arguments.trust)
    found = record_lost(options, arguments.line, context.surroundings(arguments))
    text = [f"recorded as lost: {one.action} of {utc_text(one.time)} about {one.subjects[0]}" for one in found]
    context.result({"lost": [_document(one) for one in found]}, text)
    return exits.DONE


def _missing(entry: LogLine) -> tuple[str, str, str, str]:
    return utc_text(entry.time), entry.action, str(entry.subjects[0])[:19], str(entry.digest)
