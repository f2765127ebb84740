"""A receipt goes back on paper: printed inside, scanned outside, and taken by the station as if the file had come."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.parts.need import require_part
from tests.worlds.site import CHECKED, CUT, GAP, Site, sovereign_of

pytestmark = pytest.mark.e2e
REQUEST = """\
apiVersion: airgap.openova.io/v1alpha1
kind: Request
metadata: {name: r}
spec:
  files:
"""
SOVEREIGN = sovereign_of().replace("  registries:\n", "  directory: inside\n")


def _imported(site: Site, count: int) -> bytes:
    """A delivery of some files that was imported; returns its receipt."""
    lines = ""
    for number in range(count):
        data = f"file {number}\n".encode()
        (site.folder / f"f{number}").write_bytes(data)
        lines += f"  - {{file: f{number}, path: tools/f{number}, sha256: {hashlib.sha256(data).hexdigest()}}}\n"
    site.write("r.request.yaml", REQUEST + lines)
    site.write("sovereign.yaml", SOVEREIGN)
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run(*CUT, "out")
    site.run("import", "out", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    return (site.folder / "receipt.json").read_bytes()


@pytest.mark.part("poppler")
def test_a_page_is_printed_scanned_and_taken_for_the_next_delta(site: Site, tmp_path: Path) -> None:
    receipt = _imported(site, 60)
    made = site.run("receipt", "print", "receipt.json", "--delivery", "out", "-o", "page.pdf")
    assert made["pages"] == 1
    assert made["codes"] < site.run("receipt", "print", "receipt.json", "-o", "long.pdf")["codes"]
    for name in ("page", "long"):
        draw = require_part("poppler", "pdftoppm")
        subprocess.run([draw, "-r", "200", "-gray", "-jpeg", f"{name}.pdf", name], cwd=tmp_path, check=True)
        scans = sorted(path.name for path in tmp_path.glob(f"{name}-*.jpg"))
        site.run("receipt", "decode", *scans, "--store", "store", *CHECKED, "-o", f"{name}.json")
        assert (tmp_path / f"{name}.json").read_bytes() == receipt
    assert site.run(*CUT, "delta", "--since", "last", *CHECKED)["sequence"] == 2


def test_codes_come_back_as_text_and_what_is_wrong_is_said(site: Site, tmp_path: Path) -> None:
    receipt = _imported(site, 3)
    site.run("receipt", "print", "receipt.json", "--delivery", "out", "-o", "page.txt")
    unchecked = site.run("receipt", "decode", "page.txt", "--delivery", "out", "-o", "back.json")
    assert unchecked["signedBy"] is None
    assert (tmp_path / "back.json").read_bytes() == receipt
    known = ("--delivery", "out", *CHECKED)
    site.write("scan.pdf", "%PDF-1.7\n")
    for line, code, ends in (
        (("decode", "page.txt"), "no-delivery", 2),
        (("decode", "page.txt", "--delivery", "store"), "no-delivery", 2),
        (("decode", "receipt.json", *known), "no-pieces", 2),
        (("decode", "store", *known), "bad-picture", 2),
        (("print", "trust.yaml", "-o", "x.pdf"), "no-receipt", 2),
        (("print", "receipt.json", "--delivery", "out", "-o", "nowhere/x.pdf"), "no-folder", 2),
        (("print", "receipt.json", "--format", "pdf"), "usage", 2),
        (("print", "receipt.json", "-o", "receipt.json"), "other-file", 2),
        (("decode", "page.txt", *known, "-o", "receipt.json"), "other-file", 2),
        (("decode", "scan.pdf", *known), "bad-picture", 2),
    ):
        assert site.run("receipt", *line, expect=ends)["code"] == code, line
    # Somebody else's receipt: the far side's key did not sign it.
    site.write("trust.yaml", (tmp_path / "trust.yaml").read_text().replace("sovereign.pub", "stranger.pub"))
    assert site.run("receipt", "decode", "page.txt", *known, "-o", "x.json", expect=4)["code"] == "unknown-key"
    assert not (tmp_path / "x.json").exists()
    assert (tmp_path / "receipt.json").read_bytes() == receipt
