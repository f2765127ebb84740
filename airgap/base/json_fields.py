"""Reads parsed JSON strictly: no missing field, no unknown field, no field of another type."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.base.strict_json import Refuse, parse_json
from airgap.base.times import utc_time

MAX_NUMBER = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact (RFC 7493 §2.2)."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def plain_complaint(text: str, most: int) -> str:
    """Why `text` is not one line of 1 to `most` characters, none of which is a control character; `""` if it is."""
    if not 1 <= len(text) <= most:
        return f"got {len(text)} characters, expected 1 to {most}"
    found = _CONTROL.search(text)
    return f"got control character U+{ord(found[0]):04X}, expected plain text" if found else ""


def unbase64(text: str) -> bytes:
    """Decodes standard base64, in the only valid spelling of the bytes (RFC 4648 §3.5: no stray bits).

    Only the end is encoded again to compare: everything before it has one spelling, and texts may have many MiB.
    Raises `ValueError`.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise ValueError("not base64") from error
    end = len(data) % 3 or 3
    if len(text) != -(-len(data) // 3) * 4 or base64.b64encode(data[-end:]).decode() != text[-4:]:
        raise ValueError("not canonical base64")
    return data


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object with exactly the allowed names. `where` is its place in the document."""

    values: Mapping[str, Any]
    where: str
    refuse: Refuse

    @classmethod
    def parse(
        cls,
        data: bytes,
        names: AbstractSet[str],
        where: str,
        refuse: Refuse,
        maybe: AbstractSet[str] = frozenset(),
    ) -> Fields:
        """Reads `data` as one JSON object with all of `names`, perhaps those of `maybe`, no other."""
        return cls.of(parse_json(data, where, refuse), names, where, refuse, maybe)

    @classmethod
    def of(
        cls,
        value: Any,
        names: AbstractSet[str],
        where: str,
        refuse: Refuse,
        maybe: AbstractSet[str] = frozenset(),
    ) -> Fields:
        """The same for a value that was parsed already."""
        if not isinstance(value, dict):
            raise refuse(f"{where}: got {_type(value)}, expected an object")
        keys = value.keys()
        if not names <= keys:
            raise refuse(f"{where}: {min(names - keys)} is missing")
        # Usually there is nothing more, and a lock has a hundred thousand objects.
        if len(keys) > len(names) and (unknown := sorted(keys - names - maybe)):
            raise refuse(f"{where}: unknown field {unknown[0]!r:.80}")
        return cls(value, where, refuse)

    def at(self, name: str) -> str:
        """For errors: where the field `name` is."""
        return f"{self.where}: {name}"

    def has(self, name: str) -> bool:
        """True when the field is there."""
        return name in self.values

    def text(self, name: str, most: int = 0) -> str:
        """A string; with `most`, of 1 to `most` characters, none of which is a control character."""
        return self._text(self.values[name], self.at(name), most)

    def texts(self, name: str, most: int) -> list[str]:
        """A list of strings, each of which is as in `text`."""
        return [self._text(value, f"{self.at(name)}[{index}]", most) for index, value in enumerate(self.items(name))]

    def exactly(self, name: str, expected: str) -> None:
        """A string that must be `expected`."""
        self.choice(name, frozenset({expected}))

    def choice(self, name: str, allowed: AbstractSet[str]) -> str:
        """One of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            wanted = " or ".join(sorted(allowed))
            raise self.refuse(f"{self.at(name)}: got {value[:200]!r}, expected {wanted}")
        return value

    def maybe_text(self, name: str) -> str | None:
        """A string or null."""
        return None if self.values[name] is None else self.text(name)

    def number(self, name: str) -> int:
        """A whole number from 0 to 2^53 - 1."""
        value = self.values[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
            raise self.refuse(f"{self.at(name)}: got {value!r:.60}, expected a whole number")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.values[name]
        if not isinstance(value, bool):
            raise self.refuse(f"{self.at(name)}: got {_type(value)}, expected true or false")
        return value

    def digest(self, name: str) -> Digest:
        """A `sha256:` digest."""
        try:
            return Digest(self.text(name))
        except IntegrityError as error:
            raise self.refuse(f"{self.where}: {name}: {error.what}") from error

    def digests(self, name: str) -> list[Digest]:
        """A list of digests."""
        refuse = self.refuse
        return [
            Fields({"digest": value}, f"{self.at(name)}[{index}]", refuse).digest("digest")
            for index, value in enumerate(self.items(name))
        ]

    def maybe_digest(self, name: str) -> Digest | None:
        """A digest or null."""
        return None if self.values[name] is None else self.digest(name)

    def time(self, name: str) -> datetime:
        """A time, as `airgap.base.times` writes it."""
        try:
            return utc_time(self.values[name])
        except ValueError as error:
            raise self.refuse(f"{self.at(name)}: {error}") from error

    def binary(self, name: str) -> bytes:
        """Base64, in the one way to write these bytes (RFC 4648 §3.5: no stray bits)."""
        try:
            return unbase64(self.text(name))
        except ValueError as error:
            raise self.refuse(f"{self.at(name)}: {error}") from error

    def items(self, name: str) -> list[Any]:
        """A list, not looked into."""
        value = self.values[name]
        if not isinstance(value, list):
            raise self.refuse(f"{self.at(name)}: got {_type(value)}, expected a list")
        return value

    def inner(self, name: str, names: AbstractSet[str], maybe: AbstractSet[str] = frozenset()) -> Fields:
        """An object with exactly these names."""
        return Fields.of(self.values[name], names, self.at(name), self.refuse, maybe)

    def each(self, name: str, names: AbstractSet[str], maybe: AbstractSet[str] = frozenset()) -> list[Fields]:
        """A list of objects, each with exactly these names."""
        return [
            Fields.of(value, names, f"{self.at(name)}[{index}]", self.refuse, maybe)
            for index, value in enumerate(self.items(name))
        ]

    def named(self, name: str, names: AbstractSet[str]) -> dict[str, Fields]:
        """A map from free names to objects, each with exactly these fields."""
        value = self.values[name]
        if not isinstance(value, dict):
            raise self.refuse(f"{self.at(name)}: got {_type(value)}, expected an object")
        return {
            key: Fields.of(inner, names, f"{self.at(name)}: {key!r:.80}", self.refuse) for key, inner in value.items()
        }

    def _text(self, value: Any, where: str, most: int) -> str:
        if not isinstance(value, str):
            raise self.refuse(f"{where}: got {_type(value)}, expected a string")
        if most and (wrong := plain_complaint(value, most)):
            raise self.refuse(f"{where}: {wrong}")
        return value


def _type(value: Any) -> str:
    return "null" if value is None else type(value).__name__
