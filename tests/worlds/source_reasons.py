"""The reasons why a signature does not count, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.worlds.source_codes import functions, own, trees, values

ROOT = Path(__file__).parents[2]
PLACES = tuple(
    path
    for folder in ("signatures", "judgement")
    for path in sorted((ROOT / "airgap" / folder).rglob("*.py"))
    if path.name != "findings.py"  # its reasons are about scans: docs/runbooks/scan.md
)
ARGUMENTS: Mapping[str, int] = {
    "Refusal": 0,
    "parse": 2,
    "unbase64": 2,
    "fields": 3,
    "Unread": 4,
    "VerificationResult": 4,
    "Answer": 4,
    "_broken": 1,
}
"""What makes answers, and which argument is the reason; one that is named `reason` is found in any call."""


@cache
def source() -> tuple[frozenset[str], frozenset[str]]:
    """All reasons, and the places where none could be read: `file: expression`."""
    found: set[str] = set()
    unread: set[str] = set()
    for path in PLACES:
        tree = trees()[path]
        for body in (tree, *functions(tree)):
            for expression in expressions(body):
                said = {one for part in (body, tree) for one in values(expression, part) if one}
                found |= said
                if not said and not isinstance(expression, ast.Constant):
                    unread.add(f"{path.name}: {ast.unparse(expression)}")
    return frozenset(found), frozenset(unread)


def expressions(body: ast.AST) -> Iterator[ast.expr]:
    """Where reasons stand in a function, or at the top of a module."""
    for node in own(body):
        if isinstance(node, ast.Call):
            place = ARGUMENTS.get(ast.unparse(node.func))
            if place is not None and not any(isinstance(one, ast.Starred) for one in node.args):
                yield from node.args[place : place + 1]
            yield from (one.value for one in node.keywords if one.arg == "reason")
        elif isinstance(node, ast.Tuple):  # layout, status, reason, detail
            for status, reason in zip(node.elts, node.elts[1:], strict=False):
                if ast.unparse(status).startswith("Status."):
                    yield reason
