"""Deliveries on media with exFAT and FAT32: cut there, copied there, read back, verified and imported from there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.parts.system import medium
from tests.worlds.site import CHECKED, CUT, GAP, Site, sovereign_of

pytestmark = [pytest.mark.e2e]
SIZE = 300 << 20
REQUEST = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Request
metadata: {name: r}
spec:
  files:
  - {file: big, path: big, sha256: SUM}
"""
SOVEREIGN = sovereign_of().replace("  registries:\n", "  directory: inside\n")


def _pulled(site: Site, data: bytes) -> None:
    """A store with one file."""
    (site.folder / "big").write_bytes(data)
    site.write("r.request.yaml", REQUEST.replace("SUM", hashlib.sha256(data).hexdigest()))
    site.write("sovereign.yaml", SOVEREIGN)
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")


@pytest.mark.parametrize(
    "kind", [pytest.param(name, marks=pytest.mark.part(name, "iproute2")) for name in ("exfat", "fat")]
)
def test_a_delivery_goes_over_a_medium_of_this_format(site: Site, tmp_path: Path, kind: str) -> None:
    _pulled(site, bytes(range(256)) * 4000)
    site.run(*CUT, "out", "--volume-size", "300KiB")
    with medium(kind, tmp_path, SIZE) as place:
        copied = site.run("copy", "out", "--to", f"{place}/nov", *CHECKED)
        assert copied["safeToRemove"]
        assert {one["state"] for one in site.run("verify", f"{place}/nov", *CHECKED)["files"]} == {"good"}
        assert {one["state"] for one in site.run("copy", "out", "--to", f"{place}/nov", *CHECKED)["files"]} > {
            "present"
        }
        # The other way: cut straight onto the medium, and copied from it.
        site.run(*CUT, f"{place}/dec", "--volume-size", "300KiB")
        assert site.run("copy", f"{place}/dec", "--to", "back", *CHECKED)["safeToRemove"]
        refused = site.run("copy", "out", "--to", f"{place}/dec", *CHECKED, expect=2)
        assert refused["code"] == "not-empty"
        done = site.run("import", f"{place}/nov", *GAP, "--key", "sovereign.key")
        assert not done["errors"]


def test_discs_are_planned_labelled_and_written_one_by_one(site: Site) -> None:
    _pulled(site, bytes(range(256)) * 40000)
    site.run(*CUT, "out", "--volume-size", "2MiB")
    size = ("--disc-size", "10MB")
    plan = site.run("copy", "out", *CHECKED, *size, "--dry-run")
    count = len(plan["discs"])
    assert count >= 3
    assert all("bank" in disc["label"] and f"of {count}" in disc["label"] for disc in plan["discs"])
    assert site.run("copy", "out", *CHECKED, *size, "--to", "disc", expect=2)["code"] == "usage"
    assert (
        site.run("copy", "out", *CHECKED, *size, "--to", "disc", "--disc", str(count + 1), expect=2)["code"] == "usage"
    )
    ends = []
    for number in range(1, count + 1):
        site.run("copy", "out", *CHECKED, *size, "--to", f"disc{number}", "--disc", str(number))
        done = site.run("import", f"disc{number}", *GAP, "--key", "sovereign.key", expect=None)
        ends.append("missingVolumes" in done and not done["missingVolumes"])
    assert ends == [False] * (count - 1) + [True]
    assert site.run("copy", "out", "--to", "x", expect=2)["code"] == "usage"
    assert site.run("copy", "out", "--to", "x", "--unverified")["verified"] is False
