"""Classes whose fields are declared once, with words: JSON, its schema and its page in docs/reference come of that."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from airgap.base.digest import Digest
from airgap.base.times import utc_text

DIGEST_PATTERN = "^sha256:[0-9a-f]{64}$"


def json_name(name: str) -> str:
    """`signed_at` → `signedAt`."""
    first, *rest = name.split("_")
    return first + "".join(one.capitalize() for one in rest)


def as_json(value: Any) -> Any:
    """A declared object as JSON. Every field is there: a text without a value is empty, everything else is `null`."""
    if is_dataclass(value) and not isinstance(value, type):
        return {json_name(one.name): as_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, Mapping):
        return {str(name): as_json(one) for name, one in sorted(value.items())}
    if isinstance(value, tuple):
        return [as_json(one) for one in value]
    return str(value) if isinstance(value, Digest | StrEnum) else value


@dataclass(frozen=True, slots=True)
class DeclaredField:
    """One field: its name in JSON, its JSON Schema, its type for people, and what it means."""

    name: str
    schema: dict[str, Any]
    type: str
    words: str


def declared(of: type) -> list[DeclaredField]:
    """The fields of a declared class, in their order. Each is annotated with its words."""
    hints = get_type_hints(of, include_extras=True)
    return [_declared(one.name, *get_args(hints[one.name])) for one in fields(of)]


def _declared(name: str, hint: Any, words: str) -> DeclaredField:
    return DeclaredField(json_name(name), {**_schema(hint), "description": words}, type_words(hint), words)


def type_words(hint: Any) -> str:
    """A type for people: `text`, `list of ReportItem`, `digest or null`, `one of pass, fail`."""
    if isinstance(hint, types.UnionType):
        inner = next(one for one in get_args(hint) if one is not type(None))
        return f"{type_words(inner)} or null"
    origin = get_origin(hint)
    if origin is tuple:
        return f"list of {type_words(get_args(hint)[0])}"
    if origin is not None:
        return f"object, each {type_words(get_args(hint)[1])}"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "one of " + ", ".join(f"`{one}`" for one in hint)
    return _NAMES.get(hint, f"`{getattr(hint, '__name__', hint)}`")


def object_schema(of: type) -> dict[str, Any]:
    """The JSON Schema of a declared class."""
    found = declared(of)
    return {
        "type": "object",
        "description": (of.__doc__ or "").split("\n")[0],
        "additionalProperties": False,
        "required": [one.name for one in found],
        "properties": {one.name: one.schema for one in found},
    }


def _schema(hint: Any) -> dict[str, Any]:
    if isinstance(hint, types.UnionType):
        inner = next(one for one in get_args(hint) if one is not type(None))
        return {"anyOf": [_schema(inner), {"type": "null"}]}
    origin = get_origin(hint)
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(get_args(hint)[1])}
    if is_dataclass(hint) and isinstance(hint, type):
        return object_schema(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [str(one) for one in hint]}
    return _PLAIN[hint]


_PLAIN: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer", "minimum": 0},
    bool: {"type": "boolean"},
    Digest: {"type": "string", "pattern": DIGEST_PATTERN},
    datetime: {"type": "string", "format": "date-time"},
}
_NAMES = {str: "text", int: "number", bool: "true or false", Digest: "digest", datetime: "time"}
