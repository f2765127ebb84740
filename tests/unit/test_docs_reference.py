"""docs/reference: each page is what the code says today."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from referencelib.main import FOLDER, PAGES, main


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_what_the_code_says(page: str) -> None:
    assert (FOLDER / page).read_text("utf-8") == PAGES[page](), "run scripts/reference"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_is_old_is_told_by_its_name(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "reference"
    assert main(["--check"], folder) == 1
    assert main([], folder) == 0
    assert main(["--check"], folder) == 0
    capsys.readouterr()
    (folder / page).write_text("old")
    assert main(["--check"], folder) == 1
    assert capsys.readouterr().err == f"docs/reference/{page} is not what the code says; run scripts/reference\n"


def test_other_arguments_are_refused(tmp_path: Path) -> None:
    assert main(["--chekc"], tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_script_finds_no_difference() -> None:
    command = FOLDER.parents[1] / "scripts" / "reference"
    assert subprocess.run([command, "--check"], check=False).returncode == 0
