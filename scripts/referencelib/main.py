"""The pages of docs/reference: each is made from what the code itself reads, and never by hand."""

from __future__ import annotations

import sys
from pathlib import Path

from referencelib import commands, man, resources

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {"commands.md": commands.render, "resources.md": resources.render, "airgap.1": man.render}


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Writes the pages, or with `--check` compares them. Returns the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: scripts/reference [--check]", file=sys.stderr)
        return 2
    code = 0
    for name, render in PAGES.items():
        page, text = folder / name, render()
        if not arguments:
            folder.mkdir(parents=True, exist_ok=True)
            page.write_text(text, "utf-8")
        elif not page.exists() or page.read_text("utf-8") != text:
            print(
                f"docs/reference/{name} is not what the code says; run scripts/reference",
                file=sys.stderr,
            )
            code = 1
    return code
