"""No regular expression of airgap takes more than linear time, whatever text a stranger wrote."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LENGTH = 10_000
"""Characters of a text: a square of it takes seconds."""
SOON = 0.2
FLAGS = ("ASCII", "IGNORECASE", "MULTILINE", "DOTALL", "VERBOSE")
CALLS = {"compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer"}


def _expressions() -> Iterator[tuple[str, Any, int, str]]:
    """Every regular expression that is written down: its place, text or bytes, flags, and a way in which it is used."""
    for path in sorted((ROOT / "airgap").rglob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            value = node.value if isinstance(node, ast.Assign | ast.Expr | ast.Return) else node
            if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.args):
                continue
            if ast.unparse(value.func.value) != "re" or value.func.attr not in CALLS:
                continue
            try:
                text = ast.literal_eval(value.args[0])
            except ValueError:
                continue  # made of parts
            flags = sum(int(getattr(re, one)) for one in FLAGS if f"re.{one}" in ast.unparse(value))
            uses = {value.func.attr}
            if value.func.attr == "compile":
                name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
                uses = set(re.findall(rf"\b{re.escape(name)}\.([a-z]+)\(", source)) & CALLS if name else set()
            for use in uses:
                yield f"{path.relative_to(ROOT)}:{value.lineno} {use}", text, flags, use


EXPRESSIONS = {place: rest for place, *rest in _expressions()}


def _pumps(expression: Any) -> Iterator[Any]:
    """Texts that repeat what the expression has in it, after what it begins with."""
    text = expression.decode("latin-1") if isinstance(expression, bytes) else expression
    plain = re.sub(r"\\[AZbBdDwWsS]|\(\?[a-zA-Z<!=:]+|[\[\](){}|*+?^$]", " ", text).replace("\\", "")
    words = set(plain.split()) | set("a0 /-.:,=\n\"'_A@~") | {"a.", "a-", "a/", "-a", ", ", "a ", 'a="'}
    begins = {"", plain.lstrip().partition(" ")[0], *(word for word in plain.split() if len(word) > 4)}
    for begin in sorted(begins):
        for word in sorted(words):
            made = begin + word * (LENGTH // len(word)) + "\0"
            yield made.encode("latin-1", "replace") if isinstance(expression, bytes) else made


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_an_expression_takes_linear_time(place: str) -> None:
    text, flags, use = EXPRESSIONS[place]
    run = getattr(re.compile(text, flags), use)
    for pump in _pumps(text):
        begun = time.process_time()
        found = run(pump[:0], pump) if use == "sub" else run(pump)
        list(found if use == "finditer" else ())
        spent = time.process_time() - begun
        assert spent < SOON, (text, pump[:60], spent)
