"""Names that are kept in stores, deliveries and registries: a later version must find them as they were written."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from airgap.content.graph import ANNOTATION_PLATFORMS

ROOT = Path(__file__).parents[2]
NAME = re.compile(
    r"(?!https://airgap\.openova\.io/schemas/)(io\.openova\.airgap|application/vnd\.airgap|https://airgap\.openova\.io/)[\w.+/-]*"
)


def test_the_format_page_has_every_name_of_airgap_that_is_kept() -> None:
    page = (ROOT / "docs/format.md").read_text("utf-8")
    found = {
        node.value
        for path in sorted((ROOT / "airgap").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value)
    }
    assert len(found) > 5
    assert sorted(name for name in found if name not in page) == []


def test_the_platforms_of_an_item_are_found_in_a_store_of_the_first_version() -> None:
    assert ANNOTATION_PLATFORMS == "io.openova.airgap.platforms"
