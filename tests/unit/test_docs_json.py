"""docs/reference/json: what each command writes with `--json`. Every run of a command in a test is compared with it."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airgap.cli.app import build
from airgap.cli.parser import Parser
from tests.worlds.json_schemas import FOLDER, check_json, named, schema

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def commands(parser: Parser) -> list[str]:
    """Every command that does something, as its schema is named."""
    if not parser.commands():
        return [named(parser.prog.split()[1:])]
    return [one for name in parser.commands() for one in commands(parser.child(name))]


def test_every_command_has_a_schema() -> None:
    assert sorted([*commands(build()), "error"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_says_what_it_is_of(name: str) -> None:
    found = schema(name)
    Draft202012Validator.check_schema(found)
    command = name if name.startswith("verify-") else name.replace("-", " ")
    assert found["title"].startswith("What every command" if name == "error" else f"airgap {command} --json")


@pytest.mark.parametrize(
    "document",
    [
        '{"changes": [], "more": 1}',
        "{}",
        '{"changes": [{"change": "moved", "kind": "image", "name": "a", "detail": ""}]}',
        '{"code": "no-lock", "error": "x", "exit": 7, "hint": ""}',
        "[]",
    ],
)
def test_what_a_schema_does_not_say_is_a_failure(document: Any) -> None:
    with pytest.raises(AssertionError, match=r"docs/reference/json/(diff|error)\.json"):
        check_json(["diff", "a", "b", "--json"], document)
