"""What airgap changes in its own process: at start-up, here, and nowhere else.

Library code leaves the process as its caller made it. A test holds every other module to that
(`tests/unit/test_process.py`).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

JUDGES = frozenset({"scan", "verify-image"})
"""Commands that read attestations, of which one may have 48 MiB."""
_BLOCK = 1 << 20
"""Bytes from which on a block that is freed goes back to the system."""
_M_MMAP_THRESHOLD = -3
"""mallopt(3)."""


def prepare(command: str) -> None:
    """Sets up the process for a command, before the command's own modules are imported."""
    _quiet_libraries()
    if command in JUDGES:
        _return_blocks()


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM (a stopped systemd unit or pod) ends like Ctrl-C: safe, and with the command that resumes."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _quiet_libraries() -> None:
    """stderr is for people, and what another side sent must not write to it."""
    import logging
    import warnings

    # urllib3 warns about connections that it repairs, python-tuf about each step: what matters is raised.
    for library in ("urllib3", "tuf"):
        logging.getLogger(library).setLevel(logging.ERROR)
    # cryptography warns about certificates of strangers. We refuse what it warns about, or it does not matter.
    for message in ("Parsed a serial number", "Attribute's length must be"):
        warnings.filterwarnings("ignore", message, UserWarning)


def _return_blocks() -> None:
    """Makes glibc return large blocks: otherwise every thread keeps the largest that it ever had.

    Only for commands that judge: elsewhere it costs time for each piece of 1 MiB, and saves nothing.
    """
    import ctypes

    with contextlib.suppress(AttributeError, OSError):  # other C libraries have no such call, and do not need it
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BLOCK)
