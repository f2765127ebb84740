"""A place with the golden keys, where commands are run, and a store made of a delivery."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.worlds.commands import run_airgap

FOLDER = Path(__file__).parent
NAMES = {"exporter": "exporter", "station": "station", "security-officer": "officer", "sovereign": "sovereign"}
KEYS: Mapping[str, bytes] = {role: (FOLDER / f"keys/{name}.pub").read_bytes() for role, name in NAMES.items()}
SOVEREIGN = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Sovereign
metadata: {name: golden}
spec: {stateDir: state, directory: inside}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A folder with the golden keys and a Sovereign resource."""

    folder: Path

    def run(self, *line: str, expect: int = 0) -> Any:
        """Runs a command with `--json`; returns its document."""
        said = run_airgap([*line, "--json"], self.folder, {"AIRGAP_KEY_PASSWORD_FILE": "keys/password"})
        assert said.code == expect, said
        return json.loads(said.out)


def make_site(folder: Path) -> Site:
    """A new one in an empty folder."""
    shutil.copytree(FOLDER / "keys", folder / "keys")
    for secret in (folder / "keys").iterdir():
        secret.chmod(0o600)  # a checkout lets others read
    (folder / "sovereign.yaml").write_text(SOVEREIGN)
    return Site(folder)


def untar(archive: Path, folder: Path) -> None:
    """As people do it: tarfile's safe filters came with Python 3.11.4."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)


def unpacked(delivery: Path, store: Path) -> None:
    """The volumes as README.txt says: all unpacked over each other, split blobs put together."""
    for volume in sorted(delivery.glob("vol-*.tar")):
        untar(volume, store)
    for first in (store / "blobs/sha256").glob("*.part-0001"):
        parts = sorted(first.parent.glob(f"{first.stem}.part-*"))
        first.with_suffix("").write_bytes(b"".join(part.read_bytes() for part in parts))
        for part in parts:
            part.unlink()


def same_contents(old: Path, new: Path) -> None:
    """Two deliveries have the same `contents`, and the same bytes in their volumes."""
    contents = [json.loads((place / "AIRGAP.json").read_bytes())["contents"] for place in (old, new)]
    assert json.dumps(contents[0]) == json.dumps(contents[1])
    volumes = sorted(path.name for path in old.glob("vol-*.tar"))
    assert volumes == sorted(path.name for path in new.glob("vol-*.tar"))
    for name in volumes:
        assert (old / name).read_bytes() == (new / name).read_bytes()
