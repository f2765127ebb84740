"""Other tools on the same way: registry → media → registry. Each gets the commands that suit it best.

Their work is not quite the same: none signs, splits or syncs, and each writes its own form of media. `check` in
`benchlib.registries` makes sure that all images arrive unchanged.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchlib.content import Image
from benchlib.measure import Line

JOBS = "4"
"""As many connections as airgap uses; oras would take 3."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way of using a tool. `pull` and `push` get host, images and the media's folder.

    `together`: all images land in the repository `all`, under one index and by digest, not by name.
    """

    name: str
    program: str
    pull: Callable[[str, Sequence[Image], str], list[Line]]
    push: Callable[[str, Sequence[Image], str], list[Line]]
    together: bool = False


def _skopeo_pull(host: str, images: Sequence[Image], out: str) -> list[Line]:
    line = ["skopeo", "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"]
    return [[*line, f"docker://{host}/{one.name}", f"oci:{out}:{one.name}"] for one in images]


def _skopeo_push(host: str, images: Sequence[Image], out: str) -> list[Line]:
    line = ["skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]
    return [[*line, f"oci:{out}:{one.name}", f"docker://{host}/{one.name}"] for one in images]


def _sync_pull(_host: str, _images: Sequence[Image], out: str) -> list[Line]:
    line = ["skopeo", "sync", "--preserve-digests", "--src", "yaml", "--dest", "dir"]
    return [[*line, "skopeo.yaml", out]]


def _sync_push(host: str, _images: Sequence[Image], out: str) -> list[Line]:
    line = ["skopeo", "sync", "--preserve-digests", "--src", "dir", "--dest", "docker"]
    return [[*line, "--dest-tls-verify=false", out, host]]


def _crane_pull(host: str, images: Sequence[Image], out: str) -> list[Line]:
    line = ["crane", "pull", "--insecure", "--format=oci"]
    return [[*line, f"{host}/{one.name}", f"{out}/{one.repository}"] for one in images]


def _crane_push(host: str, images: Sequence[Image], out: str) -> list[Line]:
    line = ["crane", "push", "--insecure"]
    return [[*line, f"{out}/{one.repository}", f"{host}/{one.name}"] for one in images]


def _crane_pull_all(host: str, images: Sequence[Image], out: str) -> list[Line]:
    line = ["crane", "pull", "--insecure", "--format=oci", "--annotate-ref"]
    return [[*line, *(f"{host}/{one.name}" for one in images), out]]


def _crane_push_all(host: str, _images: Sequence[Image], out: str) -> list[Line]:
    return [["crane", "push", "--insecure", "--index", out, f"{host}/all:v1"]]


def _oras_pull(host: str, images: Sequence[Image], out: str) -> list[Line]:
    line = ["oras", "copy", "--no-tty", "--concurrency", JOBS, "--from-plain-http"]
    return [[*line, f"{host}/{one.name}", "--to-oci-layout", f"{out}:{one.repository}"] for one in images]


def _oras_push(host: str, images: Sequence[Image], out: str) -> list[Line]:
    line = ["oras", "copy", "--no-tty", "--concurrency", JOBS, "--to-plain-http"]
    return [[*line, "--from-oci-layout", f"{out}:{one.repository}", f"{host}/{one.name}"] for one in images]


PEERS = (
    # A process an image, but one layout, in which shared layers lie once.
    Peer("skopeo", "skopeo", _skopeo_pull, _skopeo_push),
    # One process, but no shared layers: `dir:` has a folder an image.
    Peer("skopeo sync", "skopeo", _sync_pull, _sync_push),
    # A process and a layout an image: what crane can push under the image's own name.
    Peer("crane", "crane", _crane_pull, _crane_push),
    # One process and one layout; crane can push it only as one index, so the names are lost.
    Peer("crane, one index", "crane", _crane_pull_all, _crane_push_all, together=True),
    # A process an image; one layout.
    Peer("oras", "oras", _oras_pull, _oras_push),
)


def clean_env(folder: Path) -> dict[str, str]:
    """Environment in which no peer knows of what an earlier one did: skopeo's cache of blobs goes to `folder`.

    For root that cache has a fixed place, so skopeo is told to be somebody's.
    """
    env = {"XDG_DATA_HOME": str(folder)}
    return env | ({} if os.geteuid() else {"_CONTAINERS_ROOTLESS_UID": "1000"})


_VERSIONS = {"skopeo": ["--version"], "crane": ["version"], "oras": ["version"]}


def present() -> tuple[list[Peer], dict[str, str]]:
    """The peers whose program is on PATH, and every program's version, `""` for one that is not there."""
    versions = {name: _version(name) for name in _VERSIONS}
    return [peer for peer in PEERS if versions[peer.program]], versions


def _version(program: str) -> str:
    if shutil.which(program) is None:
        return ""
    line = [program, *_VERSIONS[program]]
    said = subprocess.run(line, capture_output=True, text=True, check=False).stdout.split("\n")[0]
    return said.split()[-1] if said.split() else "unknown"


def prepare(folder: Path, host: str, images: Sequence[Image]) -> None:
    """The list of images that `skopeo sync` reads."""
    lines = "".join(f"    {one.repository}: [{one.name.partition(':')[2]}]\n" for one in images)
    (folder / "skopeo.yaml").write_text(f"'{host}':\n  tls-verify: false\n  images:\n{lines}")
