"""Reads JSON in files of models: strictly, and only if it has no more values than memory is there for."""

from __future__ import annotations

from typing import Any

from airgap.base.strict_json import decode_json

MAX_VALUES = 1_500_000
"""Values of a document: 150 MB of memory at most. A header of 100,000 tensors has 800,000."""


def read_document(data: bytes) -> Any:
    """The value. Raises `ValueError`."""
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")
    return decode_json(data)
