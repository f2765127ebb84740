"""What `bundle` leaves out: what is inside already (`--since`), and all but some items of its locks (`--only`).

Several Sovereigns can share one set of volumes (`--for`)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.row import Row
from tests.worlds.site import GAP, HEAD

pytestmark = pytest.mark.e2e
CUT = ("bundle", "r2.lock.json", "--store", "store", "--for", "bank", "--key", "exporter.key")
TRUSTED = ("--trust", "trust.yaml")
SHOP = ("--sovereign", "shop.yaml", "--trust", "shop-trust.yaml")
KEYS = {"bank": "sovereign", "shop": "shop"}


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A delivery of v1 and v2 is inside; the next lock, which is pulled, has v2, v3 and v4 (whose layers are known)."""
    made = Row(tmp_path)
    for number in (1, 2, 3):
        made.layout.tag(f"v{number}", made.layout.image({"a": bytes([number]) * 3000}))
    made.layout.tag("v4", made.layout.image({"a": bytes([1]) * 3000}, {"b": bytes([4]) * 3000}))
    made.take(made.deliver(1, {"demo.local/app:v1": "v1", "demo.local/app:v2": "v2"}))
    refs = "".join(f"  - {{ref: 'oci:made:v{n}', name: 'demo.local/app:v{n}'}}\n" for n in (2, 3, 4))
    made.site.write("r2.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  images:\n{refs}")
    made.site.run("lock", "r2.request.yaml")
    made.site.run("pull", "r2.lock.json", "--store", "store", "--key", "exporter.key")
    return made


def index_of(row: Row, media: str) -> dict[str, Any]:
    """The AIRGAP.json in a folder."""
    found: dict[str, Any] = json.loads((row.folder / media / "AIRGAP.json").read_text())
    return found


def cut(row: Row, media: str, *more: str) -> dict[str, Any]:
    """AIRGAP.json of a delivery of the second lock."""
    row.site.run(*CUT, "--to", media, *more)
    return index_of(row, media)


def layers(row: Row) -> list[str]:
    """The digests of the layers, in the order of the lock."""
    blobs = row.folder / "store/blobs/sha256"
    lock = json.loads((row.folder / "r2.lock.json").read_text())
    roots = [json.loads((blobs / item["root"]["digest"][7:]).read_text()) for item in lock["items"]]
    return [layer["digest"] for root in roots for layer in root["layers"]]


def test_a_delta_carries_only_what_its_baseline_does_not_prove(row: Row) -> None:
    v2, v3, shared, v4 = layers(row)
    proofs = {
        "receipt": ("--since", "media1.receipt", *TRUSTED),
        "kept": ("--since", "last", *TRUSTED),
        "delivery": ("--since-delivery", "media1"),
    }
    for name, more in proofs.items():
        index = cut(row, name, *more)
        contents, journey = index["contents"], index["journey"]
        assert {digest: entry[1:] for digest, entry in contents["omitted"].items()} == {
            v2: [1, "demo.local/app:v2"],
            shared: [1, "demo.local/app:v1"],  # which is not in this lock any more
        }
        assert {v3, v4} < set(contents["blobs"])
        assert len(contents["roots"]) == 3
        [baseline] = journey["basedOn"]
        assert len(baseline["receipts"]) == (name != "delivery")
    # Without a receipt, the newest delivery: it brought everything.
    assert set(cut(row, "newest", "--since", "last")["contents"]["omitted"]) == {v2, v3, shared, v4}
    planned = row.site.run(*CUT, "--dry-run", *proofs["receipt"])
    assert {one["name"]: bool(one["inside"]) for one in planned["items"]} == {
        "demo.local/app:v2": True,
        "demo.local/app:v3": False,
        "demo.local/app:v4": True,
    }
    assert sum(one["inside"] for one in planned["items"]) == planned["deliveries"][0]["omitted"]["bytes"]
    said = run_airgap([*CUT, "--dry-run", *proofs["receipt"]], row.folder)
    assert "part of it is not inside" in said.out
    assert "no baseline has it" in said.out


