"""docs/terms.md: one word for one thing, and one class behind each word."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TERMS = (ROOT / "docs/terms.md").read_text("utf-8")
CLASSES = sorted(set(re.findall(r"`(airgap\.[a-z_.0-9]+\.[A-Z]\w*)`", TERMS)))


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_that_carries_a_term_exists(name: str) -> None:
    module, _, word = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), word), type)


def test_every_term_names_its_class_and_each_term_is_said_once() -> None:
    rows = [line.split("|")[1:-1] for line in TERMS.partition("\n## Roles")[0].splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0].strip() != "term"]
    terms = [row[0].strip() for row in rows]
    assert len(terms) >= 30
    assert sorted(set(terms)) == sorted(terms)
    assert [row[0] for row in rows if len(row) != 4 or "`airgap." not in row[2]] == []


def test_no_two_public_classes_have_the_same_name() -> None:
    found = defaultdict(list)
    for path in sorted((ROOT / "airgap").rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in found.items() if len(where) > 1} == {}
