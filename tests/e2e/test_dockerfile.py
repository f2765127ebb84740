"""The Dockerfile: both images built on a base made by mmdebstrap, and what each can and cannot do."""

from __future__ import annotations

import ast
import configparser
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from airgap.version import VERSION
from partslib import cache
from tests.parts import need
from tests.parts.debian import SUITE
from tests.parts.system import NetworkNamespace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.part("buildah", "mmdebstrap", "iproute2", "git"),
]
ROOT = Path(__file__).parents[2]
# Raised when what is below changes, so that a base of before is not taken for one of now.
RECIPE = 1
LEFT_OUT = ("doc", "man", "locale", "info")
BASE = "localhost/airgap-base"
USER = 10001
DRIVERS = ("overlay", "vfs")
"""The first that works here: vfs does everywhere, and copies the whole image for each step."""
PIP_PLACE = "/etc/xdg/pip"
PIP_FILES = ("cert", "client-cert")
PIP_OPTIONS = (
    *("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout"),
    *PIP_FILES,
)


def run(argv: Sequence[str | Path]) -> str:
    """A program's stdout; what it said is in the error when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def base_tar() -> Path:
    """A minimal Debian with apt, kept in the cache of parts."""
    final = cache.root() / f"dockerfile-base-{SUITE}-{RECIPE}"
    with cache.locked("dockerfile-base"):
        if not final.is_dir():
            leave_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
            with cache.becoming(final) as folder:
                options = ("--quiet", "--variant=minbase", *leave_out)
                need.run("mmdebstrap", *options, SUITE, folder / "base.tar")
    return final / "base.tar"


def pip_settings(folder: Path) -> Path:
    """How this machine's pip reaches the package index, as a folder to mount into a build."""
    found = {}
    lines = run([sys.executable, "-m", "pip", "config", "list"]).splitlines()
    # Of two, the environment's counts.
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    if "REQUESTS_CA_BUNDLE" in os.environ:
        found.setdefault("cert", os.environ["REQUESTS_CA_BUNDLE"])
    folder.mkdir()
    for name in PIP_FILES:
        if name in found:
            shutil.copyfile(found[name], folder / name)
            found[name] = f"{PIP_PLACE}/{name}"
    config = configparser.RawConfigParser()
    config["global"] = {name: value for name, value in found.items() if name in PIP_OPTIONS}
    with (folder / "pip.conf").open("w") as file:
        config.write(file)
    return folder


class Buildah:
    """Buildah with storage of its own, on the first driver that this machine can do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = need.require_part("buildah")
        for driver in DRIVERS:
            storage = ("--root", str(folder / driver), "--runroot", str(folder / f"{driver}-run"))
            self.argv = [str(program), *storage, "--storage-driver", driver]
            # The second target takes the steps of the first, where keeping a step is not a copy of all.
            self.layers = str(driver != "vfs").lower()
            probe = subprocess.run([*self.argv, "from", "scratch"], capture_output=True, check=False)
            if probe.returncode == 0 or driver == DRIVERS[-1]:
                break

    def __call__(self, *arguments: str | Path) -> str:
        return run([*self.argv, *map(str, arguments)]).strip()

    def base(self, tar: Path) -> None:
        """Makes BASE of a file system."""
        made = self("from", "scratch")
        self("add", "--quiet", made, tar, "/")
        self("commit", "--quiet", "--rm", made, BASE)

    def build(self, target: str, pip: Path) -> None:
        """Builds a target of the Dockerfile; nothing of `pip` stays in it."""
        self(
            *("build", "--quiet", f"--layers={self.layers}"),
            *("--isolation", "chroot", "--network", "host"),
            *("--volume", f"{pip}:{PIP_PLACE}:ro", "--build-arg", f"BASE={BASE}"),
            *("--target", target, "--tag", f"airgap:{target}", ROOT),
        )

    def remove(self) -> None:
        """Ends all containers and removes the storage."""
        self("rm", "--all")
        shutil.rmtree(self.folder)


class Image:
    """A container of an image: `run` runs a command in it, as the image's own user."""

    def __init__(self, buildah: Buildah, target: str) -> None:
        self.buildah = buildah
        self.name = buildah("from", f"localhost/airgap:{target}")
        self.root = Path(buildah("mount", self.name))

    def argv(self, *command: str, mounts: Sequence[str] = ()) -> list[str]:
        """The command line that runs a command in it; a mount is `SOURCE:PLACE[:ro]`."""
        volumes = [word for mount in mounts for word in ("--volume", mount)]
        isolation = ("--isolation", "chroot", "--network", "host")
        return [*self.buildah.argv, "run", *isolation, *volumes, self.name, "--", *command]

    def run(self, *command: str) -> str:
        """A command's stdout."""
        return run(self.argv(*command))

    def modules(self, *names: str) -> set[str]:
        """Which of these modules airgap's Python finds there."""
        code = f"import importlib.util as u; print(*[n for n in {names!r} if u.find_spec(n)])"
        return set(self.run("/opt/airgap/bin/python", "-c", code).split())


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """Both images, built."""
    need.require_root("building images")
    folder = tmp_path_factory.mktemp("dockerfile")
    made = Buildah(folder / "storage")
    try:
        made.base(base_tar())
        for target in ("connected", "gap"):
            made.build(target, pip_settings(folder / f"pip-{target}"))
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def connected(buildah: Buildah) -> Image:
    return Image(buildah, "connected")


