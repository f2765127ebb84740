"""Only the command line touches the outside: jobs and what is below them get the clock, settings and passwords."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import airgap
import airgap.jobs

HOUSE = Path(airgap.__file__).parent
OUTSIDE = frozenset(
    {
        "argparse",
        "getpass",
        "os.environ",
        "os.environb",
        "os.getenv",
        "os.putenv",
        "sys.argv",
        "sys.stdin",
        "sys.stdout",
        "sys.stderr",
        "sys.exit",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "datetime.date.today",
        "time.localtime",
        "time.time",
        "time.time_ns",
        "print",
        "input",
    }
)
"""The wall clock, argv, the environment and the terminal. `time.monotonic` measures, and says no time."""
EXCEPTIONS = {
    # A program that is started needs the PATH and the folder for temporary files of the process. Nothing else is read.
    ("tools/git.py", "os.environ"),
    # A program of its own, which says its answer on stdout.
    ("scanning/models/second_reader.py", "sys.stdout"),
    ("scanning/models/second_reader.py", "sys.argv"),
    ("scanning/models/second_reader.py", "sys.exit"),
}
MODULES = sorted(path for path in HOUSE.rglob("*.py") if path.relative_to(HOUSE).parts[0] != "cli")


def touched(source: str) -> Iterator[str]:
    """Every name of `OUTSIDE` that a module imports or uses, whatever it calls it."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {one.asname or one.name.partition(".")[0]: one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    found = {*known.values()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            found.add(_dotted(node, known))
    yield from sorted(found & OUTSIDE)


def _dotted(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_other_room_touches_the_outside(path: Path) -> None:
    name = str(path.relative_to(HOUSE))
    found = {(name, one) for one in touched(path.read_text("utf-8"))}
    assert found == {(where, one) for where, one in EXCEPTIONS if where == name}


@pytest.mark.parametrize(
    "source",
    [
        "import argparse",
        "from argparse import Namespace as N\nimport argparse",
        "from os import environ",
        "import os as o\no.environ.get('HOME')",
        "import sys\nsys.argv[1:]",
        "from datetime import UTC, datetime\ndatetime.now(UTC)",
        "import datetime as d\nd.datetime.now()",
        "from time import time\ntime()",
        "print('x')",
    ],
)
def test_the_rule_finds_what_it_looks_for(source: str) -> None:
    assert list(touched(source))


def test_the_rule_leaves_other_names_alone() -> None:
    assert not list(touched("import time, os\nself.time.time()\nos.path.join(time.monotonic())\nx.now()"))


def test_options_of_jobs_are_frozen() -> None:
    options = [
        one
        for info in pkgutil.walk_packages(airgap.jobs.__path__, "airgap.jobs.")
        for name, one in inspect.getmembers(importlib.import_module(info.name), inspect.isclass)
        if name.endswith("Options") and one.__module__ == info.name
    ]
    assert len(options) >= 14
    for one in options:
        assert one.__dataclass_params__.frozen, one  # type: ignore[attr-defined]
        assert "__slots__" in vars(one), one
