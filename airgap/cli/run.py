"""Runs a command: parses, sets up output, and turns an exception into a message and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import traceback
from collections.abc import Sequence

from airgap.base.disk import disk_error
from airgap.base.errors import AirgapError
from airgap.base.text import Lines, one_line, visible
from airgap.cli import exits, process
from airgap.cli.app import build
from airgap.cli.context import Context
from airgap.cli.output import Messages
from airgap.cli.words import next_step


def run(argv: Sequence[str]) -> int:
    """Runs `argv`; returns the exit code. Writes results to stdout and everything else to stderr."""
    context: Context | None = None
    code = exits.BUG
    try:
        arguments = build().parse(argv)
        context = Context.from_arguments(arguments, argv)
        code = _handled(arguments, argv, context)
    except AirgapError as error:  # what was typed cannot be understood, or the log file cannot be written
        code = _failed(error, context, as_json="--json" in argv)
    except KeyboardInterrupt:
        return _interrupted(argv, context)
    except Exception:  # noqa: BLE001
        code = _bug(context)
    finally:
        if context is not None:
            context.ended(code)
            context.close()
    return code


def _handled(arguments: argparse.Namespace, argv: Sequence[str], context: Context) -> int:
    """Runs the handler of a command; returns the exit code."""
    as_json = "--json" in argv
    try:
        process.prepare(arguments.command)
        with process.terminable():
            code = int(arguments.handler(arguments, context))
        if context.unheard is not None:
            # The result is lost, but not the exit code: that of a command which found something stays.
            said = _failed(context.unheard, context, as_json=False)
            return code or said
        return code
    except AirgapError as error:
        return _failed(error, context, as_json=as_json)
    except OSError as error:
        if error.filename is None:
            return _bug(context)
        # The last place for disk errors that no closer code expected: a path that may not be read, a removed folder.
        return _failed(disk_error(error, _name(error.filename)), context, as_json=as_json)


def _name(filename: object) -> str:
    return os.fsdecode(filename) if isinstance(filename, str | bytes) else str(filename)


def _failed(error: AirgapError, context: Context | None, *, as_json: bool) -> int:
    errors = [one if one.hint else one.with_hint(next_step(one)) for one in (error, *error.also)]
    if context is not None:
        context.end_progress()
        for one in errors:
            context.log(Lines(f"error {one}"))
    if as_json:
        from airgap.cli.context import write_json

        document: dict[str, object] = {**errors[0].as_dict(), "exit": error.exit_code}
        if error.also:
            document["also"] = [one.as_dict() for one in errors[1:]]
        with contextlib.suppress(AirgapError):  # the error is also on stderr
            write_json(document)
    lines = [f"airgap: {one}\n  next: {one.hint}" for one in errors]
    Messages().write(visible("\n".join(lines) + "\n"))
    return error.exit_code


def _interrupted(argv: Sequence[str], context: Context | None) -> int:
    if context is not None:
        context.end_progress()
    command = one_line(shlex.join(["airgap", *argv]))
    Messages().write(f"\nairgap: interrupted. Nothing is lost; to continue, run the same command:\n  {command}\n")
    if context is not None:
        context.ended(exits.INTERRUPTED)
        context.close()
    # Threads may still be inside a read from the network. Everything on disk is crash-safe: leave at once.
    os._exit(exits.INTERRUPTED)


def _bug(context: Context | None) -> int:
    text = Lines(visible(traceback.format_exc()))
    if context is not None:
        context.end_progress()
        context.log(text)
    Messages().write(f"{text}airgap: this is a bug in airgap, not something you did; please report the lines above\n")
    return exits.BUG
