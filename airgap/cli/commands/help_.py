"""`airgap help [COMMAND [SUBCOMMAND] | TOPIC]`: the text of `--help`, or a document that comes with the program."""

from __future__ import annotations

import argparse
import shutil
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
        summary="print the help for a command, a document, an example, or what to do about an error code",
        examples="""
airgap help
airgap help import
airgap help keys rotate
airgap help topics                        the documents and examples that come with the program
airgap help runbooks/import | less
airgap help volume-missing                what to do about an error code
airgap help Sovereign                     every field of a resource, with an example
airgap help examples/platform.policy.yaml > platform.policy.yaml""",
    )
    parser.add_argument(
        "words", nargs="*", metavar="COMMAND|TOPIC", help="a command and its subcommand, a topic, or an error code"
    )


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap help`. Raises `InputError` (`usage`) for a word that is no command, topic or error code."""
    root: Parser = arguments.root
    words: list[str] = arguments.words
    if not words or words[0] in root.commands():
        parser = root
        for word in words:
            parser = parser.child(word)
        text = parser.format_help()
        context.result({"command": parser.prog, "help": text}, Lines(text))
    elif words == ["topics"]:
        _list(context)
    else:
        _show(" ".join(words), root.commands(), context)
    return exits.DONE


def _list(context: Context) -> None:
    from airgap.cli.manual import topics
    from airgap.cli.words import table

    known = topics()
    document = {"topics": [{"name": one.name, "title": one.title} for one in known]}
    rows = [("TOPIC", "WHAT"), *((one.name, one.title) for one in known)]
    more = ["", "also: a command, a resource (such as Sovereign), or an error code (such as volume-missing)"]
    context.result(document, [*table(rows), *more])


def _show(word: str, commands: list[str], context: Context) -> None:
    from airgap.cli.manual import topic, topics
    from airgap.cli.markdown import Page, render

    known = topics()
    found = topic(word, known, commands)
    width = shutil.get_terminal_size().columns
    page = Page(found.page, frozenset(one.name for one in known))
    text = found.text if found.plain else "\n".join(render(found.text, page, width))
    context.result({"topic": found.name, "title": found.title, "text": found.text}, Lines(text))