@pytest.fixture(scope="module")
def gap(buildah: Buildah) -> Image:
    return Image(buildah, "gap")


def test_the_command_is_there_and_is_not_run_by_root(connected: Image, gap: Image) -> None:
    for image in (connected, gap):
        assert VERSION in image.run("airgap", "--version")
        assert "import" in image.run("airgap", "--help")
        assert image.run("id", "-u", "-n").strip() == "airgap"
        assert image.run("id", "-g").strip() == str(USER)


def test_nothing_in_the_gap_image_fetches_software(gap: Image) -> None:
    assert not (gap.root / "usr/lib/apt/methods").exists()
    fetchers = {"curl", "wget", "pip", "pip3", "easy_install", "podman", "docker", "uv", "pipx"}
    programs = {path.name for path in gap.root.glob("**/bin/*")}
    assert programs & fetchers == set()
    assert {"airgap", "git", "python3"} <= programs
    absent = ("pip", "setuptools", "ensurepip", "docker")
    assert gap.modules(*absent) == set()
    assert [path for path in gap.root.glob("**/*-packages/*") if path.name in absent] == []


def test_each_image_has_the_libraries_of_its_zone(connected: Image, gap: Image) -> None:
    both = ("boto3", "sigstore", "zstandard")
    assert gap.modules(*both) == set(both)
    more = (*both, "docker")
    assert connected.modules(*more, "pip") == set(more)


def test_nothing_of_the_building_machine_stays_in_the_images(connected: Image, gap: Image) -> None:
    for image in (connected, gap):
        assert not list(image.root.glob(f"{PIP_PLACE[1:]}/*"))
        assert not list(image.root.glob("etc/pip.conf"))
        assert not (image.root / "src").exists()
        assert not (image.root / "opt/build").exists()


def test_the_demo_runs_in_the_connected_image(connected: Image) -> None:
    rows = json.loads(connected.run("airgap", "demo", "--json"))["rows"]
    assert len(rows) > 10
    assert [row for row in rows if not row["result"].endswith(", as claimed")] == []


SOVEREIGN = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Sovereign
metadata: {name: demo}
spec: {stateDir: /state, directory: /state/inside}
"""


def stage_command(file: str) -> list[str]:
    """What the pod of a stage runs."""
    spec = yaml.safe_load((ROOT / "stages" / file).read_text())["spec"]
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    return list(container["command"])


@pytest.fixture
def mounts(tmp_path: Path) -> list[str]:
    """What the stages inside the gap mount: a delivery cut on this machine, and secrets as with fsGroup."""
    demo = tmp_path / "demo"
    run([sys.executable, "-m", "airgap.cli.main", "demo", "--dir", str(demo), "--quiet"])
    for folder in ("config", "trust", "keys", "state"):
        (tmp_path / folder).mkdir()
    (tmp_path / "config" / "sovereign.yaml").write_text(SOVEREIGN)
    for path in (demo / "trust.yaml", *demo.glob("*.pub")):
        shutil.copy(path, tmp_path / "trust")
    for source, name in (("sovereign.key", "sovereign.key"), ("password", "sovereign.pw")):
        secret = Path(shutil.copy(demo / source, tmp_path / "keys" / name))
        os.chown(secret, 0, USER)
        secret.chmod(0o440)
    os.chown(tmp_path / "state", USER, USER)
    read = [f"{tmp_path / name}:/{name}:ro" for name in ("config", "trust", "keys")]
    return [*read, f"{demo / 'media'}:/media/delivery:ro", f"{tmp_path / 'state'}:/state"]


def test_the_gap_image_verifies_imports_and_audits_as_its_stages_do_where_no_route_leads_out(
    gap: Image, mounts: list[str], tmp_path: Path
) -> None:
    network = NetworkNamespace()

    def inside(*command: str) -> str:
        return network.run(gap.argv(*command, mounts=mounts)).stdout

    try:
        inside("airgap", "verify", "/media/delivery", "--trust", "/trust/trust.yaml")
        importing = stage_command("sovereign/job.yaml")
        first = json.loads(inside(*importing, "--json"))
        assert {change["outcome"] for change in first["changes"]} == {"written"}
        again = json.loads(inside(*importing, "--json"))
        assert {change["outcome"] for change in again["changes"]} == {"present"}
        found = json.loads(inside(*stage_command("audit/cronjob.yaml")))
        assert {finding["state"] for finding in found["findings"]} == {"good"}
    finally:
        network.remove()
    state = tmp_path / "state"
    assert {path.stat().st_uid for path in (state, *state.rglob("*"))} == {USER}
