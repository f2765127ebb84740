"""Why a signature of others does not count: each reason has a row in the runbook, and each row is a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from airgap.signatures import explain
from tests.unit.test_docs_codes import functions, own, values

ROOT = Path(__file__).parents[2]
PLACES = tuple(
    path for folder in ("signatures", "judgement") for path in sorted((ROOT / "airgap" / folder).rglob("*.py"))
)
RUNBOOK = ROOT / "docs/runbooks/signatures.md"

ARGUMENTS: Mapping[str, int] = {
    "Refusal": 0,
    "parse": 2,
    "unbase64": 2,
    "fields": 3,
    "Unread": 4,
    "VerificationResult": 4,
    "Check": 4,
    "_broken": 1,
}
"""What makes answers, and which argument is the reason; one that is named `reason` is found in any call."""
HANDED_ON = {
    "judge.py: best.reason",
    "judge.py: failed.reason if failed else ''",
    "read.py: refusal.reason",
    "strict.py: error.code",
    "strict.py: reason",
    "verify.py: refusal.reason",
    "verify.py: signed.reason",
}
"""Reasons out of one of the calls above, or of another finding."""


@cache
def source() -> tuple[frozenset[str], frozenset[str]]:
    """All reasons, and the places where none could be read: `file: expression`."""
    found: set[str] = set()
    unread: set[str] = set()
    for path in PLACES:
        tree = ast.parse(path.read_text("utf-8"))
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


def rows() -> list[str]:
    """The reasons in the first cells of the runbook's table."""
    table = RUNBOOK.read_text("utf-8").partition("| reason |")[2].partition("\n\n")[0]
    lines = [line for line in table.splitlines()[2:] if line.startswith("|")]
    return [reason for line in lines for reason in re.findall(r"`([^`]+)`", line.split("|")[1])]


def test_every_reason_has_a_row_and_every_row_is_one() -> None:
    listed = rows()
    assert sorted(source()[0] - set(listed)) == []
    assert sorted(set(listed) - source()[0]) == []
    assert len(listed) == len(set(listed)), "a reason has two rows"


def test_the_source_is_read_whole() -> None:
    assert sorted(source()[1]) == sorted(HANDED_ON)


def test_what_is_told_first_is_told_of_reasons_that_there_are() -> None:
    assert set(explain._EXPLAINS + explain._SAYS_LITTLE) <= source()[0]
