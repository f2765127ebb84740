"""Our standard streams: what a reader that went away, a full disk or a closed descriptor means.

stdout has the result. Whoever stops reading it (`airgap ls … | head`) has read enough: that is no failure, and changes
no exit code. A result that could not be written anywhere is one. stderr has what people may want to know: that it
cannot be written is nobody's failure, and stops no work.
"""

from __future__ import annotations

import io
import os
import sys

from airgap.base.errors import StoreError


def settle() -> None:
    """Opens those of the three descriptors that were closed, so that no file of ours gets the number of one.

    A closed stdout stays a stream that cannot be written to.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be UTF-8, nor need the terminal be.
        sys.stdout.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Writes to stdout. Raises `StoreError` (`output`) when that cannot be done and somebody waits for it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop()
    except OSError as error:
        _drop()
        raise StoreError(
            "output",
            f"stdout: the result could not be written: {error.strerror}",
            "what the command does was done or found; only its report is lost: see where stdout leads",
        ) from error


def _drop() -> None:
    """What is still buffered, and all that follows, goes nowhere: the interpreter flushes once more at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


_HIDDEN = {
    code: f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n"
}
"""What moves a terminal's cursor, colours it or turns its letters round. Names of strangers may have it in them."""


def visible(text: str) -> str:
    """A text for people, with nothing in it that a terminal would obey: each such character is spelled out."""
    return text.translate(_HIDDEN)


class Messages:
    """stderr, as a stream that never fails."""

    def write(self, text: str) -> None:
        """Writes at once, or not at all."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        """Whether people look at it as it comes."""
        return sys.stderr.isatty()
