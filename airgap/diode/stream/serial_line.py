"""Serial lines: raw bytes, eight bits, no parity, no flow control, because that would need a way back."""

from __future__ import annotations

import os
import stat
import termios
from pathlib import Path

from airgap.base.disk import disk_error
from airgap.base.errors import InputError

DEFAULT_BAUD = 115200


def open_line(path: Path, baud: int) -> int:
    """The descriptor of a serial line. Raises `InputError` (`bad-road`), `StoreError` (`no-permission`, …)."""
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        known = sorted(int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdecimal())
        raise InputError("bad-road", f"serial:{path}: no line has {baud} baud", f"use one of {known[-12:]}")
    try:
        if not stat.S_ISCHR(os.stat(path).st_mode):
            raise InputError("bad-road", f"serial:{path} is not a device", "name a serial line, such as /dev/ttyS0")
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        _make_raw(fd, speed)
    except termios.error as error:
        os.close(fd)
        hint = "name a serial line, such as /dev/ttyS0"
        raise InputError("bad-road", f"serial:{path} is not a serial line: {error}", hint) from error
    return fd


def _make_raw(fd: int, speed: int) -> None:
    """Sets the line. Source: termios(3), cfmakeraw, with CLOCAL, and without CRTSCTS and IXON."""
    chars = termios.tcgetattr(fd)[6]
    chars[termios.VMIN], chars[termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0, speed, speed, chars])
