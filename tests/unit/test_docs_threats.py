"""The threat model: every attack story has a test that exists, every code and every place in it is one that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.worlds.source_codes import source as codes
from tests.worlds.source_reasons import source as reasons

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text("utf-8")
STORIES = (
    "replayed delivery", "older sequence", "other Sovereign's delivery", "expired delivery",
    "exporter signs twice, as both roles", "key not valid when signing", "swapped verdict from another artifact",
    "verdict removed", "waiver expired or edited", "signature stripped in transit",
    "child manifest's signature stripped", "foreign bundle added to hide a signature",
    "attestation offered as a signature", "tag moved between scan and bundle",
    "key bundle offered to an identity rule, and the other way round", "Rekor entry of another artifact",
    "unanchored identity", "log truncated", "state rolled back or deleted", "revoked key", "backdated statement",
    "local clock years behind", "approved lock swapped for another with the same names",
    "signature tag inside overwritten by a delivery",
    # and what must work
    "approval added on a read-only disc's behalf", "key rotated between two deliveries",
    "delivery eight weeks in the post", "Harbor rebuilt from old media",
)  # fmt: skip
"""Those that must be told, whatever others are."""


def table(head: str) -> list[list[str]]:
    """The rows of all tables whose header begins like this, cell by cell."""
    found: list[list[str]] = []
    inside = False
    for line in PAGE.splitlines():
        inside = (inside and line.startswith("|")) or line.startswith(f"| {head} |")
        if inside and not line.startswith((f"| {head} |", "|---")):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def stories_in(path: Path) -> dict[str, str]:
    """The text of each test in a file, its parameters included, by name."""
    lines = path.read_text("utf-8").splitlines()
    found: dict[str, str] = {}
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


@pytest.mark.parametrize("row", table("story"), ids=lambda row: str(row[0]))
def test_a_story_has_its_test_and_the_answer_that_it_expects(row: list[str]) -> None:
    _, answer, named = row
    assert ticked(named)
    told = ""
    for one in ticked(named):
        file, _, name = one.partition("::")
        tests = stories_in(ROOT / "tests/e2e" / file)
        assert name in tests, one
        assert "pytest.mark.e2e" in (ROOT / "tests/e2e" / file).read_text("utf-8"), one
        told += tests[name]
    assert set(ticked(answer)) <= codes()[0] | reasons()[0]
    assert [one for one in ticked(answer) if f'"{one}"' not in told] == []


def test_all_stories_are_told_once() -> None:
    told = [row[0] for row in table("story")]
    assert sorted(set(STORIES) - set(told)) == []
    assert len(told) == len(set(told))


@pytest.mark.parametrize("row", table("an adversary who…"), ids=lambda row: " ".join(row[:2]))
def test_what_stops_an_adversary_is_where_it_says(row: list[str]) -> None:
    *_, stopped, where = row
    assert ticked(where)
    for place in ticked(where):
        assert (ROOT / "airgap" / place).exists(), place
    words = {one for one in ticked(stopped) if re.fullmatch(r"[a-z]+(-[a-z]+)+", one)}
    assert words <= codes()[0] | reasons()[0]
