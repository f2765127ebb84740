"""Runs a command: parses, sets up output, and turns what was raised into a message and an exit code."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

from airgap.cli import exits
from airgap.cli.context import Context
from airgap.cli.parser import build
from airgap.errors import AirgapError


def run(argv: Sequence[str]) -> int:
    """Runs `argv`; returns the exit code. Writes results to stdout and everything else to stderr."""
    context: Context | None = None
    try:
        arguments = build().parse(argv)
        context = Context.from_arguments(arguments)
        with _terminable():
            return int(arguments.handler(arguments, context))
    except AirgapError as error:
        return _failed(error, context, as_json="--json" in argv)
    except KeyboardInterrupt:
        return _interrupted(argv, context)
    except BrokenPipeError:
        # Whoever read our output went away (`airgap ls … | head`): that is not a failure.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        return exits.DONE
    except Exception:  # noqa: BLE001
        return _bug(context)
    finally:
        if context is not None:
            context.close()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM (a stopped systemd unit or pod) ends like Ctrl-C: safe, and with the command that resumes."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _failed(error: AirgapError, context: Context | None, *, as_json: bool) -> int:
    if context is not None:
        context.end_progress()
        context.log(f"error {error.code}: {error.what}")
    if as_json:
        from airgap.cli.context import write_json

        write_json({**error.as_dict(), "exit": error.exit_code})
    lines = [f"airgap: {error.what} [{error.code}]"]
    if error.hint:
        lines.append(f"  next: {error.hint}")
    sys.stderr.write("\n".join(lines) + "\n")
    return error.exit_code


def _interrupted(argv: Sequence[str], context: Context | None) -> int:
    if context is not None:
        context.end_progress()
    command = shlex.join(["airgap", *argv])
    sys.stderr.write(
        f"\nairgap: interrupted. Nothing is lost; to go on, run the same command:\n  {command}\n"
    )
    sys.stderr.flush()
    sys.stdout.flush()
    if context is not None:
        context.close()
    # Threads may still be inside a read from the network. Everything on disk is crash-safe: leave at once.
    os._exit(exits.INTERRUPTED)


def _bug(context: Context | None) -> int:
    text = traceback.format_exc()
    if context is not None:
        context.end_progress()
        context.log(text)
    sys.stderr.write(text)
    sys.stderr.write(
        "airgap: this is a bug in airgap, not something you did; please report the lines above\n"
    )
    return exits.BUG
