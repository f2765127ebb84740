"""Files that come with the program: documents, examples, lock files. An installed machine has no checkout to look in.

The wheel has them in `airgap/shipped/` (pyproject.toml); in a checkout they are where people edit them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = {
    "docs": "docs",
    "examples": "manifests",
    "stages": "stages",
    "requirements": "scripts/requirements",
    "install": "scripts/install",
}
"""What is shipped, by its name in `airgap/shipped/`, with its place in a checkout."""


def shipped(*names: str) -> Path:
    """The path of a file or folder that comes with the program: `shipped("docs", "format.md")`."""
    packed = PACKAGE / "shipped"
    first, *rest = names
    base = packed / first if packed.is_dir() else PACKAGE.parent / FOLDERS[first]
    return base.joinpath(*rest)


def shipped_files() -> Iterator[tuple[str, Path]]:
    """Every shipped file: its path below `airgap/shipped/`, and where it is now. Sorted by that path."""
    for first in sorted(FOLDERS):
        base = shipped(first)
        for path in sorted(base.rglob("*")) if base.is_dir() else [base]:
            if path.is_file():
                yield "/".join((first, *path.relative_to(base).parts)), path
