"""Deltas at the cutting side: what is inside already, by a receipt or by an earlier delivery, is not carried again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.commands import run_airgap
from tests.worlds.row import Row
from tests.worlds.site import GAP, HEAD

pytestmark = pytest.mark.e2e
CUT = ("bundle", "r2.lock.json", "--store", "store", "--for", "bank", "--key", "exporter.key")
TRUSTED = ("--trust", "trust.yaml")
KEYS = {"bank": "sovereign", "shop": "shop"}


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """One delivery with two images, imported; a second lock with a third image, pulled."""
    made = Row(tmp_path)
    for number in (1, 2, 3):
        made.layout.tag(f"v{number}", made.layout.image({"a": bytes([number]) * 3000}))
    made.take(made.deliver(1, {"demo.local/app:v1": "v1", "demo.local/app:v2": "v2"}))
    refs = "".join(f"  - {{ref: 'oci:made:v{n}', name: 'demo.local/app:v{n}'}}\n" for n in (1, 2, 3))
    made.site.write("r2.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}")
    made.site.run("lock", "r2.request.yaml")
    made.site.run("pull", "r2.lock.json", "--store", "store", "--key", "exporter.key")
    return made


def cut(row: Row, *more: str) -> dict[str, Any]:
    """AIRGAP.json of a delta of the second lock."""
    media = f"media-{len(list(row.folder.glob('media-*')))}"
    row.site.run(*CUT, "--to", media, *more)
    found: dict[str, Any] = json.loads((row.folder / media / "AIRGAP.json").read_text())
    return found


def layers(row: Row) -> list[str]:
    """The digests of the layers, as the lock's roots name them."""
    blobs = row.folder / "store/blobs/sha256"
    lock = json.loads((row.folder / "r2.lock.json").read_text())
    roots = [json.loads((blobs / item["root"]["digest"][7:]).read_text()) for item in lock["items"]]
    return [layer["digest"] for root in roots for layer in root["layers"]]


@pytest.mark.parametrize("proof", ["receipt", "delivery", "last"])
def test_a_delta_carries_only_what_its_baseline_does_not_prove(row: Row, proof: str) -> None:
    more = {
        "receipt": ("--since", "media1.receipt", *TRUSTED),
        "delivery": ("--since-delivery", "media1"),
        "last": ("--since", "last"),
    }[proof]
    index = cut(row, *more)
    first, second, third = layers(row)
    assert set(index["contents"]["omitted"]) == {first, second}
    assert third in index["contents"]["blobs"]
    assert len(index["contents"]["locks"]) == 1
    assert len(index["contents"]["roots"]) == 3
    [baseline] = index["journey"]["basedOn"]
    assert len(baseline["receipts"]) == (proof == "receipt")
    assert [entry[1:] for entry in index["contents"]["omitted"].values()] == [
        [1, "demo.local/app:v1"],
        [1, "demo.local/app:v2"],
    ]


def _two_sites(row: Row) -> None:
    """A second Sovereign, `shop`, with keys and folders of its own."""
    row.site.run("keys", "generate", "shop")
    trust = (row.folder / "trust.yaml").read_text()
    shop = trust.replace("name: bank", "name: shop").replace("sovereign: bank", "sovereign: shop")
    row.site.write("shop-trust.yaml", shop.replace("sovereign.pub", "shop.pub"))
    spec = "spec: {stateDir: shop-state, directory: shop-inside}\n"
    row.site.write("shop.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: shop}}\n{spec}")


SHOP = ("--sovereign", "shop.yaml", "--trust", "shop-trust.yaml")


def test_two_sovereigns_share_one_set_of_volumes_and_each_imports_its_own(row: Row) -> None:
    _two_sites(row)
    said = row.site.run(*CUT, "--for", "shop", "--to", "both", *TRUSTED, "--trust", "shop-trust.yaml")
    assert [one["sovereign"] for one in said["deliveries"]] == ["bank", "shop"]
    assert sorted(path.name for path in (row.folder / "both").iterdir()) == [
        *("README.txt", "SHA256SUMS", "bank", "evidence.tar", "shop", "vol-0001-of-0001.tar")
    ]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=row.folder / "both", check=True)
    for name, flags in (("bank", GAP), ("shop", SHOP)):
        row.site.run("verify", f"both/{name}", "both", *flags[2:])
        done = row.site.run("import", f"both/{name}", "both", *flags, "--key", f"{KEYS[name]}.key")
        assert {change["outcome"] for change in done["changes"]} <= {"written", "present"}
    refused = run_airgap(["import", "both", *GAP], row.folder)
    assert refused.code == 2
    assert "[no-delivery]" in refused.err
    assert "both/bank, both/shop" in refused.err
    wrong = run_airgap(["import", "both/shop", "both", *GAP], row.folder)
    assert wrong.code == 4


def test_what_two_sovereigns_share_is_left_out_only_if_both_have_it(row: Row) -> None:
    _two_sites(row)
    row.site.run(*CUT, "--for", "shop", "--to", "both", "--since-delivery", "media1")
    indexes = [json.loads((row.folder / "both" / name / "AIRGAP.json").read_text()) for name in ("bank", "shop")]
    assert ["omitted" in index["contents"] for index in indexes] == [False, False]
    row.site.run("import", "both/shop", "both", *SHOP, "--key", "shop.key", "--receipt", "shop.receipt")
    more = ("--since", "media1.receipt", "--since", "shop.receipt", *TRUSTED, "--trust", "shop-trust.yaml")
    row.site.run(*CUT, "--for", "shop", "--to", "next", *more)
    indexes = [json.loads((row.folder / "next" / name / "AIRGAP.json").read_text()) for name in ("bank", "shop")]
    assert [set(index["contents"]["omitted"]) for index in indexes] == [set(layers(row)[:2])] * 2
    assert [len(index["journey"]["basedOn"][0]["receipts"]) for index in indexes] == [1, 1]
    assert indexes[0]["journey"]["basedOn"] != indexes[1]["journey"]["basedOn"]
