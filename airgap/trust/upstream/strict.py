"""Reading what strangers wrote: JSON, base64 and PEM in one spelling only. What does not fit is a `Refusal`."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from airgap.errors import IntegrityError, TrustError
from airgap.graph import parse_json
from airgap.trust.fields import Fields
from airgap.trust.upstream.record import Refusal

MAX_INT64 = 2**63 - 1
"""The largest number that protobuf's JSON carries (as a string, because it is more than JSON keeps exact)."""
_WHOLE = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")
_PEM = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n?-----END CERTIFICATE-----\s*"
)


def parse(data: bytes, where: str, reason: str) -> Any:
    """Any JSON value. Raises `Refusal`: `duplicate-key`, and `reason` for all else that is not strict JSON."""
    try:
        return parse_json(data, where)
    except IntegrityError as error:
        twice = "occurs twice" in error.what
        raise Refusal("duplicate-key" if twice else reason, error.what) from error


def fields(
    value: Any,
    names: AbstractSet[str],
    where: str,
    reason: str,
    maybe: AbstractSet[str] = frozenset(),
) -> Fields:
    """An object with all of `names`, perhaps those of `maybe`, and no other; used within `refusing`.

    A null stands for a field that is not there, as in protobuf's JSON mapping.
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
    """Standard base64 in the one way to write these bytes (RFC 4648 §3.5). Raises `Refusal`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(reason, f"{where}: not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Refusal(reason, f"{where}: not base64 as it should be written")
    return data


def whole(values: Fields, name: str) -> int:
    """An int64 of protobuf's JSON, from 0 up: a string or a number, 0 where it is left out."""
    value = values.values.get(name, 0)
    if isinstance(value, str) and _WHOLE.match(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INT64:
        raise values.refuse(f"{values.at(name)}: got {value!r:.60}, expected a whole number")
    return value


def sequence(values: Fields, name: str, limit: int) -> list[Any]:
    """A list of at most `limit`, empty where it is left out. Raises `Refusal` (`too-many`)."""
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
            raise Refusal("bad-certificate", f"{where}: not certificates in PEM")
        found.append(unbase64("".join(block[1].split()), where, "bad-certificate"))
        at = block.end()
        if len(found) > limit:
            raise Refusal("too-many", f"{where}: more than {limit} certificates")
    return tuple(found)
