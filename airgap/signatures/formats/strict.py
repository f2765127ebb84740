"""Reads what strangers wrote: JSON, base64 and PEM, in one spelling only. Anything else is a `Refusal`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from airgap.base.errors import TrustError
from airgap.base.json_fields import Fields
from airgap.base.json_fields import unbase64 as decoded
from airgap.base.strict_json import (
    Hook,
    RepeatedKeyError,
    check_depth,
    check_unicode,
    decode_json,
    strict_decoder,
    unique,
)
from airgap.signatures.record import Refusal

MAX_INT64 = 2**63 - 1
"""The largest number that protobuf's JSON carries (as a string, because JSON does not keep it exact)."""
MAX_VALUES = 2_000_000
"""Members and elements of one document: SBOMs have 50,000 for each of their MiB."""
_SPACE = re.compile(r"[ \t\n\r]*")
_WHOLE = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")
_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n?-----END CERTIFICATE-----\s*")


def parse(data: bytes, where: str, reason: str, hook: Hook = unique) -> Any:
    """Parses any JSON value; `hook` as for `decode_json`.

    Raises `Refusal`: `duplicate-key`, `too-many`, and `reason` for anything else that is not strict JSON.
    """
    _count(data, where)
    try:
        return decode_json(data, hook)
    except ValueError as error:
        raise _not_json(error, where, reason) from error


def outline(data: bytes, where: str, reason: str, unheld: str) -> dict[str, Any]:
    """Parses a JSON object as `parse` does, but if the member `unheld` is an object, it is checked and not kept.

    An SBOM takes five times its bytes as objects, and the members around it say whose it is. Raises as `parse` does.
    """
    _count(data, where)
    try:
        text = data.decode("utf-8")
        check_unicode(text)
        made = _members(text, unheld)
        check_depth(made)
    except (ValueError, RecursionError) as error:
        raise _not_json(error, where, reason) from error
    return made


def _members(text: str, unheld: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    at = _space(text, 0)
    more = text[at : at + 1] == "{"
    if not more:
        raise ValueError("expected an object")
    at = _space(text, at + 1)
    if text[at : at + 1] == "}":
        more, at = False, at + 1
    while more:
        if text[at : at + 1] != '"':
            raise ValueError(f"expected a key: char {at}")
        key, at = _KEEPING.raw_decode(text, at)
        at = _space(text, at)
        if text[at : at + 1] != ":":
            raise ValueError(f"expected ':': char {at}")
        if key in made:
            raise RepeatedKeyError("a key occurs twice")
        start = _space(text, at + 1)
        decoder = _CHECKING if key == unheld else _KEEPING
        value, at = decoder.raw_decode(text, start)
        made[key] = {} if key == unheld and text[start] == "{" else value
        at = _space(text, at)
        more = text[at : at + 1] == ","
        if not more and text[at : at + 1] != "}":
            raise ValueError(f"expected ',' or '}}': char {at}")
        at = _space(text, at + 1) if more else at + 1
    if _space(text, at) != len(text):
        raise ValueError(f"more than one value: char {at}")
    return made


def _space(text: str, at: int) -> int:
    """The position after the white space that begins at `at`."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _nothing(items: list[tuple[str, Any]]) -> None:
    """Checks an object against the rules, and keeps nothing of it."""
    unique(items)


_KEEPING = strict_decoder()
_CHECKING = strict_decoder(_nothing)


def _count(data: bytes, where: str) -> None:
    """Refuses what would take many times its bytes in memory: `[[],[],…`. Those inside strings count too."""
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Refusal("too-many", f"{where}: more than {MAX_VALUES} values")


def _not_json(error: Exception, where: str, reason: str) -> Refusal:
    code = "duplicate-key" if isinstance(error, RepeatedKeyError) else reason
    return Refusal(code, f"{where}: not valid JSON: {error}")


def fields(
    value: Any,
    names: AbstractSet[str],
    where: str,
    reason: str,
    maybe: AbstractSet[str] = frozenset(),
) -> Fields:
    """An object with all of `names`, optionally those of `maybe`, and no others; used within `refusing`.

    A null means that the field is missing, as in protobuf's JSON mapping.
    """
    if isinstance(value, Mapping):
        value = {key: one for key, one in value.items() if one is not None}
    return Fields.of(value, names, where, lambda what: TrustError(reason, what), maybe)


@contextmanager
def refusing() -> Iterator[None]:
    """Turns what `Fields` raises into a `Refusal`."""
    try:
        yield
    except TrustError as error:
        raise Refusal(error.code, error.what) from error


def unbase64(text: str, where: str, reason: str) -> bytes:
    """Decodes standard base64, in the only valid spelling of these bytes. Raises `Refusal`."""
    try:
        return decoded(text)
    except ValueError as error:
        raise Refusal(reason, f"{where}: {error}") from error


def whole(values: Fields, name: str) -> int:
    """An int64 of protobuf's JSON, not negative: a string or a number, 0 if it is missing."""
    value = values.values.get(name, 0)
    if isinstance(value, str) and _WHOLE.match(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INT64:
        raise values.refuse(f"{values.at(name)}: got {value!r:.60}, expected a whole number")
    return value


def sequence(values: Fields, name: str, limit: int) -> list[Any]:
    """A list of at most `limit` elements, empty if it is missing. Raises `Refusal` (`too-many`)."""
    if not values.has(name):
        return []
    found = values.items(name)
    if len(found) > limit:
        raise Refusal("too-many", f"{values.at(name)}: got {len(found)}, expected at most {limit}")
    return list(found)


def pem_certificates(text: str, where: str, limit: int) -> tuple[bytes, ...]:
    """The certificates of a PEM text (RFC 7468), DER, with nothing between them. Raises `Refusal`."""
    found: list[bytes] = []
    at = 0
    while at < len(text):
        block = _PEM.match(text, at)
        if block is None:
            raise Refusal("bad-certificate", f"{where}: not PEM certificates")
        found.append(unbase64("".join(block[1].split()), where, "bad-certificate"))
        at = block.end()
        if len(found) > limit:
            raise Refusal("too-many", f"{where}: more than {limit} certificates")
    return tuple(found)
