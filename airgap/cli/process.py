"""The changes that airgap makes to its own process: at start-up, here, and nowhere else.

Library code leaves the process as its caller set it up. A test enforces that for every other module
(`tests/unit/test_process.py`).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

JUDGES = frozenset({"scan", "verify-image"})
"""Commands that read attestations, each of which may have up to 48 MiB."""
_BLOCK = 1 << 20
"""Bytes: a freed block of at least this size is returned to the system."""
_M_MMAP_THRESHOLD = -3
"""mallopt(3)."""


def prepare(command: str) -> None:
    """Sets up the process for a command, before the command's own modules are imported."""
    _quiet_libraries()
    if command in JUDGES:
        _return_blocks()


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM (a stopped systemd unit or pod) ends the command like Ctrl-C: safely, and shows how to resume."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _quiet_libraries() -> None:
    """Silences libraries: stderr is for people, and data from outside must not write to it."""
    import logging
    import warnings

    # urllib3 warns about connections that it repairs, python-tuf about each step. Anything that matters is raised.
    for library in ("urllib3", "tuf"):
        logging.getLogger(library).setLevel(logging.ERROR)
    # cryptography warns about certificates from outside. What it warns about is refused later, or does not matter.
    for message in ("Parsed a serial number", "Attribute's length must be"):
        warnings.filterwarnings("ignore", message, UserWarning)


def _return_blocks() -> None:
    """Makes glibc return large blocks to the system: otherwise every thread keeps the largest that it ever had.

    Only for commands that judge: elsewhere it costs time for each piece of 1 MiB, and saves nothing.
    """
    import ctypes

    with contextlib.suppress(AttributeError, OSError):  # other C libraries lack this call, and do not need it
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BLOCK)
