"""`airgap pack`: the program goes inside as one archive, and is installed where no route leads out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from airgap.version import VERSION
from tests.parts.need import require_part
from tests.parts.system import NetworkNamespace
from tests.worlds.commands import run_airgap

pytestmark = [pytest.mark.e2e, pytest.mark.part("wheels")]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
TARGET = ("--python", PYTHON, "--arch", platform.machine())
TOOL = f"airgap-tool-{VERSION}"
BARE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def offline() -> dict[str, str]:
    """pip's settings: packages come from the part, and from no index."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(require_part("wheels")), "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    said = run_airgap(["pack", "-o", "tool.tar", *TARGET, "--json"], folder, offline())
    assert said.code == 0, said
    document = json.loads(said.out)
    assert document["sha256"] == hashlib.sha256((folder / "tool.tar").read_bytes()).hexdigest()
    assert document["size"] == (folder / "tool.tar").stat().st_size
    return folder / "tool.tar"


def sh(argv: Sequence[str | Path], cwd: Path, env: Mapping[str, str], expect: int = 0) -> str:
    done = subprocess.run(argv, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    assert done.returncode == expect, f"{argv}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.part("git", "iproute2")
def test_one_command_installs_it_where_no_route_leads_out_and_the_demo_runs(
    archive: Path, tmp_path: Path, netns: NetworkNamespace
) -> None:
    """With the Python that is here and nothing else: no pip, no environment, no index."""
    env = BARE | {"PATH": f"{sys.base_prefix}/bin:{BARE['PATH']}", "HOME": str(tmp_path)}
    inside = netns.argv()
    sh([*inside, "tar", "xf", archive], tmp_path, env)
    sh([*inside, "sh", f"{TOOL}/install", "opt"], tmp_path, env)
    program = tmp_path / "opt" / "current" / "bin" / "airgap"
    empty = tmp_path / "empty"
    empty.mkdir()
    rows = json.loads(sh([*inside, program, "demo", "--json", "-q"], empty, env))["rows"]
    assert len(rows) > 10
    assert [row for row in rows if not row["result"].endswith(", as claimed")] == []
    assert list(empty.iterdir()) == []
    assert "insert that disc" in sh([*inside, program, "help", "volume-missing"], empty, env)
    assert "kind: Policy" in sh([*inside, program, "help", "examples/platform.policy.yaml"], empty, env)
    assert (tmp_path / "opt/current/share/man/man1/airgap.1").is_file()
    assert os.readlink(tmp_path / "opt" / "current") == VERSION


def test_packed_again_it_has_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    said = run_airgap(["pack", "-o", "again.tar", *TARGET], tmp_path, offline())
    assert said.code == 0, said
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in said.out


def test_a_damaged_file_is_found_before_anything_is_installed(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    with (tmp_path / TOOL / "wheels" / f"airgap-{VERSION}-py3-none-any.whl").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1")
    said = sh(["sh", f"{TOOL}/install", "opt"], tmp_path, BARE, expect=1)
    assert "damaged on the way" in said
    assert not (tmp_path / "opt").exists()


def test_it_says_which_python_and_processor_it_is_for(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    tool = tmp_path / TOOL
    env = {"PATH": f"{sys.base_prefix}/bin:{BARE['PATH']}"}
    for name, word, said in (("ARCHITECTURES", "riscv64", "--arch"), ("PYTHONS", "3.99", "--python")):
        was, kept = (tool / name).read_text(), (tool / "SHA256SUMS").read_text()
        (tool / name).write_text(f"{word}\n")
        sums = "".join(
            f"{hashlib.sha256((tool / line[66:]).read_bytes()).hexdigest()}  {line[66:]}\n"
            for line in (tool / "SHA256SUMS").read_text().splitlines()
        )
        (tool / "SHA256SUMS").write_text(sums)
        assert said in sh(["sh", "install", tmp_path / "opt"], tool, env, expect=1)
        assert not (tmp_path / "opt").exists()
        (tool / name).write_text(was)
        (tool / "SHA256SUMS").write_text(kept)
    # A link that is made in a folder of that name would lead nowhere.
    (tmp_path / "opt/current").mkdir(parents=True)
    assert "remove it" in sh(["sh", "install", tmp_path / "opt"], tool, env, expect=1)


def test_a_package_that_is_not_the_locked_one_stops_it(tmp_path: Path) -> None:
    """pip checks the hashes, so another file of the same name is no package for it."""
    links = tmp_path / "links"
    links.mkdir()
    for path in require_part("wheels").iterdir():
        (links / path.name).symlink_to(path)
    [victim] = links.glob("rfc8785-*.whl")
    victim.unlink()
    with zipfile.ZipFile(victim, "w") as made:
        made.writestr("rfc8785/__init__.py", "raise SystemExit('hostile')")
    said = run_airgap(["pack", "-o", "t.tar", *TARGET], tmp_path, offline() | {"PIP_FIND_LINKS": str(links)})
    said.refused(5, "pip-failed")
    assert not (tmp_path / "t.tar").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-o", "t.tar", "--python", "2.7"), "usage"),
        (("-o", "t.tar", "--arch", "riscv"), "usage"),
        (("-o", "none/t.tar"), "no-folder"),
        (("-o", "."), "bad-path"),
        (("-o", "there"), "other-file"),
        (("-o", "t.tar", "--python", "3.13" if PYTHON != "3.13" else "3.12"), "no-wheel"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(words: tuple[str, ...], code: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    said = run_airgap(["pack", *words], tmp_path, offline())
    assert (said.code, f"[{code}]" in said.err) == (2, True), said
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "mine"
