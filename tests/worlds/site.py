"""A folder with keys, a Trust and requests, where commands are run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.worlds.commands import PASSWORD, run_airgap

HEAD = "apiVersion: airgap.openova.io/v1alpha1\n"
TRUST = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Trust
metadata: {name: bank}
spec:
  sovereign: bank
  keys:
  - name: exporter
    role: exporter
    publicKeyFile: exporter.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2036-01-01T00:00:00Z
  - name: sovereign
    role: sovereign
    publicKeyFile: sovereign.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2036-01-01T00:00:00Z
  require: [pull, delivery]
"""
STATION_TRUST = TRUST.replace(
    "  require: [pull, delivery]\n",
    """\
  - name: station
    role: station
    publicKeyFile: station.pub
    notBefore: 2026-01-01T00:00:00Z
    notAfter: 2036-01-01T00:00:00Z
  require: [verdict, pull, delivery]
""",
)
"""With a station, whose verdict is required."""
GAP = ("--sovereign", "sovereign.yaml", "--trust", "trust.yaml")
CHECKED = ("--trust", "trust.yaml")
CUT = ("bundle", "r.lock.json", "--store", "store", "--key", "exporter.key", "--for", "bank", "--to")


def checked(thing: str) -> tuple[str, ...]:
    """What `extract` needs for a delivery, and not for a store."""
    return CHECKED if thing.startswith("media") else ()


class Site:
    """A folder with keys and a trust file, where commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "password").write_text("for tests\n")
        (folder / "password").chmod(0o600)
        (folder / "trust.yaml").write_text(TRUST)
        for name in ("exporter", "sovereign", "stranger"):
            self.run("keys", "generate", name)

    def run(self, *arguments: str, expect: int | None = 0) -> Any:
        """Runs a command with `--json`; returns its document. `None` leaves open how it ends."""
        said = run_airgap([*arguments, "--json"], self.folder, PASSWORD)
        assert expect is None or said.code == expect, f"{arguments}: {said}"
        return json.loads(said.out) if said.out.strip() else None

    def write(self, name: str, text: str) -> None:
        """A file of the site, which may be a secret."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)


def sovereign_of(*urls: str) -> str:
    registries = "".join(f"  - {{url: 'http://{url}', projects: {{{{ORIGIN}}: hub}}}}\n" for url in urls)
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: bank}\nspec:\n  stateDir: state\n"
    return head + "  registries:\n" + registries


REQUEST = Path(__file__).parents[2] / "manifests" / "demo.request.yaml"
