"""Files that come with the program: documents, examples, lock files. An installed machine has no checkout to look in.

In a checkout, folders in `airgap/shipped/` are links to where people edit them; a wheel contains the files themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "shipped"
PYTHONS = ("3.11", "3.12", "3.13")
"""The versions of Python for which the lock files were made."""
ARCHITECTURES = ("x86_64", "aarch64")
"""The processors for which `airgap pack` packs, as `uname -m` names them."""


def shipped(*names: str) -> Path:
    """The path of a file or folder that comes with the program: `shipped("docs", "format.md")`."""
    return SHIPPED.joinpath(*names)


def shipped_files() -> Iterator[tuple[str, Path]]:
    """Every shipped file: its path below `airgap/shipped/`, and the path to read. Sorted by the first."""
    for top in sorted(SHIPPED.iterdir()):
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                yield path.relative_to(SHIPPED).as_posix(), path
