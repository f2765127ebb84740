"""What `bundle` leaves out: what is inside already (`--since`), and all but some items of its locks (`--only`).

Several Sovereigns can share one set of volumes (`--for`)."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.content.forms import Change, ChangeOutcome
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.log import EMPTY_HEAD
from airgap.statements.predicates import Placed, Predicate, Receipt
from airgap.statements.statement import Statement
from airgap.statements.want import Want, WantedBlob
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.row import BLOBS, KEY, Row
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
        omitted = {digest: entry[1:] for digest, entry in contents["omitted"].items()}
        assert {digest: omitted[digest] for digest in omitted.keys() & {v2, v3, shared, v4}} == {
            v2: [1, "demo.local/app:v2"],
            shared: [1, "demo.local/app:v1"],  # which is not in this lock any more
        }
        assert {v3, v4} < set(contents["blobs"])
        assert len(contents["roots"]) == 3
        [baseline] = journey["basedOn"]
        assert len(baseline["receipts"]) == (name != "delivery")
    # Without a receipt, the newest delivery: it brought everything.
    assert set(cut(row, "newest", "--since", "last")["contents"]["omitted"]) > {v2, v3, shared, v4}
    planned = row.site.run(*CUT, "--dry-run", *proofs["receipt"])
    assert {one["name"]: bool(one["inside"]) for one in planned["items"]} == {
        "demo.local/app:v2": True,
        "demo.local/app:v3": False,
        "demo.local/app:v4": True,
    }
    assert sum(one["inside"] for one in planned["items"]) == planned["deliveries"][0]["omitted"]["bytes"]
    said = run_airgap([*CUT, "--dry-run", *proofs["receipt"], "--disc-size", "25GB"], row.folder)
    assert "1 of 1" in said.out
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
        row.site.run("sign", f"both/{name}", "--dry-run", *flags[2:])
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
    for index in indexes:
        assert set(index["contents"]["omitted"]) > set(layers(row))
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


def _signed(row: Row, kind: Predicate, subject: str, key: str = "sovereign", role: str = "sovereign") -> bytes:
    """A statement in the words of a test."""
    now = datetime.now(UTC)
    said = Statement.of(Digest(subject), kind, signed_at=now, log_head=EMPTY_HEAD, role=role)
    return sign_payload(said.payload, load_private(row.folder / f"{key}.key", b"for tests"))


def test_what_was_lost_inside_comes_with_the_next_delivery_by_a_want_list(row: Row) -> None:
    v2, v3, shared, _ = layers(row)
    delta = cut(row, "delta", "--since", "media1.receipt", *TRUSTED)
    (row.folder / BLOBS / shared[7:]).unlink()
    assert row.site.run("import", "delta", *GAP, *KEY, expect=5)["code"] == "omitted-missing"
    # Nothing of the delta was accepted, so what it brings is wanted, too.
    row.site.run("want", "delta", *GAP, *KEY, "-o", "want.json", expect=3)
    wanted = ("bundle", "--want", "want.json", *CUT[2:], *TRUSTED)
    row.site.run(*wanted, "--to", "again")
    made = index_of(row, "again")
    assert v2 in made["contents"]["omitted"]
    assert {v3, shared} < set(made["contents"]["blobs"])
    [base] = made["journey"]["basedOn"]
    assert base["delivery"] == delta["journey"]["basedOn"][0]["delivery"]
    assert base["receipts"] == [Digest.of((row.folder / "want.json").read_bytes())]
    assert "only" not in made["contents"]
    assert {change["outcome"] for change in row.take("again")["changes"]} == {"present", "written"}
    # It was accepted, and something of it is lost again: only the item that lacks it travels.
    digest = Digest.of((row.folder / "again/AIRGAP.json").read_bytes())
    (row.folder / BLOBS / v3[7:]).unlink()
    row.site.run("want", "again", *GAP, *KEY, "-o", "want.json", "--deep", expect=3)
    row.site.run(*wanted, "--to", "once more")
    made = index_of(row, "once more")
    assert made["contents"]["only"] is True
    assert [root["item"] for root in made["contents"]["roots"]] == ["demo.local/app:v3"]
    assert v3 in made["contents"]["blobs"]
    assert {entry["delivery"] for entry in made["journey"]["basedOn"]} == {digest}
    row.take("once more", "--deep")
    # A list that waited while other content was cut: it would move the name back, unless somebody says so.
    row.deliver(3, {"demo.local/app:v3": "v4"})
    assert row.site.run(*wanted, "--to", "none", expect=2)["code"] == "list-outdated"
    row.site.run("bundle", "r2.lock.json", *wanted[1:], "--dry-run")
    row.site.run("want", "again", *GAP, *KEY, "-o", "nothing.json", "--deep")
    list_of = Want("bank", "x", "main", 3, ("demo.local/app:v3",), (WantedBlob(Digest(v3), 1),))
    receipt = (row.folder / "media1.receipt").read_bytes()
    for data, code in ((_signed(row, list_of, v3), "not-cut-here"), (receipt, "no-receipt")):
        (row.folder / "want.json").write_bytes(data)
        assert row.site.run(*wanted, "--to", "none", expect=2)["code"] == code


def test_a_receipt_counts_only_if_this_sovereign_signed_it(row: Row) -> None:
    digest = Digest.of((row.folder / "media1/AIRGAP.json").read_bytes())
    said = Receipt("x", "main", 1, ())
    # Forged: by a key that is not in the Trust resource, or by one with another role.
    for key, role, code in (("stranger", "sovereign", "unknown-key"), ("exporter", "exporter", "role-may-not")):
        (row.folder / "forged").write_bytes(_signed(row, said, digest, key, role))
        assert row.site.run(*CUT, "--to", "none", "--since", "forged", *TRUSTED, expect=4)["code"] == code
    # Foreign: another Sovereign's.
    _second_sovereign(row)
    foreign = (*CUT[:5], "shop", *CUT[6:], "--to", "none", "--since", "media1.receipt", "--trust", "shop-trust.yaml")
    assert row.site.run(*foreign, expect=4)["code"] == "unknown-key"
    # The same key for both Sovereigns: the records say for whom the delivery was.
    row.site.write("shop-trust.yaml", (row.folder / "shop-trust.yaml").read_text().replace("shop.pub", "sovereign.pub"))
    assert row.site.run(*foreign, expect=4)["code"] == "wrong-sovereign"
    # Lying: it lists what is not inside. The delta is refused there, before anything is accepted.
    _, v3, *_ = layers(row)
    roots = [item["root"]["digest"] for item in json.loads((row.folder / "r2.lock.json").read_text())["items"]]
    line = Change("demo.local/app:v3", "demo.local/app", "v3", roots[1], outcome=ChangeOutcome.WRITTEN)
    lying = Receipt("x", "main", 1, (Placed(str(row.folder / "inside/oci"), "graph", (line,)),))
    (row.folder / "lying").write_bytes(_signed(row, lying, digest))
    assert v3 in cut(row, "delta", "--since", "lying", *TRUSTED)["contents"]["omitted"]
    assert row.site.run("import", "delta", *GAP, *KEY, expect=5)["code"] == "omitted-missing"
    assert not (row.folder / BLOBS / roots[1][7:]).exists()
