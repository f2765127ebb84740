"""The argument parser: one sub-parser per command."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from airgap.base.errors import InputError
from airgap.base.shipped import shipped
from airgap.cli.output import write


class Parser(argparse.ArgumentParser):
    """argparse, which reports errors as `InputError` and suggests the name that was probably meant."""

    _parsed: Sequence[str] = ()
    """The words that this parser parses."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; also keeps the words, so that `error` can look at all of them."""
        self._parsed = args or ()
        return super().parse_known_args(self._positional_first(list(self._parsed)), namespace)

    def _positional_first(self, words: list[str]) -> list[str]:
        """The words with all that are not options first, so that a list of names may be interrupted by options.

        argparse ends a list at the first option. Words with an unknown option stay as they are.
        """
        if not any(action.nargs in ("*", "+") for action in self._get_positional_actions()):
            return words
        known = {option: action for action in self._actions for option in action.option_strings}
        plain_words, options, left = list[str](), list[str](), words
        while left:
            word, left = left[0], left[1:]
            name, has_value, _ = word.partition("=")
            if word == "--":
                return [*options, "--", *plain_words, *left]
            if not word.startswith("-") or word == "-":
                plain_words.append(word)
            elif word[:2] in known and not word.startswith("--") and len(word) > 2:  # -j4
                options.append(word)
            elif name not in known or known[name].nargs not in (None, 0):
                return words
            else:
                takes = known[name].nargs != 0 and not has_value
                options += [word, *left[:takes]]
                left = left[takes:]
        return [*plain_words, *options]

    def error(self, message: str, hint: str = "") -> NoReturn:
        """Raises `InputError` (`usage`). An unknown option comes first: often it is a required one, misspelt."""
        missing = message.endswith(" is required") or message.startswith("the following arguments are required")
        unknown = self._unknown(self._parsed) if missing and not self._family() else []
        if unknown:
            message = _unknown_options(unknown)
        guess = hint or self._guess(message) or f"`{self.prog} --help` shows examples"
        command = self.prog.partition(" ")[2]  # the message already begins with the program's name
        message = plain(message)
        raise InputError("usage", f"{command}: {message}" if command else message, guess)

    def _guess(self, message: str) -> str:
        """Suggests the flag or command that was probably meant; `""` when the error is not about such a name."""
        kind, _, rest = message.partition(": ")
        if message.startswith(_UNKNOWN):
            typed, words = re.findall(r"-[^\s,]*", message), self._flags()
        elif rest.startswith("invalid choice: "):
            typed, words = rest.split("'")[1:2], self._choices(kind)
        else:
            return ""
        for word in typed:
            near = difflib.get_close_matches(word, words, 1, 0.7)
            begun = [known for known in words if len(word) > 1 and known.startswith(word)]
            if near or len(begun) == 1:
                return f"did you mean {(near or begun)[0]!r}?"
        return ""

    def _unknown(self, words: Sequence[str]) -> list[str]:
        """The options in `words` that this parser does not have. In argparse, a value never begins with a dash."""
        flags = self._flags()
        options = [word.partition("=")[0] for word in takewhile(lambda word: word != "--", words)]
        return [
            word
            for word in options
            if re.match(r"-\D", word) and " " not in word and word not in flags
            if word.startswith("--") or word[:2] not in flags  # -j4
        ]

    def arguments(self) -> list[argparse.Action]:
        """The arguments of this parser: its flags and its positional arguments."""
        return list(self._actions)

    def commands(self) -> list[str]:
        """The names of the commands below this one."""
        family = self._family()
        return [] if family is None else list(family.choices)

    def child(self, name: str) -> Parser:
        """The parser of a command below this one. Raises `InputError` (`usage`) when there is none."""
        family = self._family()
        if family is None:
            self.error(f"unexpected argument: {name}", f"`{self.prog}` has no subcommands")
        try:
            self._check_value(family, name)  # the message of argparse lists the commands
        except argparse.ArgumentError as error:
            self.error(str(error))
        found: Parser = family.choices[name]
        return found

    def _family(self) -> Any:
        """The argument that names a command below this one, if there is one."""
        return next((action for action in self._actions if isinstance(action.choices, dict)), None)

    def _flags(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def _choices(self, of: str) -> list[str]:
        """The choices of the argument that a message begins with: `argument --role`, `argument COMMAND`."""
        name = of.removeprefix("argument ")
        for action in self._actions:
            if action.choices and name in ("/".join(action.option_strings), action.metavar, action.dest):
                return [str(choice) for choice in action.choices]
        return []

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parses all of `argv`. Raises `InputError`; for `--help` or no words, prints help and raises `SystemExit`."""
        if not argv:
            self.print_help()
            self.exit()
        first = argv[0].partition("=")[0]
        if first.startswith("-") and first not in self._flags():
            self.error(f"{first} comes before the command", _behind(first))
        arguments: argparse.Namespace
        arguments, unknown = self.parse_known_args(list(argv))
        if unknown:
            # The command's own parser reports it: that one knows the flags, and can suggest the one that was meant.
            parser: Parser = arguments.parser
            known = next((word for word in unknown if word.partition("=")[0] in parser._flags()), "")
            options = parser._unknown(unknown)
            message = (
                _unknown_options(options)
                if options
                else f"unexpected argument{'s' * (len(unknown) > 1)}: {' '.join(unknown)}"
            )
            parser.error(message, _behind(known) if known else "")
        return arguments

    def _print_message(self, message: str, file: Any = None) -> None:
        """`--help` and `--version` are results like any other."""
        write(message)


_UNKNOWN = "unknown option"
_PLAIN: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"the following arguments are required: ([^,]+)", lambda found: f"{found[1]} is required"),
    (r"the following arguments are required: (.+)", lambda found: f"{found[1]} are required"),
    (
        r"argument (?:COMMAND|ACTION): invalid choice: '(.*?)' \(choose from (.*)\)",
        lambda found: _no_command(*found.groups()),
    ),
    (r"argument (.*?): invalid choice: (.*) \(choose from (.*)\)", lambda found: _no_choice(*found.groups())),
    (r"argument (.*?): expected one argument", lambda found: f"{_long(found[1])} needs a value"),
    (r"argument (.*?): expected at least one argument", lambda found: f"{_long(found[1])} needs a value"),
    (
        r"argument (.*?): ignored explicit argument (.*)",
        lambda found: f"{_long(found[1])} takes no value, got {found[2]}",
    ),
    (
        r"argument (.*?): not allowed with argument (.*)",
        lambda found: f"{_long(found[1])} cannot be combined with {_long(found[2])}",
    ),
    (r"argument (\S+): (.*)", lambda found: f"{_long(found[1])}: {found[2]}"),
)
"""What argparse says, by the pattern of its text, and how airgap says it. Other texts stay as they are."""


def plain(message: str) -> str:
    """A message of argparse in the words of all other messages; any other message as it is."""
    for pattern, said in _PLAIN:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return said(found)
    return message


def _long(names: str) -> str:
    """`--jobs/-j` → `--jobs`."""
    return next((name for name in names.split("/") if name.startswith("--")), names)


def _no_command(typed: str, known: str) -> str:
    return f"unknown command {typed!r}, expected one of {known.replace(chr(39), '')}"


def _no_choice(names: str, typed: str, known: str) -> str:
    return f"{_long(names)}: got {typed}, expected one of {known.replace(chr(39), '')}"


def _unknown_options(options: Sequence[str]) -> str:
    return f"{_UNKNOWN}{'s' * (len(options) > 1)} {', '.join(options)}"


def _behind(flag: str) -> str:
    return f"write flags after the command: airgap COMMAND … {flag}"


def _more(name: str) -> str:
    """Where the runbook of a command is, if it has one."""
    there = shipped("docs", "runbooks", f"{name}.md").is_file()
    return f"\n\nmore: airgap help runbooks/{name}" if there else ""


def command(
    subparsers: Any,
    name: str,
    handler: Callable[..., int],
    *,
    summary: str,
    examples: str,
    as_json: str = "print one JSON document on stdout",
) -> Parser:
    """Makes a command's parser, with the flags that every command has."""
    parser: Parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + "\n".join("  " + line for line in examples.strip().splitlines()) + _more(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(handler=handler, parser=parser)
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help=as_json)
    group.add_argument("--quiet", "-q", action="store_true", help="print no progress and no notes on stderr")
    group.add_argument("--log-file", type=Path, metavar="FILE", help="also append all messages to FILE")
    return parser
