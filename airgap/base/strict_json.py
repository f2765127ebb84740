"""The one way to read JSON that another program wrote, or that may be damaged.

Accepts only UTF-8 (RFC 8259 §8.1), one value with nothing after it, and nesting up to `MAX_DEPTH`. Refuses
repeated keys, NaN, numbers that no double can represent, and text that is not Unicode (RFC 7493 §2.1 and §2.2). The
caller limits the number of bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from airgap.base.errors import AirgapError, IntegrityError

Hook = Callable[[list[tuple[str, Any]]], Any]
"""Converts the members of an object to its value, inner objects first. It must call `unique`."""
Refuse = Callable[[str], AirgapError]
"""Returns the error to raise, given a text that says what is wrong."""


MAX_DEPTH = 100
"""Levels of objects and lists. Python parses more, but what writes or shows the value afterwards would fail."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F])|\\.", re.DOTALL)
"""Each escape, from left to right; one that is half of a pair is group 1."""


class RepeatedKeyError(ValueError):
    """An object has a key twice: two readers may use different values."""


def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """A parsed JSON object; for use as `object_pairs_hook`. Raises `RepeatedKeyError`."""
    made = dict(items)
    if len(made) != len(items):
        raise RepeatedKeyError("a key occurs twice")
    return made


@cache
def strict_decoder(hook: Hook = unique) -> json.JSONDecoder:
    """The decoder that `decode_json` uses, for text read in parts. Raises `ValueError`, `RecursionError`."""
    return json.JSONDecoder(
        object_pairs_hook=hook, parse_constant=_no_constant, parse_float=_fraction, parse_int=_integer
    )


def decode_json(data: bytes, hook: Hook = unique) -> Any:
    """The JSON value in `data`. Raises `ValueError`: for a repeated key, its subclass `RepeatedKeyError`."""
    # Decoded here: with bytes, json also guesses UTF-16 and UTF-32, and accepts lone surrogates.
    text = data.decode("utf-8")
    check_unicode(text)
    try:
        value = strict_decoder(hook).decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(value)
    return value


def check_unicode(text: str) -> None:
    r"""Refuses half of a surrogate pair, which only an escape can write: no encoder takes it. Raises `ValueError`.

    JSON has backslashes in strings only.
    """
    if _SURROGATE.search(text) and any(escape[1] for escape in _ESCAPE.finditer(text)):
        raise ValueError("half of a surrogate pair is not text")


def check_depth(value: Any) -> None:
    """Refuses a parsed value with more than `MAX_DEPTH` levels. Raises `ValueError`."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def damaged_json(what: str) -> AirgapError:
    """The error for JSON that came with a digest or out of a store."""
    hint = "it is damaged or is not the expected file; get it again from its source"
    return IntegrityError("bad-json", what, hint)


def parse_json(data: bytes, what: str, refuse: Refuse = damaged_json) -> Any:
    """Like `decode_json`, with errors that name the document (`what`).

    Raises the error that `refuse` returns: by default `IntegrityError` (`bad-json`).
    """
    try:
        return decode_json(data)
    except ValueError as error:
        raise refuse(f"{what}: not valid JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _fraction(text: str) -> float:
    """A number that every reader of JSON can represent: Go's refuses numbers out of the range of a double."""
    if not math.isfinite(value := float(text)):
        raise ValueError("a number is out of range")
    return value


def _integer(text: str) -> int:
    if len(text) > 300:
        _fraction(text)
    return int(text)
