"""The schemas: closed, with words for every message, and examples that load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airgap.content.item import PHASES
from airgap.content.lock import API_VERSION
from airgap.resources.catalog import KINDS, schema
from airgap.resources.load import load
from airgap.resources.trust import ROLES
from referencelib.resources import example_yaml
from tests.worlds.resources import key_files


def nodes(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every subschema of a schema."""
    if not isinstance(value, dict):
        return
    yield path, value
    for name, child in value.get("properties", {}).items():
        yield from nodes(child, f"{path}/{name}")
    for word in ("items", "propertyNames", "additionalProperties"):
        yield from nodes(value.get(word), f"{path}/{word}")


@pytest.mark.parametrize("name", KINDS)
def test_schemas_are_package_data_and_valid(name: str) -> None:
    assert files("airgap.resources").joinpath("schemas", f"{name.lower()}.json").is_file()
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"].endswith(f"/v1alpha1/{name.lower()}.json")


@pytest.mark.parametrize("name", KINDS)
def test_every_map_is_closed(name: str) -> None:
    for path, node in nodes(schema(name)):
        if node.get("type") == "object":
            extra = node.get("additionalProperties")
            # A map with free keys says what its keys and its values are.
            assert extra is False or (isinstance(extra, dict) and "propertyNames" in node), path


@pytest.mark.parametrize("name", KINDS)
def test_every_value_has_the_words_that_follow_expected(name: str) -> None:
    for path, node in nodes(schema(name)):
        assert "title" in node, path
        assert all("title" in branch for branch in node.get("oneOf", ())), path
        for needed in node.get("required", ()):
            assert "title" in node["properties"][needed], (path, needed)


def test_schemas_and_code_have_the_same_words() -> None:
    request, trust = (schema(kind)["properties"] for kind in ("Request", "Trust"))
    assert request["apiVersion"]["const"] == API_VERSION
    image = request["spec"]["properties"]["images"]["items"]["properties"]
    assert sorted(image["phase"]["enum"]) == sorted(PHASES)
    key = trust["spec"]["properties"]["keys"]["items"]["properties"]
    assert tuple(key["role"]["enum"]) == ROLES


@pytest.mark.parametrize("kind", KINDS)
def test_examples_load(kind: str, tmp_path: Path) -> None:
    key_files(tmp_path)
    examples = schema(kind)["examples"]
    assert examples
    for example in examples:
        made = load(example_yaml(example).encode(), base_dir=tmp_path)
        assert [type(one).__name__ for one in made] == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_published_schemas_are_what_the_declarations_say(kind: str) -> None:
    text = files("airgap.resources").joinpath("schemas", f"{kind.lower()}.json").read_text("utf-8")
    assert json.loads(text) == schema(kind), "run scripts/reference"
