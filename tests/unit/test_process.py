"""What changes the process happens at start-up, in one module: library code leaves the process to its caller."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.utils import CryptographyDeprecationWarning

from airgap.cli.app import build
from airgap.cli.process import JUDGES, prepare

PACKAGE = Path(__file__).parents[2] / "airgap"
CALLS = frozenset(
    {
        *("signal.signal", "signal.setitimer", "signal.alarm", "signal.pthread_sigmask", "signal.set_wakeup_fd"),
        *("os.umask", "os.chdir", "os.fchdir", "os.nice", "os.putenv", "os.unsetenv", "os.setsid", "os.setpgrp"),
        *("os.environ.update", "os.environ.setdefault", "os.environ.pop", "os.environ.clear", "os.environ.popitem"),
        *("os.setuid", "os.setgid", "os.sched_setaffinity", "os.setpriority", "os.register_at_fork"),
        *("gc.disable", "gc.enable", "gc.freeze", "gc.set_threshold", "gc.set_debug"),
        *("sys.setrecursionlimit", "sys.setswitchinterval", "sys.settrace", "sys.setprofile", "sys.addaudithook"),
        *("sys.set_int_max_str_digits", "locale.setlocale", "socket.setdefaulttimeout", "resource.setrlimit"),
        *("atexit.register", "faulthandler.enable", "random.seed", "threading.stack_size", "threading.setprofile"),
        *("urllib.request.install_opener", "multiprocessing.set_start_method", "mimetypes.init", "tracemalloc.start"),
        *("warnings.catch_warnings", "codecs.register_error"),
    }
)
"""By their full names, however they are imported."""
METHODS = frozenset(
    {
        *("filterwarnings", "simplefilter", "resetwarnings", "showwarning"),
        *("setLevel", "addHandler", "removeHandler", "basicConfig", "dictConfig", "captureWarnings", "setLoggerClass"),
        *("mallopt", "malloc_trim", "prctl"),
    }
)
"""By their last names: whatever they are called on, it is not only ours."""
FOREIGN = frozenset({"os", "sys", "socket", "ssl", "logging", "warnings", "tempfile", "threading", "gc", "locale"})
"""Modules whose attributes are the process's."""


def full_name(node: ast.expr, imported: dict[str, str]) -> str:
    """`os.environ.pop` of an expression, by what the names were imported as; `""` for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([imported.get(node.id, node.id), *reversed(parts)])


def imported_as(tree: ast.Module) -> dict[str, str]:
    """What the names that a module imports stand for, where that is not themselves."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.asname: name.name for name in node.names if name.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return found


def called(node: ast.Call, imported: dict[str, str]) -> Iterator[str]:
    """The call, if it changes the process."""
    name = full_name(node.func, imported)
    last = node.func.attr if isinstance(node.func, ast.Attribute) else name.rpartition(".")[2]
    if name in CALLS or last in METHODS:
        yield name or last


def assigned(node: ast.stmt, imported: dict[str, str]) -> Iterator[str]:
    """The targets of an assignment that are the process's."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    for target in targets:
        name = full_name(target.value if isinstance(target, ast.Subscript) else target, imported)
        module, dot, _ = name.partition(".")
        if dot and module in FOREIGN:
            yield name


def changes(text: str) -> list[str]:
    """What a module does to the process."""
    tree = ast.parse(text)
    imported, found = imported_as(tree), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found += called(node, imported)
        elif isinstance(node, ast.stmt):
            found += assigned(node, imported)
    return found


def test_only_one_module_changes_the_process() -> None:
    found = {str(path.relative_to(PACKAGE)): changes(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert {name: set(changed) for name, changed in found.items() if changed} == {
        "cli/process.py": {"signal.signal", "setLevel", "warnings.filterwarnings", "mallopt"},
        # Streams that were closed are opened, so that nothing else gets their numbers.
        "cli/output.py": {"sys.stdin", "sys.stdout", "sys.stderr"},
        # Of the one thread that empties the kernel's buffer, not of the process.
        "diode/udp/road.py": {"os.setpriority"},
    }


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.environ['A'] = 'b'",
        "from os import environ\nenviron['A'] = 'b'",
        "import os\ndel os.environ['A']",
        "import os as o\no.environ.update({})",
        "import os\ndef f():\n    os.umask(0)",
        "from os import umask as mask\nmask(0)",
        "import ctypes\nctypes.CDLL(None).mallopt(-3, 1)",
        "import logging\nlogging.getLogger('x').setLevel(logging.ERROR)",
        "from logging import getLogger\nLOG = getLogger('x')\nLOG.addHandler(None)",
        "import warnings\nwith warnings.catch_warnings():\n    pass",
        "from warnings import filterwarnings\nfilterwarnings('ignore')",
        "import signal\nsignal.signal(signal.SIGTERM, None)",
        "import sys\nsys.excepthook = None",
        "import tempfile\ntempfile.tempdir = '/x'",
    ],
)
def test_what_changes_the_process_is_seen(text: str) -> None:
    assert len(changes(text)) == 1


def test_reading_is_no_change() -> None:
    assert changes("import os, signal\nx = os.environ['A']\nos.killpg(1, signal.SIGKILL)\nenviron = {}\n") == []


def test_the_commands_that_judge_are_commands() -> None:
    for command in JUDGES:
        with pytest.raises(SystemExit):
            build().parse_args([command, "--help"])


def test_libraries_say_nothing_about_what_others_sent() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        prepare("lock")
        warnings.warn("Parsed a serial number which wasn't positive", CryptographyDeprecationWarning, stacklevel=1)
        warnings.warn("Attribute's length must be >= 1 and <= 64, but it was 0", UserWarning, stacklevel=1)
        warnings.warn("Parsed a serial number", DeprecationWarning, stacklevel=1)
    assert [one.category for one in said] == [DeprecationWarning]
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.WARNING)
    assert not logging.getLogger("tuf.ngclient").isEnabledFor(logging.WARNING)
