"""What the parts of AIRGAP.json are read with: names of files, and fields that are exactly what they must be.

Everything here raises `ValueError`, `TypeError` or `KeyError` with a plain text, which `index_errors` maps.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airgap.base.errors import AirgapError, IntegrityError, TrustError
from airgap.base.json_fields import MAX_NUMBER, plain_complaint
from airgap.content.lock import MAX_ITEM_NAME

INDEX_NAME = "AIRGAP.json"
CUT_AGAIN = "have the delivery cut again"
"""The next step if the delivery itself is wrong."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class FileSum:
    """A file of the delivery: name, sha256 (64 hex digits) and size in bytes."""

    name: str
    sha256: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"name": self.name, "sha256": self.sha256, "size": self.size}


@contextmanager
def index_errors() -> Iterator[None]:
    """Maps what the readers of the parts raise to `IntegrityError` (`bad-index`). `TrustError` passes as it is."""
    try:
        yield
    except (IntegrityError, TrustError):
        raise
    except (AirgapError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = error.what if isinstance(error, AirgapError) else f"{type(error).__name__}: {error}"
        raise IntegrityError("bad-index", f"{INDEX_NAME}: {why}") from error


def check_spelling(data: bytes, written: bytes) -> None:
    """Raises `IntegrityError` (`bad-index`) unless AIRGAP.json is spelled as airgap writes it."""
    if written != data:
        raise IntegrityError("bad-index", f"{INDEX_NAME}: the bytes differ from what airgap writes")


def check_fields(value: Any, names: str, optional: Collection[str] = ()) -> None:
    """Raises `IntegrityError` (`bad-index`) unless `value` is an object with `names`, and no others than `optional`."""
    if not isinstance(value, dict):
        raise TypeError(f"got {type(value).__name__}, expected an object with {names}")
    odd = sorted(set(value) - set(optional) ^ set(names.split()))
    if odd:
        raise IntegrityError("bad-index", f"{INDEX_NAME}: unknown or missing field {odd[0]!r:.80}")


def as_number(value: Any) -> int:
    """A whole number from 0 to 2^53 - 1."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"got {value!r:.80}, expected a whole number from 0 to {MAX_NUMBER}")
    return value


def as_text(value: Any) -> str:
    """A text of 1 to 512 characters, without a control character."""
    if not isinstance(value, str):
        raise ValueError(f"got {value!r:.80}, expected a string")
    if wrong := plain_complaint(value, MAX_ITEM_NAME):
        raise ValueError(f"{value!r:.80}: {wrong}")
    return value


def as_sum(value: Any, expected_name: str) -> FileSum:
    """The file that must have this name."""
    check_fields(value, "name sha256 size")
    if value["name"] != expected_name:
        raise ValueError(f"file name: got {value['name']!r:.80}, expected {expected_name!r}")
    return FileSum(expected_name, as_hex(value["sha256"], f" of {expected_name}"), as_number(value["size"]))


def as_hex(value: Any, of: str = "") -> str:
    """A sha256 in 64 hex digits."""
    if not _HEX.match(as_text(value)):
        raise ValueError(f"sha256{of}: got {value!r:.80}, expected 64 hex digits")
    return str(value)
