"""A small site for tests of the command line: a request, a lock, a store, a delivery, and what was imported of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.parts import images
from tests.worlds.commands import PASSWORD, Said, run_airgap, run_process
from tests.worlds.site import CUT, GAP, HEAD, Site

AUDIT = ("audit", *GAP, "--receipt", "receipt.json")
DRIFT = ("audit", "--sovereign", "drift.yaml", "--trust", "trust.yaml", "--receipt", "drift.json")
NAME = "demo.local/app:v1"


def airgap(site: Site, *line: str, stdout: int = subprocess.PIPE, before: tuple[str, ...] = (), **environ: str) -> Said:
    """Runs a command as it is typed, in a process of its own where `before` starts it or its stdout is a descriptor."""
    given = {**PASSWORD, **environ}
    if before or stdout != subprocess.PIPE:
        return run_process(line, site.folder, given, before=before, stdout=stdout, hasty="netns" in before)
    return run_airgap(line, site.folder, given)


def make_site(folder: Path) -> Site:
    """A folder in which a delivery was cut and imported twice; one blob of the second import is gone."""
    made = Site(folder)
    images.make_image(made.folder / "made", "v1")
    spec = f"spec:\n  images:\n  - {{ref: 'oci:made:v1', name: {NAME}}}\n"
    made.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\n{spec}")
    for name, inside in (("sovereign", "inside"), ("drift", "changed")):
        spec = f"spec: {{stateDir: state, directory: {inside}}}\n"
        made.write(f"{name}.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    made.run("lock", "r.request.yaml")
    made.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    made.run(*CUT, "media")
    key = ("--key", "sovereign.key", "--receipt")
    made.run("import", "media", *GAP, *key, "receipt.json")
    made.run("import", "media", "--sovereign", "drift.yaml", "--trust", "trust.yaml", *key, "drift.json")
    blobs = (made.folder / "changed/oci/blobs/sha256").iterdir()
    max(blobs, key=lambda path: path.stat().st_size).unlink()
    (made.folder / "wrong").write_text("not the password\n")
    (made.folder / "wrong").chmod(0o600)
    return made


def start(site: Site, *arguments: str) -> subprocess.Popen[bytes]:
    """A command that runs on its own."""
    environ = {**os.environ, "AIRGAP_KEY_PASSWORD_FILE": "password"}
    command = [sys.executable, "-m", "airgap.cli.main", *arguments]
    return subprocess.Popen(command, cwd=site.folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
