"""Asks the library picklescan about pickles, in a process without a network and within limits.

The first opinion is our own machine, which lets through only what is on a list. This one knows by name what attackers
used, and reads the instructions by another program; it may only make a finding worse. See ADR 0022.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.errors import ToolError
from airgap.base.strict_json import parse_json
from airgap.scanning.models import second_reader
from airgap.scanning.models.walk import PICKLES
from airgap.tools.limits import Limits
from airgap.tools.sandbox import Ending, Sandbox, SandboxRun

MEMORY = 2 << 30
"""Bytes of memory of the process."""
SECONDS = 300
MAX_OUTPUT = 16 << 20
_MAX_NAMES = 10_000

_HINT = "scan again; if it stays, take the model as safetensors, or leave the pickle out of the request"


def library() -> tuple[str, Digest] | None:
    """Version and sha256 of the library's scanner; `None` if it is not installed."""
    spec = importlib.util.find_spec("picklescan")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        return None
    source = Path(folders[0]) / "scanner.py"
    return importlib.metadata.version("picklescan"), Digest.of(source.read_bytes())


def ask(copies: Sequence[Path], work: Path) -> list[list[tuple[str, str]]]:
    """The imports of each pickle that the library calls dangerous. Raises `ToolError` if it came to no end."""
    folder = (work / PICKLES).absolute()  # the program runs in another folder
    sandbox = Sandbox(Limits(MEMORY, SECONDS, MAX_OUTPUT), SECONDS, MAX_OUTPUT)
    run = sandbox.run((sys.executable, "-I", Path(second_reader.__file__), folder), work, {})
    _check(run)
    answer = parse_json(run.stdout, "picklescan", lambda what: ToolError("scanner-garbage", what, _HINT))
    return [_names(answer, copy.name) for copy in copies]


def _check(run: SandboxRun) -> None:
    """Raises `ToolError` unless the program came to its end."""
    if run.ending is Ending.TIMEOUT:
        raise ToolError("scanner-timeout", f"picklescan took more than {SECONDS} s", _HINT)
    if run.ending is Ending.MEMORY:
        raise ToolError("scanner-memory", f"picklescan needed more than {MEMORY >> 20} MiB", _HINT)
    if run.ending is Ending.OUTPUT:
        raise ToolError("scanner-garbage", f"picklescan printed more than {MAX_OUTPUT >> 20} MiB", _HINT)
    if run.ending is Ending.SIGNAL or run.status:
        what = f"picklescan ended with {run.ending} {run.status}: {run.stderr[-300:]}"
        raise ToolError("scanner-crashed", what, _HINT)


def _names(answer: Any, name: str) -> list[tuple[str, str]]:
    found = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(found, list) or len(found) > _MAX_NAMES:
        raise ToolError("scanner-mismatch", f"picklescan says nothing about pickle {name}", _HINT)
    for pair in found:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)):
            raise ToolError("scanner-garbage", "picklescan printed something else than pairs of names", _HINT)
    return [(module, name) for module, name in found]
