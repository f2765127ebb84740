"""`airgap extract` gives the thing: charts, models, files, repositories, archives, and the seed phase."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from airgap.base.errors import InputError
from airgap.cli.app import build
from airgap.jobs.extracting.target import check_staged, write_file
from airgap.store.memory import Memory
from tests.parts.containerd import Containerd
from tests.parts.fixtures import scratch
from tests.parts.need import run
from tests.parts.system import NetworkNamespace
from tests.worlds.commands import run_airgap
from tests.worlds.git_sources import git
from tests.worlds.no_route import Inside
from tests.worlds.site import CHECKED, HEAD, Site, checked
from tests.worlds.things import (
    APP,
    CHART,
    CHART_FILE,
    LARGE,
    MODEL,
    PAUSE,
    PROGRAM,
    WEIGHTS,
    burn_things,
    deliver_things,
    packed_chart,
    root_of,
)

AMD64 = "linux/amd64"
pytestmark = [pytest.mark.e2e, pytest.mark.part("git-lfs")]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose delivery nobody changes."""
    return deliver_things(tmp_path_factory.mktemp("things"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("source", ["media", "store"])
def test_charts_models_and_files_come_out_as_files(things: Site, source: str, tmp_path: Path) -> None:
    trust, packed = checked(source), packed_chart()
    line = ("extract", source, *trust)
    things.run(*line, CHART, "--to", str(tmp_path / "charts"))
    assert files(tmp_path / "charts") == {CHART_FILE: packed, f"{CHART_FILE}.prov": b"signed\n"}
    things.run(*line, CHART, "--to", str(tmp_path / "x.tgz"))
    assert (tmp_path / "x.tgz").read_bytes() == packed
    assert (tmp_path / "x.tgz.prov").read_bytes() == b"signed\n"
    things.run(*line, MODEL, "--to", str(tmp_path / "model"))
    assert files(tmp_path / "model") == {"tiny.safetensors": WEIGHTS, "inner/config.json": b"{}"}
    done = things.run(*line, "bin/k3s", "--to", str(tmp_path / "k3s"))
    assert (tmp_path / "k3s").read_bytes() == PROGRAM
    assert done["files"] == [{"path": "", "sha256": hashlib.sha256(PROGRAM).hexdigest(), "size": len(PROGRAM)}]
    # Into a folder that has other files, and again: what is there already stays.
    (tmp_path / "charts/mine").write_text("mine")
    things.run(*line, "bin/k3s", "--to", str(tmp_path / "charts"))
    said = run_airgap((*line, CHART, "--to", str(tmp_path / "charts")), things.folder)
    assert (said.code, "2 files already there" in said.out) == (0, True)
    assert sorted(files(tmp_path / "charts")) == sorted(["mine", "k3s", CHART_FILE, f"{CHART_FILE}.prov"])
    (tmp_path / "charts" / CHART_FILE).write_text("another")
    assert things.run(*line, CHART, "--to", str(tmp_path / "charts"), expect=2)["code"] == "not-empty"


@pytest.mark.part("helm")
def test_helm_takes_the_chart_and_checks_nothing_else(things: Site, tmp_path: Path) -> None:
    things.run("extract", "media", *CHECKED, CHART, "--to", str(tmp_path / "c"))
    assert "version: 0.1.0+build5" in run("helm", "show", "chart", tmp_path / "c" / CHART_FILE)


@pytest.mark.parametrize("source", ["media", "store"])
def test_a_repository_comes_out_bare_or_with_a_work_tree(things: Site, source: str, tmp_path: Path) -> None:
    line = ("extract", source, *checked(source), "demo/work")
    commit = git("rev-parse", "HEAD", cwd=things.folder / "work").strip()
    assert things.run(*line, "--to", str(tmp_path / "work.git"))["as"] == "bare"
    clone = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
    git("clone", "--quiet", tmp_path / "work.git", tmp_path / "clone", cwd=tmp_path, env=clone)
    assert git("rev-parse", "HEAD", "v1", cwd=tmp_path / "clone").split() == [commit, commit]
    git("fsck", "--strict", cwd=tmp_path / "work.git")
    git("lfs", "install", "--local", cwd=tmp_path / "clone")
    git("lfs", "pull", cwd=tmp_path / "clone")
    assert (tmp_path / "clone/large.bin").read_bytes() == LARGE
    assert things.run(*line, "--to", str(tmp_path / "tree"))["as"] == "worktree"
    assert (tmp_path / "tree/large.bin").read_bytes() == LARGE
    assert (tmp_path / "tree/README.md").read_text() == "hello\n"
    git("lfs", "install", "--local", cwd=tmp_path / "tree")
    assert git("status", "--porcelain", "--branch", cwd=tmp_path / "tree") == "## main\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.part("skopeo", "containerd")
def test_several_images_in_one_archive_for_everybody(things: Site, tmp_path: Path, stack: ExitStack) -> None:
    line = ("extract", "media", *CHECKED, APP, PAUSE)
    things.run(*line, "--to", str(tmp_path / "two.tar"))
    containerd = Containerd(scratch(stack, "ctr"))
    stack.callback(containerd.stop)
    containerd.ctr("images", "import", "--no-unpack", "--all-platforms", tmp_path / "two.tar")
    listed = {row.split()[0]: row.split()[2] for row in containerd.ctr("images", "ls").splitlines()[1:]}
    assert listed == {APP: root_of(things, APP), PAUSE: root_of(things, PAUSE)}
    # One that docker loads: it holds one platform of each.
    refused = run_airgap((*line, "--as", "docker-archive", "--to", str(tmp_path / "d.tar")), things.folder)
    refused.refused(2, "no-platform", "--platform linux/amd64")
    amd64 = ("--as", "docker-archive", "--platform", "linux/amd64")
    things.run(*line, *amd64, "--to", str(tmp_path / "d.tar"))
    copy = ("skopeo", "copy", "--insecure-policy", f"docker-archive:{tmp_path}/d.tar:{APP}", f"oci:{tmp_path}/copy:it")
    run(*copy)
    [copied] = json.loads((tmp_path / "copy/index.json").read_text())["manifests"]
    assert copied["mediaType"].endswith("manifest.v1+json")
    containerd.ctr("images", "rm", APP, PAUSE)
    containerd.ctr("images", "import", "--no-unpack", tmp_path / "d.tar")
    assert set(containerd.ctr("images", "ls", "--quiet").split()) == {APP, PAUSE}


@pytest.mark.part("containerd")
def test_the_seed_phase_in_one_run(things: Site, tmp_path: Path, stack: ExitStack) -> None:
    line = ("extract", "media", "--phase", "seed", *CHECKED, "--to", str(tmp_path / "seed"))
    planned = things.run(*line, "--dry-run")
    assert list(tmp_path.iterdir()) == []
    done = things.run(*line)
    seed = tmp_path / "seed"
    charts = {f"static/charts/{CHART_FILE}", f"static/charts/{CHART_FILE}.prov"}
    images = {"images/registry.local_team_app_1.0.tar", "images/registry.local_team_pause_3.9.tar"}
    assert set(files(seed)) == charts | images | {"files/bin/k3s", "SEED.json", "SHA256SUMS"}
    assert {(one["path"], one["size"]) for one in planned["files"]} == {
        (one["path"], one["size"]) for one in done["files"]
    }
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=seed, check=True)
    manifest = json.loads((seed / "SEED.json").read_text())
    assert {item["image"]: item["digest"] for item in manifest["items"] if "image" in item} == {
        APP: root_of(things, APP),
        PAUSE: root_of(things, PAUSE),
    }
    containerd = Containerd(scratch(stack, "ctr"))
    stack.callback(containerd.stop)
    for path in sorted((seed / "images").iterdir()):
        containerd.ctr("images", "import", "--no-unpack", "--all-platforms", path)
    assert set(containerd.ctr("images", "ls", "--quiet").split()) == {APP, PAUSE}
    # A store says no phases; the lock does. One platform is enough for nodes of one kind.
    store = ("extract", "store", "--phase", "seed", "--to", str(tmp_path / "other"))
    assert "--lock" in things.run(*store, expect=2)["hint"]
    things.run(*store, "--lock", "r.lock.json", "--platform", "linux/arm64", expect=2)  # pause is for amd64 alone
    things.run(*store, "--lock", "r.lock.json", "--platform", "linux/amd64")
    with tarfile.open(tmp_path / "other/images/registry.local_team_app_1.0.tar") as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
    assert index["manifests"][0]["mediaType"].endswith("manifest.v1+json")
    assert things.run(*line, expect=2)["code"] == "not-empty"


def test_files_with_names_of_hidden_files(tmp_path: Path) -> None:
    """An item may have a file under any name that a program could choose while it writes."""
    site = Site(tmp_path)
    (tmp_path / "model").mkdir()
    names = ["config.json", ".config.json.partial", "w.safetensors"]
    for name in names:
        (tmp_path / "model" / name).write_text(name)
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two")
    paths = {"bin/.k3s.partial": b"one", "bin/k3s": b"two", "acme": b"one"}
    files = "".join(
        f"  - {{file: {data.decode()}, path: {path}, phase: seed, sha256: {hashlib.sha256(data).hexdigest()}}}\n"
        for path, data in paths.items()
    )
    models = "  models:\n  - {directory: model, name: acme/tiny}\n"
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{models}  files:\n{files}")
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store")
    site.run("extract", "store", "acme/tiny", "--to", "tiny")
    assert {path.name: path.read_text() for path in (tmp_path / "tiny").iterdir()} == {name: name for name in names}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/.other.partial").write_text("mine")
    site.run("extract", "store", *paths, "--to", "bin")
    assert sorted(os.listdir(tmp_path / "bin")) == [".k3s.partial", ".other.partial", "acme", "k3s"]
    assert (tmp_path / "bin/.k3s.partial").read_bytes() == b"one"
    seed = ("extract", "store", "--lock", "r.lock.json", "--phase", "seed")
    site.run(*seed, "--to", "seed")
    assert (tmp_path / "seed/files/bin/.k3s.partial").read_bytes() == b"one"
    # The model would be in a folder that has the name of a file.
    assert site.run(*seed, "acme/tiny", "--to", "more", expect=2)["code"] == "key-conflict"


def test_a_disk_that_takes_two_names_for_one(tmp_path: Path) -> None:
    blob = Memory("here").add("", b"new")
    (tmp_path / "README").write_bytes(b"there")
    with pytest.raises(InputError, match="takes two names for one"):
        write_file(Memory("here"), blob, tmp_path / "README")
    assert (tmp_path / "README").read_bytes() == b"there"


def test_the_current_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for to in (Path(), tmp_path):
        with pytest.raises(InputError, match="would take the place of this one"):
            check_staged(to)


def test_names_may_stand_behind_options(tmp_path: Path) -> None:
    parse = build().parse
    found = parse(["extract", str(tmp_path), "--trust", "t", "A", "-q", "B", "--to=x", "C"])
    assert (found.names, found.to, found.quiet) == (["A", "B", "C"], Path("x"), True)
    found = parse(["extract", str(tmp_path), "--to", "x", "--", "--odd"])
    assert found.names == ["--odd"]
    found = parse(["verify", str(tmp_path), "-j4", str(tmp_path), "--trust", "t", str(tmp_path)])
    assert (len(found.delivery), found.jobs) == (3, 4)
    with pytest.raises(InputError, match="unknown option --odd"):
        parse(["extract", str(tmp_path), "--odd", "A", "--to", "x", "B"])


def test_a_seed_is_whole_or_not_there(things: Site, tmp_path: Path) -> None:
    for path in (things.folder / "media").rglob("*"):
        if path.is_file():
            copy = tmp_path / "media" / path.relative_to(things.folder / "media")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    [volume] = (tmp_path / "media").glob("vol-*")
    data = volume.read_bytes()
    at = data.index(b"signed\n")
    volume.write_bytes(data[:at] + b"Signed\n" + data[at + 7 :])
    to = tmp_path / "seed"
    said = things.run("extract", str(tmp_path / "media"), "--unverified", "--phase", "seed", "--to", str(to), expect=4)
    assert volume.name in said["error"]
    said = things.run("extract", str(tmp_path / "media"), "--unverified", CHART, "--to", str(to), expect=4)
    assert volume.name in said["error"]
    assert sorted(os.listdir(tmp_path)) == ["media"]


def test_discs_and_what_a_killed_run_left(things: Site, tmp_path: Path) -> None:
    first, *others = burn_things(things)
    (tmp_path / ".x.partial/new").mkdir(parents=True)
    (tmp_path / ".x.partial/new/half").write_text("half")
    line = ("extract", first, *CHECKED, "--phase", "seed", "--to", str(tmp_path / "x"))
    said = things.run(*line, expect=5)
    assert (said["code"], "--volumes FOLDER" in said["hint"]) == ("volume-missing", True)
    assert list(tmp_path.iterdir()) == []
    things.run(*line, *(word for other in others for word in ("--volumes", other)))
    assert {path.name for path in tmp_path.iterdir()} == {"x"}
    assert not list((tmp_path / "x").rglob("half"))


def test_nothing_is_written_where_there_is_no_room(things: Site, tiny_tmpfs: Callable[[int], Path]) -> None:
    small = tiny_tmpfs(8 << 10)
    for words in (("--phase", "seed"), ("demo/work",), (MODEL,), (APP, "--as", "docker-archive", "--platform", AMD64)):
        said = things.run("extract", "media", *CHECKED, *words, "--to", str(small / "x"), expect=5)
        assert said["code"] == "disk-full"
        assert list(small.iterdir()) == []


@pytest.mark.part("iproute2")
def test_the_seed_phase_needs_no_network(things: Site, netns: NetworkNamespace, tmp_path: Path) -> None:
    inside = Inside(things, netns)
    before = inside.asked()
    inside.run("extract", "media", "--phase", "seed", *CHECKED, "--to", str(tmp_path / "seed"))
    assert inside.asked() == before


def test_what_makes_no_sense_is_refused_with_the_way_on(things: Site, tmp_path: Path) -> None:
    to, line = ("--to", str(tmp_path / "x")), ("extract", "media", *CHECKED)
    for words, code, hint in (
        ((*to,), "usage", "--phase seed"),
        (("registry.local/team/ap:1.0", *to), "no-such-item", APP),
        ((APP, CHART, *to), "usage", "--as oci"),
        ((CHART, "--as", "docker-archive", *to), "usage", "files"),
        ((APP, "--as", "files", *to), "usage", "docker-archive"),
        ((CHART, "--to", str(tmp_path / "x.tar")), "bad-path", ".tgz"),
        ((APP, "--platform", "linux/s390x", *to), "no-platform", "linux/amd64"),
        ((MODEL, "--platform", "linux/amd64", *to), "usage", "leave it out"),
        (("--phase", "seed", "--as", "oci", *to), "usage", "leave out --as"),
        (("--phase", "seed", "demo/work", *to), "no-seed-form", "without --phase"),
        ((APP, "--to", "/dev/null"), "bad-path", "name a file"),
        ((APP, "--lock", "r.lock.json", *to), "usage", "leave out --lock"),
    ):
        said = things.run(*line, *words, expect=2)
        assert (said["code"], hint in said["hint"]) == (code, True), (words, said)
    assert list(tmp_path.iterdir()) == []
    # Any graph comes out as a layout, as before.
    done = things.run(*line, "demo/work", "--as", "oci", *to)
    assert json.loads((tmp_path / "x/index.json").read_text())["manifests"][0]["digest"] == done["digest"]
