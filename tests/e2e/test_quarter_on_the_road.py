"""Three months of a Sovereign with all that the road has: parity, discs, paper, deltas, a box, a store kept small."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import Any

import pytest

from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.site import CHECKED, CUT, GAP, Site, sovereign_of

pytestmark = pytest.mark.e2e
HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\nspec:\n  files:\n"
SOVEREIGN = sovereign_of().replace("  registries:\n", "  directory: inside\n")
SINCE = ("--since", "last", *CHECKED)


class Quarter:
    """A site whose files change from month to month."""

    def __init__(self, site: Site) -> None:
        self.site, self.folder, self.files = site, site.folder, dict[str, bytes]()
        site.write("sovereign.yaml", SOVEREIGN)

    def month(self, **changed: bytes) -> None:
        """Locks and pulls what is there now."""
        self.files |= changed
        lines = ""
        for name, data in self.files.items():
            (self.folder / name).write_bytes(data)
            lines += f"  - {{file: {name}, path: tools/{name}, sha256: {hashlib.sha256(data).hexdigest()}}}\n"
        self.site.write("r.request.yaml", HEAD + lines)
        self.site.run("lock", "r.request.yaml", "-o", "r.lock.json")
        self.site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")

    def arrive(self, *media: str) -> Any:
        """Imports, and audits with the receipt."""
        done = self.site.run("import", *media, *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
        self.site.run("audit", *GAP, "--receipt", "receipt.json", "--deep")
        return done

    def back_on_paper(self, delivery: str) -> None:
        """The receipt goes back as a page, and the store keeps it."""
        self.site.run("receipt", "print", "receipt.json", "--delivery", delivery, "-o", f"{delivery}.txt")
        assert self.site.run("receipt", "decode", f"{delivery}.txt", "--store", "store", *CHECKED)["kept"]

    def size(self, delivery: str) -> int:
        """Bytes of a delivery's volumes."""
        return sum(path.stat().st_size for path in (self.folder / delivery).glob("vol-*"))


def test_parity_discs_paper_deltas_a_box_and_a_store_that_is_kept_small(site: Site) -> None:
    quarter = Quarter(site)
    _november(quarter)
    _december(quarter)
    _january(quarter)
    # A site that was rebuilt from nothing is told that a delta will not do.
    shutil.rmtree(quarter.folder / "inside")
    shutil.rmtree(quarter.folder / "state")
    key = ("--key", "sovereign.key", "--identity", "identity")
    refused = site.run("import", "jan", *GAP, *key, expect=None)
    assert refused["exit"] == 4, json.dumps(refused)


def _november(quarter: Quarter) -> None:
    """Everything, on discs of which one is lost and another one scratched."""
    site, folder = quarter.site, quarter.folder
    quarter.month(one=b"1" * 700_000, two=b"2" * 700_000, three=b"3" * 300_000)
    cut = site.run(*CUT, "nov", "--volume-size", "500KiB", "--parity", "2")
    discs = ("copy", "nov", *CHECKED, "--disc-size", "5700000")
    plan = site.run(*discs, "--dry-run")["discs"]
    assert {file["name"] for disc in plan for file in disc["files"]} >= {one["name"] for one in cut["volumes"]}
    for disc in plan:
        site.run(*discs, "--disc", str(disc["number"]), "--to", f"disc{disc['number']}")
    folders = [f"disc{disc['number']}" for disc in plan]
    volumes = {path.name[:8]: path for name in folders for path in (folder / name).glob("vol-*")}
    volumes["vol-0002"].unlink()
    scratched = volumes["vol-0003"]
    data = bytearray(scratched.read_bytes())
    data[100_000] ^= 1
    scratched.write_bytes(data)
    assert {one["state"] for one in site.run("verify", *folders, *CHECKED, expect=4)["files"]} <= {"good", "repairable"}
    assert not quarter.arrive(*folders)["errors"]
    quarter.back_on_paper("nov")


def _december(quarter: Quarter) -> None:
    """A delta by a box that copies folders; only what is new travels."""
    site, folder = quarter.site, quarter.folder
    quarter.month(two=b"22" * 350_000)
    site.run(*CUT, "dec", *SINCE)
    assert quarter.size("dec") < 800_000
    (folder / "box").mkdir()
    sent = site.run("send", "dec", "--to", "box", "--store", "store")
    assert sent["sequence"] == 2
    receive = ("receive", "--watch", "box", "--inbox", "inbox", *CHECKED, "--once", "--json")
    assert run_airgap(receive, folder, PASSWORD).code == 0
    [came] = [path for path in (folder / "inbox").iterdir() if not path.name.startswith(".")]
    quarter.arrive(f"inbox/{came.name}")
    quarter.back_on_paper("dec")


def _january(quarter: Quarter) -> None:
    """The store was tidied up meanwhile. A delta is still a delta, and nobody reads it on the way."""
    site, folder = quarter.site, quarter.folder
    site.run("store", "gc", "--store", "store", "--keep-last", "1")
    site.run("store", "check", "--store", "store")
    quarter.month(three=b"33" * 150_000)
    recipient = site.run("keys", "identity", "identity")["recipients"][0]
    site.run(*CUT, "jan", *SINCE, "--parity", "1", "--encrypt-to", recipient)
    assert quarter.size("jan") < 400_000
    next((folder / "jan").glob("vol-*")).unlink()
    assert site.run("import", "jan", *GAP, "--key", "sovereign.key", expect=2)["code"] == "identity-needed"
    quarter.arrive("jan", "--identity", "identity")
    for name, content in quarter.files.items():
        assert (folder / "inside/objects/files/tools" / name).read_bytes() == content
