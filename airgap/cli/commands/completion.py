"""`airgap completion bash|zsh|fish`: a script that lets a shell complete airgap's commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airgap.base.errors import InputError
from airgap.base.text import Lines
from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.flags import existing
from airgap.cli.parser import Parser, command

SHELLS = ("bash", "zsh", "fish")


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(
        subparsers,
        "completion",
        run,
        summary="print a shell script that completes commands, flags and files",
        examples="""
airgap completion bash > ~/.local/share/bash-completion/completions/airgap
airgap completion zsh > ~/.zfunc/_airgap                  with `fpath=(~/.zfunc $fpath)` before compinit in ~/.zshrc
airgap completion fish > ~/.config/fish/completions/airgap.fish""",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Handler of `airgap completion`. Raises `InputError` (`missing-extra`)."""
    try:
        import shtab
    except ImportError as error:
        raise InputError("missing-extra", "completion needs shtab", "pip install 'airgap[completion]'") from error
    # The parser has done its work: from here on it only describes itself to the library.
    parser: Parser = arguments.root
    for action in _actions(parser):
        if action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.type in (Path, existing) or action.metavar == "KEY":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    [words] = [action for action in parser.child("help").arguments() if action.dest == "words"]
    words.choices = [name for name in parser.commands() if name != "help"]
    script = shtab.complete(parser, shell=arguments.shell)
    context.result({"shell": arguments.shell, "script": script}, Lines(script))
    return exits.DONE


_FOLDERS = ("DIR", "DELIVERY")
"""The names, in the help, of arguments that take a folder and not a file."""


def _actions(parser: Parser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of all parsers below it."""
    yield from parser.arguments()
    for name in parser.commands():
        yield from _actions(parser.child(name))
