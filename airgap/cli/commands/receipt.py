"""`airgap receipt print|decode`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from airgap.base.amounts import count
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import add_identity, add_store, add_trust, existing
from airgap.cli.parser import Parser, command

FORMATS = ("pdf", "text")


def add(subparsers: Any) -> None:
    """Adds the family."""
    receipt = subparsers.add_parser(
        "receipt",
        help="put a receipt or a want list on paper, and read it back",
        description="Carry a signed statement back across the gap on paper: a page with QR codes.",
        allow_abbrev=False,
    )
    family = receipt.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    parser = command(
        family,
        "print",
        run_print,
        summary="write a page with what a signed statement says, and with QR codes that contain all of it",
        examples="""
airgap receipt print receipt.json --delivery /media/usb/nov -o receipt.pdf
airgap receipt print receipt.json --delivery /media/usb/nov                  as text, on the screen
airgap receipt print want.json --delivery /media/usb/dec -o want.pdf
with --delivery, the codes only point at what AIRGAP.json says: 1,000 items fit into a code or two""",
    )
    parser.add_argument("statement", type=existing, metavar="FILE", help="a receipt, a want list or another statement")
    _add_delivery(parser, "the delivery that it is about: names and digests that AIRGAP.json has are left out")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page; without it, text goes to stdout")
    parser.add_argument("--format", choices=FORMATS, help="default: pdf if FILE ends in .pdf, else text")
    parser = command(
        family,
        "decode",
        run_decode,
        summary="read a page back, from pictures or from the text of its codes, and write the signed statement",
        examples="""
airgap receipt decode scan.png --store /srv/store --trust trust.yaml -o receipt.json
airgap receipt decode photo1.jpg photo2.jpg codes.txt --delivery out/nov --trust trust.yaml -o receipt.json
what comes out is the file that `airgap import --receipt` wrote, byte for byte: for `airgap bundle --since`
with --store and --trust, the store keeps it too, for `bundle --since last`""",
    )
    parser.add_argument(
        "pages", nargs="+", type=existing, metavar="FILE", help="pictures (PNG, JPEG), or texts with AG1:… codes"
    )
    _add_delivery(parser, "the delivery that it is about, if the store does not know it")
    add_store(parser)
    add_trust(parser, required=False)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the statement's file")


def _add_delivery(parser: Parser, what: str) -> None:
    parser.add_argument("--delivery", type=existing, metavar="DIR", help=f"folder or AIRGAP.json of {what}")
    add_identity(parser)


def run_print(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap receipt print`."""
    from airgap.base.disk import write_durably
    from airgap.base.errors import InputError
    from airgap.base.places import check_new_file
    from airgap.jobs.paper import ShortenOptions, shorten_statement
    from airgap.paper import codes
    from airgap.paper.page import PrintedPage, as_pdf, as_text
    from airgap.report import on_paper

    output: Path | None = arguments.output
    kind = arguments.format or ("pdf" if output is not None and output.suffix == ".pdf" else "text")
    if output is None and (kind == "pdf" or context.as_json):
        raise InputError("usage", "receipt print: -o is required", "pass -o FILE for the page")
    if output is not None:
        check_new_file(output, "-o")
    made = shorten_statement(
        ShortenOptions(arguments.statement, arguments.delivery), lambda: context.identities(arguments)
    )
    drawn = [codes.draw(piece) for piece in made.pieces]
    for code, piece in zip(drawn, made.pieces, strict=True):
        codes.check(code, piece)
    lines = on_paper.lines(made.statement, made.hint)
    page = PrintedPage(on_paper.heading(made.statement), lines, drawn, made.pieces)
    data, pages = as_pdf(page) if kind == "pdf" else (as_text(page, on_screen=output is None).encode(), 1)
    if output is None:
        context.result({}, data.decode().rstrip("\n").split("\n"))
        return exits.DONE
    write_durably(output, data)
    said = f"{count(len(drawn), 'code')}, {made.bytes} bytes, read back right"
    text = [f"{output}: {made.statement.kind} about {made.statement.subject}: {said}"]
    if kind == "pdf":
        text[0] += f"; {count(pages, 'page')}"
    if arguments.delivery is None and len(drawn) > 2:
        text.append("with --delivery DIR it needs fewer codes")
    context.result(
        {
            "file": str(output),
            "kind": made.statement.kind,
            "subject": str(made.statement.subject),
            "codes": len(drawn),
            "bytes": made.bytes,
            "pages": pages,
        },
        text,
    )
    return exits.DONE


def run_decode(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap receipt decode`."""
    from airgap.jobs.paper import RestoreOptions, restore_statement
    from airgap.report.statements import described

    store = context.store(arguments) if arguments.store or context.environ.get("AIRGAP_STORE") else None
    options = RestoreOptions(
        pages=tuple(arguments.pages),
        output=arguments.output,
        trust=arguments.trust,
        delivery=arguments.delivery,
        store=store,
    )
    done = restore_statement(options, context.surroundings(arguments))
    if not done.key:
        context.note("note: nobody checked the signature; pass --trust FILE")
    lines = described(done.statement, done.hint)
    lines += [f"signed by {done.key!r}"] if done.key else []
    lines += [f"written to {options.output}"] if options.output is not None else []
    lines += [f"kept in {store}"] if done.kept else []
    document = {
        "kind": done.statement.kind,
        "subject": str(done.statement.subject),
        "file": None if options.output is None else str(options.output),
        "signedBy": done.key or None,
        "kept": done.kept,
    }
    context.result(document, lines)
    return exits.DONE
