"""Markdown out of the argument parser: for each command what it does, its usage, flags and examples."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from airgap.cli.app import build
from airgap.cli.parser import Parser

HEAD = """# Commands

Made by `scripts/reference` from `airgap/cli/`; change that instead. `airgap COMMAND --help` says the same.

Write flags after the command, in any order. Exit codes and variables: [README](../../README.md#exit-codes).
"""
COMMON = "\nEvery command has these:\n"


def render() -> str:
    """The whole page."""
    found = dict(commands_of(build()))
    common = set.intersection(*({flag(action) for action in flags_of(one)} for one in found.values()))
    shared = [action for action in flags_of(next(iter(found.values()))) if flag(action) in common]
    return "\n".join([HEAD, *_index(found), COMMON, *_table(shared), *_sections(found, common)])


def commands_of(parser: Parser) -> Iterator[tuple[str, Parser]]:
    """Every command that does something, by what is typed: `airgap lock`, `airgap keys show`."""
    if not parser.commands():
        yield parser.prog, parser
    for name in parser.commands():
        yield from commands_of(parser.child(name))


def _index(found: Mapping[str, Parser]) -> Iterator[str]:
    yield "| command | what it does |"
    yield "|---|---|"
    for name, parser in found.items():
        yield f"| [`{name}`](#{name.replace(' ', '-')}) | {_escaped(parser.description)} |"


def _sections(found: Mapping[str, Parser], common: set[str]) -> Iterator[str]:
    for name, parser in found.items():
        own = [action for action in flags_of(parser) if flag(action) not in common]
        arguments = [action for action in parser.arguments() if not action.option_strings]
        yield f"\n## {name}\n\n{parser.description}\n\n```\n{_usage(parser)}\n```\n"
        described = [action for action in (*arguments, *own) if action.help]
        if described:
            yield from (*_table(described), "")
        lines = (parser.epilog or "").splitlines()[1:]  # the first says that they are examples
        yield "\n".join(["```", *(line.removeprefix("  ") for line in lines), "```"])
    yield ""


def _usage(parser: Parser) -> str:
    """What must be given, in one line. argparse's own usage hangs on the terminal and on Python's version."""
    arguments = [action for action in parser.arguments() if not action.option_strings]
    needed = [action for action in flags_of(parser) if action.required]
    # argparse tells nobody else which flags exclude each other.
    groups = [group for group in parser._mutually_exclusive_groups if group.required]  # noqa: SLF001
    either = ["(" + " | ".join(map(said, group._group_actions)) + ")" for group in groups]  # noqa: SLF001
    return " ".join([parser.prog, *map(said, (*arguments, *needed)), *either, "[flags]"])


def _table(actions: list[argparse.Action]) -> Iterator[str]:
    yield "| argument | what it is |"
    yield "|---|---|"
    for action in actions:
        short = [name for name in action.option_strings if name != flag(action)]
        names = ", ".join(f"`{name}`" for name in (*short, said(action)))
        yield f"| {_escaped(names)} | {_escaped(action.help)} |"


def said(action: argparse.Action) -> str:
    """An argument as it is typed: `--to DIR`, `LOCK…`, `--update [NAME…]`, `--dry-run`."""
    name = [flag(action)] if action.option_strings else []
    if action.nargs == 0:
        return name[0]
    value = str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper())
    value = {"+": f"{value}…", "*": f"[{value}…]"}.get(str(action.nargs), value)
    return " ".join([*name, value])


def flags_of(parser: Parser) -> list[argparse.Action]:
    """The arguments that begin with a dash."""
    return [action for action in parser.arguments() if action.option_strings]


def flag(action: argparse.Action) -> str:
    """What a flag is called: the longest of its names."""
    return max(action.option_strings, key=len)


def _escaped(text: str | None) -> str:
    return (text or "").replace("|", "\\|")
