"""Canonical JSON (RFC 8785): the bytes of locks and of everything else that is signed or hashed by us."""

from __future__ import annotations

from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """The one byte string of a JSON value. Raises `ValueError` for what JSON cannot hold."""
    return rfc8785.dumps(value)
