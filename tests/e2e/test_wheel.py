"""The wheel, built with the locked tools: all that it needs is in it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from airgap.jobs.own_wheel import own_wheel

ROOT = Path(__file__).parents[2]
REQUEST = "airgap/shipped/examples/demo.request.yaml"
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


def _bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file; of METADATA the fields alone: in an editable installation, the README in it may be an older one."""
    data = archive.read(name)
    return data.partition(b"\n\n")[0] if name.endswith("/METADATA") else data


@pytest.mark.slow
def test_the_wheel_that_the_program_makes_of_itself_holds_the_same(wheel: Path) -> None:
    """`airgap pack` makes it without a build backend; tests/e2e/test_pack.py installs that one, and runs its demo."""
    with zipfile.ZipFile(wheel) as built, zipfile.ZipFile(io.BytesIO(own_wheel())) as own:
        assert sorted(own.namelist()) == sorted(built.namelist())
        differ = [name for name in built.namelist() if _bytes(own, name) != _bytes(built, name)]
    assert [Path(name).name for name in differ] == ["WHEEL", "RECORD"]  # they name who made it


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
