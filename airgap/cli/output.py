"""The standard streams of this process, and what to do when a reader is gone, a disk is full or a stream is closed.

stdout has the result. A reader that stops early (`airgap ls … | head`) has read enough: that is not a failure, and does
not change the exit code. A result that could not be written at all is a failure. stderr has messages for people: if
they cannot be written, that is not a failure, and the work goes on.
"""

from __future__ import annotations

import io
import os
import shutil
import sys

from airgap.base.errors import StoreError


def settle() -> None:
    """Opens those of the three descriptors that are closed, so that no other file gets one of their numbers.

    A closed stdout remains a stream that cannot be written to.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # opens the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may be other than UTF-8, and so may the terminal.
        sys.stdout.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Writes to stdout. Raises `StoreError` (`output`) when that fails, except when the reader closed the pipe."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop()
    except OSError as error:
        _drop()
        raise StoreError(
            "output",
            f"the result could not be written to stdout: {error.strerror}",
            "the command finished, but its output is lost: check where stdout goes",
        ) from error


def width() -> int:
    """Columns of the terminal that shows stdout; 0 if stdout is something else, such as a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _drop() -> None:
    """Discards what is buffered and all that follows: the interpreter flushes once more at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


class Messages:
    """stderr, as a stream that never fails."""

    def write(self, text: str) -> None:
        """Writes at once. If that fails, discards this text and all that follows."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)

    def flush(self) -> None:
        """Does nothing: `write` does not buffer."""

    def isatty(self) -> bool:
        """True for a terminal."""
        return sys.stderr.isatty()
