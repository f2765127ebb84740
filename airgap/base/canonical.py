"""Canonical JSON (RFC 8785): the bytes of locks and of everything else that airgap signs or hashes."""

from __future__ import annotations

from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """The one byte string that represents a JSON value. Raises `ValueError` for a value that JSON cannot represent."""
    return rfc8785.dumps(value)
