"""docs/reference: each page is what the code says today."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from referencelib.main import FOLDER, PAGES, main
from tests.parts.need import missing, require_part


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


@pytest.mark.part("mandoc")
def test_mandoc_finds_nothing_wrong_in_the_man_page() -> None:
    argv = [str(require_part("mandoc")), "-T", "lint", "-W", "warning", str(FOLDER / "airgap.1")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    # It has no date: a page that is made twice must be the same page.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
    assert done.stderr == ""


def test_man_shows_the_page_without_a_warning_and_with_every_command() -> None:
    if shutil.which("man") is None or shutil.which("groff") is None:
        missing("man and groff", "apt install man-db groff")
    env = {**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    argv = ["man", "--warnings", "-l", str(FOLDER / "airgap.1")]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=True)
    assert done.stderr == ""
    for line in ("EXIT STATUS", "   verify-image", "   keys rotate", "       130    Ctrl-C", "       -j, --jobs N"):
        assert line in done.stdout.splitlines()
