"""`airgap help [COMMAND [SUBCOMMAND]]`: the same text as `--help`."""

from __future__ import annotations

import argparse
from typing import Any

from airgap.base.text import Lines
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import Parser, command


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "help",
        run,
        summary="print the help for airgap, or for one command",
        examples="""
airgap help
airgap help import
airgap help keys rotate""",
    )
    parser.add_argument("words", nargs="*", metavar="COMMAND", help="a command, and its subcommand if it has one")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap help`. Raises `InputError` (`usage`) for a command that does not exist."""
    parser: Parser = arguments.root
    for word in arguments.words:
        parser = parser.child(word)
    text = parser.format_help()
    context.result({"command": parser.prog, "help": text}, Lines(text))
    return exits.DONE
