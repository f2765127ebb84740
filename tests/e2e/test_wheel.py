"""The wheel, built with the locked tools and installed away from the checkout: all that it needs is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUEST = "airgap/cli/demo.request.yaml"
PIP_WHEEL = (
    *(sys.executable, "-m", "pip", "wheel", "--quiet"),
    *("--no-index", "--no-deps", "--no-build-isolation"),
)


def run(argv: Sequence[str | Path], cwd: Path) -> str:
    """A program's stdout; what it said is in the error when it fails."""
    # Nothing of the checkout may be found by way of the environment.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}:\n{done.stdout}{done.stderr}"
    return done.stdout


def wheel_of(source: Path, folder: Path) -> Path:
    """The wheel that the build backend makes of a source tree or archive, offline."""
    folder.mkdir()
    run([*PIP_WHEEL, "--wheel-dir", folder, source], folder)
    (wheel,) = folder.glob("airgap-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(ROOT, tmp_path_factory.mktemp("build") / "wheel")


@pytest.mark.slow
def test_the_demo_runs_from_an_installed_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", python)
    run([*pip, "install", "--no-index", "--no-deps", wheel], tmp_path)
    # Our requirements are those of the environment that the tests run in. A path that is added this
    # way has its own .pth files left alone, so the editable airgap there stays out of sight.
    (site,) = place.glob("lib/python*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    where = run([python, "-c", "import airgap; print(airgap.__file__)"], empty)
    assert Path(where.strip()).is_relative_to(place)
    rows = json.loads(run([place / "bin" / "airgap", "demo", "--json"], empty))["rows"]
    assert len(rows) > 10
    assert [row for row in rows if not row["result"].endswith(", as claimed")] == []
    assert list(empty.iterdir()) == []


@pytest.mark.slow
def test_the_wheel_holds_the_one_request_of_the_demo_and_no_link(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(REQUEST) == (ROOT / "manifests" / "demo.request.yaml").read_bytes()


@pytest.mark.slow
def test_a_wheel_made_of_the_source_archive_holds_the_same(wheel: Path, tmp_path: Path) -> None:
    run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path], ROOT)
    (archive,) = tmp_path.glob("airgap-*.tar.gz")
    run(["tar", "-xf", archive, "-C", tmp_path], ROOT)
    again = wheel_of(tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert one.namelist() == other.namelist()
        assert other.read(REQUEST) == one.read(REQUEST)
