"""The error codes of the package, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from airgap.base import errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "airgap"
ARGUMENTS: Mapping[str, int] = {
    "error": 0,
    "kind": 0,
    "_made": 1,
    "_Fault": 2,
    "_Refusal": 2,
    "read_input": 2,
    "_waiver_refused": 0,
    "_verdict_refused": 0,
    "Objection": 0,
    "ScanResult.failed": 2,
}
"""What makes errors besides their classes, and which argument is the code."""
TABLES: Mapping[str, int] = {"_CODES": 0, "_MEANINGS": 1}
"""Tables of codes in the source, and which entry of a value is the code."""
SECRETS = ("identity", "key", "password", "secret")
"""What `base/secrets.py` speaks of: its codes are made of these words."""


@cache
def trees() -> Mapping[Path, ast.Module]:
    """The syntax of every file of the package: reading it takes longer than what tests ask of it."""
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def source() -> tuple[frozenset[str], frozenset[str]]:
    """All codes of the package, and the places where none could be read: `file: expression`."""
    classes = error_classes(trees().values())
    found: set[str] = set()
    unread: set[str] = set()
    for path, tree in trees().items():
        for body in (tree, *functions(tree)):
            for expression in expressions(body, classes):
                said = values(expression, body)
                found |= said
                if not said:
                    unread.add(f"{path.relative_to(PACKAGE)}: {ast.unparse(expression)}")
    return frozenset(found), frozenset(unread)


@cache
def exits() -> Mapping[str, set[int]]:
    """The exit codes of each code that is given to an error class by name; other codes are not in it."""
    found: dict[str, set[int]] = {}
    for tree in trees().values():
        for body in (tree, *functions(tree)):
            for call in (one for one in own(body) if isinstance(one, ast.Call) and one.args):
                made = getattr(errors, ast.unparse(call.func), None)
                if isinstance(made, type) and issubclass(made, errors.AirgapError):
                    for code in values(call.args[0], body):
                        found.setdefault(code, set()).add(made.exit_code)
    return found


def error_classes(modules: Iterable[ast.Module]) -> set[str]:
    """The names of AirgapError and of all classes below it."""
    found, before = {"AirgapError"}, 0
    classes = [node for tree in modules for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while len(found) > before:
        before = len(found)
        found |= {one.name for one in classes if found & {ast.unparse(base) for base in one.bases}}
    return found


@cache
def functions(tree: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def expressions(body: ast.AST, classes: set[str]) -> Iterator[ast.expr]:
    """Where codes stand in a function, or at the top of a module."""
    for node in own(body):
        if isinstance(node, ast.Call):
            yield from node.args[where(node, classes)]
        elif isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            entry = TABLES.get(ast.unparse(target))
            for value in node.value.values if entry is not None else ():
                yield value.elts[entry or 0] if isinstance(value, ast.Tuple) else value


def where(call: ast.Call, classes: set[str]) -> slice:
    """Which argument of a call is a code; an empty slice for none."""
    if len(call.args) < 2:  # an error has a code and what was wrong
        return slice(0)
    name = ast.unparse(call.func).removeprefix("fault.")
    if name in classes or (name == "super().__init__" and isinstance(call.args[0], ast.Constant)):
        return slice(1)
    place = ARGUMENTS.get(name)
    return slice(0) if place is None else slice(place, place + 1)


@cache
def own(body: ast.AST) -> tuple[ast.AST, ...]:
    """The nodes of a function or module, without those of the functions in it."""
    found = [body]
    for node in found:  # grows meanwhile
        found += (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.FunctionDef))
    return tuple(found[1:])


def values(expression: ast.AST, body: ast.AST) -> set[str]:
    """What an expression can be: of a name, what the function gives it; nothing for what comes from elsewhere."""
    match expression:
        case ast.Constant():
            return {str(expression.value)}
        case ast.IfExp():
            return values(expression.body, body) | values(expression.orelse, body)
        case ast.JoinedStr():
            parts = [one.value if isinstance(one, ast.Constant) else "{}" for one in expression.values]
            return {"".join(map(str, parts)).format(secret) for secret in SECRETS}
        case ast.Call(args=[_, default]):  # TABLE.get(key, default)
            return values(default, body)
        case ast.Name():
            given = (one for one in own(body) if isinstance(one, ast.Assign))
            return {
                value
                for one in given
                if ast.unparse(one.targets[0]) == expression.id
                for value in values(one.value, body)
            }
    return set()
