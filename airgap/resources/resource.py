"""The words for a kind of resource, and its complete JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airgap.content.lock import API_VERSION
from airgap.resources.document import read_documents
from airgap.resources.parts import RESOURCE_NAME
from airgap.resources.problems import Number

_ID = "https://airgap.openova.io/schemas/v1alpha1"


@dataclass(frozen=True, slots=True)
class Resource:
    """The words for a kind of resource. `taken_by` names the commands that take it, for a file in the wrong place.

    `examples` are YAML documents without `apiVersion` and `kind`.
    """

    doc: str
    taken_by: str
    examples: tuple[str, ...]


def resource_schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a complete document; `kind` is a declared dataclass with `resource`."""
    head = {"apiVersion": API_VERSION, "kind": kind.__name__}
    name = {"name": RESOURCE_NAME.schema()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{_ID}/{kind.__name__.lower()}.json",
        "title": kind.__name__,
        "description": kind.resource.doc,
        "examples": [head | _plain(read_documents(one.encode(), "example")[0].value) for one in kind.resource.examples],
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION, "title": API_VERSION},
            "kind": {"const": kind.__name__, "title": kind.__name__},
            "metadata": {
                "type": "object",
                "title": "a map with the resource's name",
                "additionalProperties": False,
                "required": ["name"],
                "properties": name,
            },
            "spec": kind.spec.schema(),
        },
    }


def _plain(value: Any) -> Any:
    """A document's value as JSON has it: numbers are numbers."""
    match value:
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case Number(text):
            return int(text)
    return value
