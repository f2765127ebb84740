"""One delivery after another from one site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.parts import images
from tests.worlds.site import GAP, HEAD, Site

KEY = ("--key", "sovereign.key")
DRIFT = ("missing", "changed", "extra", "unknown")
BLOBS = "inside/oci/blobs/sha256"


class Row:
    """A site with a hand-made layout, from which deliveries are cut: `deliver(1, v1=…)` gives the folder `media1`."""

    def __init__(self, folder: Path) -> None:
        self.site, self.folder = Site(folder), folder
        self.layout = images.Layout(folder / "made")
        self.inside("  directory: inside\n")

    def inside(self, spec: str) -> None:
        """Where things go."""
        self.site.write(
            "sovereign.yaml",
            f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\nspec:\n  stateDir: state\n{spec}",
        )

    def deliver(self, number: int, names: Mapping[str, str], more: str = "", name: str = "r") -> str:
        """Locks `oci:made:TAG` under each name, in a lock called `name`, and cuts."""
        refs = "".join(f"  - {{ref: 'oci:made:{tag}', name: '{item}'{more}}}\n" for item, tag in names.items())
        return self.cut_of(number, f"  images:\n{refs}", name)

    def cut_of(self, number: int, spec: str, name: str = "r") -> str:
        """Locks what `spec` lists, in a lock called `name`, and cuts."""
        self._lock(number, spec, name)
        return self.cut_to(number, f"media{number}")

    def lock_of(self, number: int, names: Mapping[str, str]) -> None:
        """Locks `oci:made:TAG` under each name, and pulls."""
        refs = "".join(f"  - {{ref: 'oci:made:{tag}', name: '{item}'}}\n" for item, tag in names.items())
        self._lock(number, f"  images:\n{refs}", "r")

    def _lock(self, number: int, spec: str, name: str) -> None:
        request = f"{HEAD}kind: Request\nmetadata: {{name: {name}}}\nspec:\n{spec}"
        self.site.write(f"r{number}.request.yaml", request)
        self.site.run("lock", f"r{number}.request.yaml")
        self.site.run("pull", f"r{number}.lock.json", "--store", "store", "--key", "exporter.key")

    def cut_to(self, number: int, media: str, *more: str) -> str:
        """Cuts what was locked."""
        cut = ("--store", "store", "--to", media, "--for", "bank", "--key", "exporter.key")
        self.site.run("bundle", f"r{number}.lock.json", *cut, *more)
        return media

    def take(self, media: str, *more: str, expect: int = 0) -> Any:
        """Imports it; the receipt is `MEDIA.receipt`."""
        return self.site.run("import", media, *GAP, *KEY, "--receipt", f"{media}.receipt", *more, expect=expect)

    def audit(self, media: str, expect: int = 0) -> list[tuple[str, str]]:
        """(state, name or digest) of what is drift."""
        found = self.site.run("audit", *GAP, "--receipt", f"{media}.receipt", expect=expect)
        return [(f["state"], f["name"] or f["expected"]) for f in found["findings"] if f["state"] in DRIFT]

    def audit_deep(self, media: str) -> set[str]:
        """The states of names that a deep audit finds; they are not all good."""
        found = self.site.run("audit", *GAP, "--deep", "--receipt", f"{media}.receipt", expect=3)
        return {finding["state"] for finding in found["findings"]}
