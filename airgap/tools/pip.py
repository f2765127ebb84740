"""pip, which fetches the packages that the program needs, for another machine, by their hashes.

Where packages come from is the matter of pip's own settings (`PIP_INDEX_URL`, `PIP_CERT`, pip.conf), as for every
installation. Nothing that it fetches is run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from airgap.base.errors import InputError, ToolError

TIMEOUT = 1800.0
"""Seconds for one run: 60 MB by a slow line."""
GLIBC = ("2_17", "2_28")
"""The versions of glibc for which wheels are taken (PEP 600): Debian 10, RHEL 8 and everything later have them."""
_URL = re.compile(r"(?<=://)[^/@\s]+@")


def download(requirements: Sequence[Path], folder: Path, python: str, arch: str) -> None:
    """Fetches the wheels of the locked requirements for one Python (`3.11`) on one machine (`x86_64`) into `folder`.

    Raises `ToolError` (`pip-missing`, `pip-failed`, `pip-timeout`), `InputError` (`no-wheel`).
    """
    platforms = [word for glibc in GLIBC for word in ("--platform", f"manylinux_{glibc}_{arch}")]
    files = [word for path in requirements for word in ("-r", os.fspath(path))]
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", os.fspath(folder)),
        *("--implementation", "cp", "--python-version", python, *platforms, "--platform", f"manylinux2014_{arch}"),
        *files,
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"pip download: not finished after {TIMEOUT:g} s"
        raise ToolError("pip-timeout", what, "check the network, then run the same command again") from None
    if done.returncode:
        raise _failure(done.stderr, f"Python {python} on {arch}")


def _failure(output: str, target: str) -> ToolError | InputError:
    """The error for what pip wrote. It may show the index's URL, in which a password may be."""
    lines = [_URL.sub("", line) for line in output.splitlines() if line.startswith("ERROR")]
    said = (lines or [_URL.sub("", line) for line in output.splitlines()] or ["no reason"])[-1].removeprefix("ERROR: ")
    if "No module named pip" in output:
        return ToolError(
            "pip-missing",
            f"{sys.executable} has no pip",
            f"install it (`{sys.executable} -m ensurepip`), or run `airgap pack` in an environment that has it",
        )
    if "No matching distribution" in output:
        hint = "choose another --python or --arch. If this one should work: pip's settings name an index that lacks it"
        return InputError("no-wheel", f"no package for {target}: {said}", hint)
    return ToolError(
        "pip-failed", f"pip download, for {target}: {said}", "check pip's settings (PIP_INDEX_URL, PIP_CERT, pip.conf)"
    )