def _second_sovereign(row: Row) -> None:
    """`shop`, with a key and folders of its own."""
    row.site.run("keys", "generate", "shop")
    trust = (row.folder / "trust.yaml").read_text()
    shop = trust.replace("name: bank", "name: shop").replace("sovereign: bank", "sovereign: shop")
    row.site.write("shop-trust.yaml", shop.replace("sovereign.pub", "shop.pub"))
    spec = "spec: {stateDir: shop-state, directory: shop-inside}\n"
    row.site.write("shop.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: shop}}\n{spec}")


def test_two_sovereigns_share_one_set_of_volumes(row: Row) -> None:
    _second_sovereign(row)
    # What only one of them has is carried for both.
    said = row.site.run(*CUT, "--for", "shop", "--to", "both", *TRUSTED, "--since-delivery", "media1")
    assert [(one["sovereign"], one["omitted"]["blobs"]) for one in said["deliveries"]] == [("bank", 0), ("shop", 0)]
    names = ("README.txt", "SHA256SUMS", "bank", "evidence.tar", "shop", "vol-0001-of-0001.tar")
    assert sorted(path.name for path in (row.folder / "both").iterdir()) == [*names]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=row.folder / "both", check=True)
    for name, flags in (("bank", GAP), ("shop", SHOP)):
        files = row.site.run("verify", f"both/{name}", "both", *flags[2:])["files"]
        assert {one["state"] for one in files} == {"good"}
        row.site.run("import", f"both/{name}", "both", *flags, "--key", f"{KEYS[name]}.key", "--receipt", f"{name}.r")
    refused = run_airgap(["import", "both", *GAP], row.folder)
    assert (refused.code, "both/bank, both/shop" in refused.err) == (2, True)
    assert row.site.run("import", "both/shop", "both", *GAP, expect=4)["code"] == "wrong-sovereign"
    # What both have stays away; each rests on its own baseline.
    more = ("--since", "bank.r", "--since", "shop.r", *TRUSTED, "--trust", "shop-trust.yaml")
    row.site.run(*CUT, "--for", "shop", "--to", "next", *more)
    indexes = [index_of(row, f"next/{name}") for name in KEYS]
    assert [set(index["contents"]["omitted"]) for index in indexes] == [set(layers(row))] * 2
    assert indexes[0]["journey"]["basedOn"] != indexes[1]["journey"]["basedOn"]


def test_a_forgotten_image_arrives_and_nothing_else_is_concluded(row: Row) -> None:
    # A name that is none, or could be several; all names are no selection.
    for typed, hint in (("app:v9", "did you mean 'demo.local/app:v"), ("app", "give the full name")):
        said = run_airgap([*CUT, "--only", typed, "--to", "none"], row.folder, PASSWORD)
        assert (said.code, "[no-such-item]" in said.err, hint in said.err) == (2, True, True)
    every = (flag for tag in ("v2", "v3", "v4") for flag in ("--only", f"demo.local/app:{tag}"))
    assert row.site.run(*CUT, *every, "--dry-run")["only"] == []
    index = cut(row, "selection", "--only", "app:v3")
    assert index["contents"]["only"] is True
    assert [root["item"] for root in index["contents"]["roots"]] == ["demo.local/app:v3"]
    assert "a selection" in run_airgap(["show", "selection"], row.folder).out
    row.site.run("verify", "selection", *GAP[2:])
    done = row.take("selection")
    assert [change["item"] for change in done["changes"]] == ["demo.local/app:v3"]
    found = row.site.run("audit", *GAP, "--receipt", "selection.receipt")
    assert {one["state"] for one in found["findings"]} == {"good"}
    assert row.site.run("prune", *GAP, "--dry-run", "--plan", "prune.json")["proposed"] == []
    # The next whole delivery of the series says again what belongs inside.
    cut(row, "whole", "--since-delivery", "selection")
    row.take("whole")
    found = row.site.run("audit", *GAP, "--receipt", "whole.receipt")
    assert {one["name"] for one in found["findings"] if one["state"] == "removed"} == {"v1"}
