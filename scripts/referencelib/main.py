"""The pages of docs/reference and the JSON Schemas: each is made from what the code itself reads, never by hand."""

from __future__ import annotations

import sys
from pathlib import Path

from referencelib import commands, man, reports, resources

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
SCHEMAS = ROOT / "airgap" / "resources" / "schemas"
PAGES = {
    "commands.md": commands.render,
    "resources.md": resources.render,
    "reports.md": reports.render,
    "report.schema.json": reports.schema,
    "airgap.1": man.render,
}


def main(arguments: list[str], folder: Path = FOLDER, schemas: Path = SCHEMAS) -> int:
    """Writes the pages and schemas, or with `--check` compares them. Returns the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: scripts/reference [--check]", file=sys.stderr)
        return 2
    made = {folder / name: render() for name, render in PAGES.items()}
    made |= {schemas / name: text for name, text in resources.published().items()}
    old = [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in old:
        if arguments:
            where = (SCHEMAS if path.parent == schemas else FOLDER).relative_to(ROOT)
            print(f"{where}/{path.name} is not what the code says; run scripts/reference", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path], "utf-8")
    return 1 if arguments and old else 0
