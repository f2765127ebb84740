"""What commands write with `--json` is what docs/reference/json says: each run of a command in a test is compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

FOLDER = Path(__file__).parents[2] / "docs/reference/json"
FAMILIES = ("keys", "trust", "log", "receipt", "store")
"""Commands of two words."""
MOST = 300_000
"""Characters of a result that is compared: what is longer repeats itself, and takes seconds."""


def named(line: Sequence[str]) -> str:
    """The name of a command's schema: `lock`, `keys-show`."""
    return "-".join(line[:2] if line[0] in FAMILIES else line[:1])


@cache
def schema(name: str) -> Any:
    """A schema by its name."""
    return json.loads((FOLDER / f"{name}.json").read_bytes())


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def check_json(line: Sequence[str], out: str) -> None:
    """Checks what a command wrote to stdout. It is one document, or one on each line."""
    if not out.strip() or len(out) > MOST:
        return
    try:
        documents = [json.loads(out)]
    except ValueError:
        documents = [json.loads(one) for one in out.splitlines()]
    for document in documents:
        failed = isinstance(document, dict) and {"code", "error", "exit"} <= document.keys()
        name = "error" if failed else named(line)
        if not (FOLDER / f"{name}.json").exists():
            continue  # a command that only a test adds; tests/unit/test_docs_json.py asks for those of the program
        wrong = best_match(_validator(name).iter_errors(document))
        if wrong is not None:
            where = "/".join(map(str, wrong.absolute_path))
            raise AssertionError(f"airgap {' '.join(line)}: docs/reference/json/{name}.json: {where}: {wrong.message}")
