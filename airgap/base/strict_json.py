"""The one way to read JSON that somebody else wrote, or that may be damaged.

UTF-8 alone (RFC 8259 §8.1), no key twice, no NaN, no number that has no double (RFC 7493 §2.2), one value and nothing
behind it, and no deeper than Python's own limit. How many bytes are read is bounded by whoever reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

from airgap.base.errors import AirgapError, IntegrityError

Hook = Callable[[list[tuple[str, Any]]], Any]
"""Makes what stands for an object out of its members, inner objects first; it calls `unique`."""
Refuse = Callable[[str], AirgapError]
"""Makes the error to raise out of what is wrong."""


class RepeatedKeyError(ValueError):
    """An object has a key twice: two readers may take different ones."""


def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """A parsed JSON object, as `object_pairs_hook`. Raises `RepeatedKeyError`."""
    made = dict(items)
    if len(made) != len(items):
        raise RepeatedKeyError("a key occurs twice")
    return made


@cache
def strict_decoder(hook: Hook = unique) -> json.JSONDecoder:
    """The decoder behind `decode_json`, for who reads a text in parts. Raises `ValueError`, `RecursionError`."""
    return json.JSONDecoder(
        object_pairs_hook=hook, parse_constant=_no_constant, parse_float=_fraction, parse_int=_integer
    )


def decode_json(data: bytes, hook: Hook = unique) -> Any:
    """The value that `data` is. Raises `ValueError`: `RepeatedKeyError` for a key that occurs twice."""
    # Decoded here: given bytes, json guesses UTF-16 and UTF-32 too, and lets lone surrogates pass.
    text = data.decode("utf-8")
    try:
        return strict_decoder(hook).decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def damaged_json(what: str) -> AirgapError:
    """The refusal of JSON that came with a digest or out of a store."""
    hint = "it is damaged, or something else than it should be: get it again from where it came"
    return IntegrityError("bad-json", what, hint)


def parse_json(data: bytes, what: str, refuse: Refuse = damaged_json) -> Any:
    """The same, with an error that says `what` was read. Raises what `refuse` makes: `IntegrityError` (`bad-json`)."""
    try:
        return decode_json(data)
    except ValueError as error:
        raise refuse(f"{what}: not valid JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _fraction(text: str) -> float:
    """A number as every reader of JSON can hold it: Go's refuses what has no double."""
    if not math.isfinite(value := float(text)):
        raise ValueError("a number is out of range")
    return value


def _integer(text: str) -> int:
    if len(text) > 300:
        _fraction(text)
    return int(text)
