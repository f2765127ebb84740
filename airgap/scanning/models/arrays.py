"""Reads the header of a NumPy file. An array of objects is a pickle behind a header.

Source: numpy/lib/format.py ("Format Version 1.0" and later). The header is a Python literal there; here it is matched
by an expression, because Python's own parser needs much memory for little text.
"""

from __future__ import annotations

import re

from airgap.scanning.models.blob import Blob
from airgap.scanning.models.rules import Report

MAGIC = b"\x93NUMPY"
MAX_HEADER = 1 << 16
"""Bytes of a header: NumPy itself refuses more than 10,000 characters."""

_HEADER = re.compile(
    r"\{'descr': (?P<descr>'[^'\\]{1,64}'|\[[^\n\\]*\]), 'fortran_order': (?:True|False), "
    r"'shape': \((?P<shape>[0-9L, ]{0,400})\),? ?\}[ ]*\n?\Z"
)
_TYPE = re.compile(r"[<>|=]?([a-zA-Z?])(\d{0,9})(?:\[\w+\])?\Z")
_NAMED = re.compile(r"'[^'\\]*'")


def check_array(blob: Blob, report: Report) -> int | None:
    """Reports a header that cannot be read; where the pickle of an array of objects begins, `None` if it has none."""
    head = blob.read(0, 12)
    version = head[6:7]
    size, start = (2, 10) if version == b"\x01" else (4, 12)
    length = int.from_bytes(head[8 : 8 + size], "little")
    if version not in (b"\x01", b"\x02", b"\x03") or not 0 < length <= min(MAX_HEADER, blob.size - start):
        report("numpy-header", f"version {version.hex()}, and a header of {length} bytes")
        return start + length if start + length < blob.size else None
    text = blob.read(start, length).decode("utf-8", "replace")
    found = _HEADER.match(text)
    if found is None:
        report("numpy-header", text)
        return start + length
    descr = found["descr"]
    if descr.startswith("'"):
        kind = _TYPE.match(descr[1:-1])
        if kind is None or kind[1] == "O":
            return start + length
        _check_size(blob.size - start - length, kind[1], int(kind[2] or 1), found["shape"], report)
        return None
    names = (name[1:-1] for name in _NAMED.findall(descr))
    return start + length if any(re.fullmatch(r"[|<>=]?O\d?", name) for name in names) else None


def _check_size(left: int, kind: str, width: int, shape: str, report: Report) -> None:
    count = 1
    for number in re.findall(r"\d+", shape):
        count *= int(number[:20])
    expected = count * width * (4 if kind == "U" else 1)
    if expected != left:
        report("numpy-header", f"an array of {min(expected, 1 << 63)} bytes, and {left} are there")
