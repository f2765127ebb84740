"""Programs with known holes are not used: the command says so before it does anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.worlds.commands import run_airgap
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e


def test_a_git_without_the_known_fixes_is_not_used(tmp_path: Path) -> None:
    fake = tmp_path / "bin/git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\ncase $1 in version) echo 'git version 2.39.2';; *) echo \"$*\" >>$0.asked;; esac\n")
    fake.chmod(0o755)
    (tmp_path / "source").mkdir()
    git = "  git:\n  - {url: source, name: source, refs: [refs/heads/*]}\n"
    (tmp_path / "r.request.yaml").write_text(f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{git}")
    path = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    said = run_airgap(("lock", "r.request.yaml"), tmp_path, path)
    said.refused(5, "git-too-old", "got 'git version 2.39.2'", "CVE-2024-32465", "2.39.4", "update git")
    assert (tmp_path / "bin/git.asked").read_text().split() == ["--exec-path"]
    assert not (tmp_path / "r.lock.json").exists()
