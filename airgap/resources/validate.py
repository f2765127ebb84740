"""Validates a document against its JSON Schema, and explains each mistake.

The schemas contain the words: a `title` is the noun phrase after "expected", also in the branches of a `oneOf`.
Source: JSON Schema 2020-12, Core and Validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from airgap.resources.catalog import schema
from airgap.resources.document import Document
from airgap.resources.fields import Table
from airgap.resources.problems import (
    MAX_SHOWN,
    Found,
    Number,
    Problem,
    Steps,
    describe,
    listed,
    nearest,
    quoted,
    spell,
)

MAX_FOUND = 1000
"""The most mistakes collected from one document: a file of another format would give one for each of its nodes."""


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, Number) and value.whole
    ),
)
"""The numbers of a document are kept as they are written. `WholeNumber` compares them with its limits."""


def mistakes(document: Document, kind: str) -> list[Found]:
    """The mistakes of a document of `kind`."""
    errors = _validator(kind, Table.changes).iter_errors(document.value)
    return list(islice((found for error in errors for found in _words(error, document)), MAX_FOUND))


@cache
def _validator(kind: str, _changes: int) -> Any:
    """`_changes` counts the changes of all tables, so that no validator is older than a table."""
    return _Validator(schema(kind))


def _words(error: ValidationError, document: Document) -> Iterator[Found]:
    steps = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield _bad_key(error, document, steps)
        return
    handler = _HANDLERS.get(str(error.validator), _unfit)
    yield from handler(error, document, steps)


def _bad_key(error: ValidationError, document: Document, steps: Steps) -> Found:
    key = str(error.instance)
    at = (*steps, key)
    hint = _without_scheme(key)
    text = f"{spell(steps)}: key {quoted(key)}, expected {_title(error)}{hint}"
    return at, Problem(document.key_mark(at), text)


def _without_scheme(key: str) -> str:
    bare = key.rpartition("://")[2].rpartition("@")[2].rstrip("/")
    bare = bare if "://" in key else bare.lower()
    return f"; write {quoted(bare)}" if bare and bare != key else ""


def _unknown(error: ValidationError, document: Document, steps: Steps) -> Iterator[Found]:
    known = list(error.schema.get("properties", {}))  # type: ignore[union-attr]
    # A map with a misspelt required field cannot be used. Any other unknown field can be ignored here.
    needed = known if "oneOf" in error.schema else error.schema.get("required", ())  # type: ignore[operator,union-attr]
    for key in error.instance:  # type: ignore[union-attr]
        if key in known:
            continue
        at = (*steps, key)
        word = nearest(key, known)
        if key in ("password", "token", "secret", "secretKey", "accessKey") and f"{key}File" in known:
            text = f"unknown field; write the secret to a file, and name that file in '{key}File'"
        elif word:
            text = f"unknown field, did you mean '{word}'?"
        else:
            text = f"unknown field; the fields here are {listed(known, 'and')}"
        yield steps if word in needed else (), Problem(document.key_mark(at), f"{spell(at)}: {text}")


def _missing(error: ValidationError, document: Document, steps: Steps) -> Iterator[Found]:
    for name in error.validator_value:  # type: ignore[union-attr]
        if name not in error.instance and name not in _meant(error):  # type: ignore[operator]
            title = error.schema["properties"][name]["title"]  # type: ignore[index]
            yield steps, Problem(document.mark(steps), f"{spell((*steps, name))}: missing, expected {title}")


def _meant(error: ValidationError) -> set[str]:
    """The fields that misspelt ones stand for, so that one mistake is not reported twice."""
    known = error.schema.get("properties", {})  # type: ignore[union-attr]
    unknown = (key for key in error.instance if key not in known)  # type: ignore[union-attr]
    return {nearest(key, known) for key in islice(unknown, MAX_SHOWN)} - {""}


def _kind_of_value(error: ValidationError, document: Document, steps: Steps) -> Iterator[Found]:
    value = error.instance
    quotes = "; put it in quotes" if error.validator_value == "string" and isinstance(value, (bool, Number)) else ""
    text = f"got {_got(value, steps)}, expected {_title(error)}{quotes}"
    yield steps, Problem(document.mark(steps), f"{_place(steps)}{text}")


def _choice(error: ValidationError, document: Document, steps: Steps) -> Iterator[Found]:
    values = [error.validator_value] if error.validator == "const" else error.validator_value
    text = f"got {_got(error.instance, steps)}, expected {listed(quoted(value) for value in values)}"  # type: ignore[union-attr,arg-type]
    word = nearest(error.instance, values) if isinstance(error.instance, str) else ""  # type: ignore[arg-type]
    meant = f", did you mean '{word}'?" if word and error.validator == "enum" else ""
    yield steps, Problem(document.mark(steps), f"{_place(steps)}{text}{meant}")


def _alternatives(error: ValidationError, document: Document, steps: Steps) -> Iterator[Found]:
    if not isinstance(error.instance, dict) or _meant(error):
        return  # its type or a field's name is wrong, which another error reports
    branches: list[dict[str, Any]] = error.validator_value  # type: ignore[assignment]
    titles = [branch["title"] for branch in branches]
    there = [branch["title"] for branch in branches if Draft202012Validator(branch).is_valid(error.instance)]
    several = f"got {listed(there, 'and')}, expected only one of them" if there else ""
    text = several or f"got none of {listed(titles, 'and')}, expected one of them"
    yield steps, Problem(document.mark(steps), f"{_place(steps)}{text}")


def _together(error: ValidationError, document: Document, steps: Steps) -> Iterator[Found]:
    for name, others in error.validator_value.items():  # type: ignore[union-attr]
        for other in others:
            if name in error.instance and other not in error.instance:  # type: ignore[operator]
                text = f"{spell((*steps, other))}: missing, required together with '{name}'"
                yield steps, Problem(document.key_mark((*steps, name)), text)


def _unfit(error: ValidationError, document: Document, steps: Steps) -> Iterator[Found]:
    text = f"got {_got(error.instance, steps)}, expected {_title(error)}"
    yield steps, Problem(document.mark(steps), f"{_place(steps)}{text}")


_HANDLERS: dict[str, Callable[[ValidationError, Document, Steps], Iterable[Found]]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "type": _kind_of_value,
    "enum": _choice,
    "const": _choice,
    "oneOf": _alternatives,
    "dependentRequired": _together,
}


def _title(error: ValidationError) -> str:
    return str(error.schema["title"])  # type: ignore[index]


def _place(steps: Steps) -> str:
    return f"{spell(steps)}: " if steps else ""


def _got(value: Any, steps: Steps) -> str:
    """A value as messages show it. A value under `credentials` may be a secret that was pasted there."""
    return "a value" if "credentials" in steps and isinstance(value, (str, Number)) else describe(value)
