"""A real image, made of real Debian packages, and kept in the cache of parts."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from pathlib import Path

from partslib import cache
from tests.parts.need import missing, require_part

# Raised when what is below changes, so that an image of before is not taken for one of now.
RECIPE = 1
SUITE = "bookworm"
PACKAGES = ("base-files", "busybox-static")
TAG = "bookworm"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def debian_image() -> Path:
    """An OCI layout with one image under the tag "bookworm"; read it, do not write to it."""
    mmdebstrap, umoci = require_part("mmdebstrap"), require_part("umoci")
    place = cache.root() / f"debian-image-{SUITE}-{RECIPE}"
    with cache.locked("debian-image"):
        if not place.is_dir():
            with cache.becoming(place) as folder:
                _make(folder, mmdebstrap, umoci)
    return place / "layout"


def _make(folder: Path, mmdebstrap: Path, umoci: Path) -> None:
    with tempfile.TemporaryDirectory() as temp:
        tar = Path(temp) / "root.tar"
        argv = [
            *(str(mmdebstrap), "--quiet", "--variant=extract"),
            *(f"--include={','.join(PACKAGES)}", SUITE, str(tar)),
        ]
        # Fixed times, so that making it again gives the same layer.
        env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:]
            missing("an image made by mmdebstrap", f"run the tests as root ({last})")
        image = f"{folder / 'layout'}:{TAG}"
        architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
        for command in (
            ["init", "--layout", str(folder / "layout")],
            ["new", "--image", image],
            ["raw", "add-layer", "--image", image, str(tar)],
            ["config", "--image", image, "--architecture", architecture, "--config.cmd", "/bin/sh"],
            ["gc", "--layout", str(folder / "layout")],
        ):
            subprocess.run([str(umoci), *command], check=True, capture_output=True)
