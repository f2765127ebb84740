"""The man page out of the argument parser: one page, with a section for each command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from airgap.cli.app import EPILOG, build
from airgap.cli.parser import Parser
from referencelib.commands import commands_of, flag, flags_of, said

HEAD = """.\\" Made by scripts/reference from airgap/cli; change that instead.
.TH AIRGAP 1 "" "airgap" "User commands"
.nh
.SH NAME
airgap \\- carry content into an air\\-gapped Sovereign
.SH SYNOPSIS
.B airgap
.I COMMAND
[flags]
"""


def render() -> str:
    """The whole page, as roff."""
    parser = build()
    way, _, rest = EPILOG.partition("\n\n")
    _, _, codes = rest.partition("exit codes: ")
    found = dict(commands_of(parser))
    shared = set.intersection(*({flag(action) for action in flags_of(one)} for one in found.values()))
    lines = [HEAD + ".SH DESCRIPTION", _text(parser.description), ".PP", "How a delivery travels:"]
    lines += _block(way.splitlines()[1:])
    lines += [".PP", "Write flags after the command, in any order.", ".SH COMMANDS"]
    for name, one in found.items():
        lines += _command(name, one, shared)
    lines += [".SH COMMON FLAGS", "Every command has these:"]
    some = next(iter(found.values()))
    for action in flags_of(some):
        if flag(action) in shared:
            lines += _argument(action)
    lines += [".SH EXIT STATUS"]
    for code, meaning in re.findall(r"(\d+) (.+?)(?=, \d|$)", codes.strip()):
        lines += [".TP", f".B {code}", _text(meaning)]
    return "\n".join([*lines, ""])


def _command(name: str, parser: Parser, shared: set[str]) -> Iterator[str]:
    yield f".SS {_text(name.removeprefix('airgap '))}"
    yield _text(parser.description)
    for action in parser.arguments():
        if action.help and (not action.option_strings or flag(action) not in shared):
            yield from _argument(action)
    yield from (".PP", "Examples:")
    yield from _block((parser.epilog or "").splitlines()[1:])


def _argument(action: argparse.Action) -> Iterator[str]:
    short = [name for name in action.option_strings if name != flag(action)]
    yield ".TP"
    yield ".B " + _text(", ".join((*short, said(action))))
    yield _text(action.help)


def _block(lines: list[str]) -> Iterator[str]:
    """Lines as they stand, indented."""
    yield from (".PP", ".RS 4", ".nf")
    for line in lines:
        yield _text(line.removeprefix("  "))
    yield from (".fi", ".RE")


def _text(text: str | None) -> str:
    """Text in which roff finds nothing to obey."""
    plain = (text or "").replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    plain = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in plain)
    return f"\\&{plain}" if plain.startswith(".") else plain
