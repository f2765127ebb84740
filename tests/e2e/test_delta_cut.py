"""Deltas at the cutting side: what is inside already, by a receipt or by an earlier delivery, is not carried again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.row import Row
from tests.worlds.site import HEAD

pytestmark = pytest.mark.e2e
CUT = ("bundle", "r2.lock.json", "--store", "store", "--for", "bank", "--key", "exporter.key")
TRUSTED = ("--trust", "trust.yaml")


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
