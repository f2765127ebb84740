"""`airgap store`: what is in a store, whether it is whole, and what may leave it: nothing that is needed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from airgap.base.digest import Digest
from airgap.content.graph import OCI_INDEX, OCI_MANIFEST
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.row import Row
from tests.worlds.site import CUT, HEAD

pytestmark = pytest.mark.e2e
STORE = ("--store", "store")


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """Three months of one series, pulled: a tag that moves, one that stays, and one that comes and goes."""
    made = Row(tmp_path)
    for tag in ("old", "new", "same", "once"):
        made.layout.tag(tag, made.layout.image({tag: tag.encode() * 3000}))
    pull(made, 1, {"demo.local/app:v1": "old", "demo.local/base:v1": "same", "demo.local/once:v1": "once"})
    pull(made, 2, {"demo.local/app:v1": "new", "demo.local/base:v1": "same"})
    return made


def pull(row: Row, month: int, names: dict[str, str], *more: str, expect: int = 0) -> str:
    """Locks and pulls `platform-2026-MONTH`."""
    refs = "".join(f"  - {{ref: 'oci:made:{tag}', name: '{item}'}}\n" for item, tag in names.items())
    name = f"platform-2026-{month:02}"
    row.site.write(f"{name}.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: {name}}}\nspec:\n  images:\n{refs}")
    row.site.run("lock", f"{name}.request.yaml")
    row.site.run("pull", f"{name}.lock.json", *STORE, "--key", "exporter.key", *more, expect=expect)
    return f"{name}.lock.json"


def blobs(row: Row) -> set[str]:
    """The names of the blobs."""
    return {path.name for path in (row.folder / "store/blobs/sha256").iterdir()}


def root(row: Row, lock: str, item: str) -> str:
    """The digest of an item's root, by its lock."""
    items = json.loads((row.folder / lock).read_text())["items"]
    return str(next(one["root"]["digest"] for one in items if one["name"] == item))


def whole(row: Row, lock: str) -> None:
    """A delivery can be cut, which hashes every byte."""
    media = f"media{len(list(row.folder.glob('media*')))}"
    row.site.run(*(lock if word == "r.lock.json" else word for word in CUT), media)


def collect(row: Row, *more: str, expect: int = 0) -> Any:
    return row.site.run("store", "gc", *STORE, *more, expect=expect)


def test_what_a_store_holds_is_told_by_lock_and_by_delivery(row: Row) -> None:
    whole(row, "platform-2026-02.lock.json")
    found = row.site.run("store", "du", "platform-2026-01", *STORE)
    first, second = found["locks"]
    assert [first["name"], second["name"], first["by"], second["by"]] == [
        "platform-2026-01", "platform-2026-02", "pull", "bundle",
    ]  # fmt: skip
    assert first["bytes"] == first["alone"] + first["shared"]
    assert first["alone"] > second["alone"] > 0
    assert first["shared"] == second["shared"] > 0
    assert found["bytes"] == first["bytes"] + second["alone"]
    [delivery] = found["deliveries"]
    assert (delivery["bytes"], delivery["gone"], delivery["locks"]) == (second["bytes"], 0, [second["lock"]])
    assert {one["name"] for one in found["items"]} == {"demo.local/app:v1", "demo.local/base:v1", "demo.local/once:v1"}
    assert sum(one["alone"] for one in found["items"]) <= first["bytes"]
    text = run_airgap(["store", "ls", *STORE], row.folder).out
    assert "platform-2026-01" in text
    assert delivery["id"] in text


def test_old_locks_go_and_nothing_else(row: Row) -> None:
    before = blobs(row)
    planned = collect(row, "--keep-last", "1", "--dry-run")
    assert blobs(row) == before
    done = collect(row, "--keep-last", "1")
    assert (done["freed"], done["namesRemoved"]) == (planned["freed"], ["demo.local/once:v1"])
    assert [(one["name"], one["kept"], one["freed"]["bytes"] > 0) for one in done["locks"]] == [
        ("platform-2026-01", False, True),
        ("platform-2026-02", True, False),
    ]
    assert len(before - blobs(row)) == done["freed"]["files"] == done["locks"][0]["freed"]["files"]
    whole(row, "platform-2026-02.lock.json")
    assert {one["name"] for one in row.site.run("ls", "store")["items"]} == {"demo.local/app:v1", "demo.local/base:v1"}
    row.site.run("store", "check", *STORE)
    # The log knows it, and its statements are all there.
    row.site.run("log", "verify", *STORE, "--trust", "trust.yaml")
    lines = run_airgap(["log", "show", *STORE, "--json"], row.folder).out.splitlines()
    assert [json.loads(line)["action"] for line in lines].count("gc") == 1
    # What was removed comes back by its lock, and then counts again.
    row.site.run("pull", "platform-2026-01.lock.json", *STORE)
    assert blobs(row) == before
    assert len(row.site.run("store", "ls", *STORE)["locks"]) == 2


def test_a_name_that_an_old_lock_took_back_moves_to_what_is_kept(row: Row) -> None:
    row.site.run("pull", "platform-2026-01.lock.json", *STORE)  # the old month, again
    done = collect(row, "--keep", "platform-2026-02")
    assert done["namesMoved"] == ["demo.local/app:v1"]
    listed = {one["name"]: one["digest"] for one in row.site.run("ls", "store")["items"]}
    assert listed["demo.local/app:v1"] == root(row, "platform-2026-02.lock.json", "demo.local/app:v1")
    whole(row, "platform-2026-02.lock.json")


def test_without_a_rule_only_what_nothing_needs_goes(row: Row) -> None:
    stray = row.folder / "store/blobs/sha256" / ("0" * 64)
    stray.write_bytes(b"x" * 100)
    left = row.folder / "store/blobs/sha256" / f".{'1' * 64}.partial"
    left.write_bytes(b"y" * 10)
    before = blobs(row)
    work = row.folder / "store/airgap/work/git/0.git"
    work.mkdir(parents=True)
    (work / "HEAD").write_bytes(b"ref")
    done = collect(row)
    assert (before - blobs(row), work.exists(), done["work"]["files"]) == ({stray.name, left.name}, True, 0)
    assert collect(row, "--work")["work"] == {"files": 1, "bytes": 3}
    assert list((row.folder / "store/airgap/work").iterdir()) == []
    assert (done["unreferenced"]["bytes"], done["leftovers"]["bytes"]) == (100, 10)
    assert all(one["kept"] for one in done["locks"])


def test_a_lock_that_is_not_whole_holds_back_what_it_may_need(row: Row) -> None:
    row.layout.tag("third", row.layout.image({"third": b"third" * 5000}))
    lock = pull(row, 3, {"demo.local/third:v1": "third"})
    digest = root(row, lock, "demo.local/third:v1").removeprefix("sha256:")
    # As a killed pull leaves it: leaves, no manifest, no name.
    (row.folder / "store/blobs/sha256" / digest).unlink()
    index = row.folder / "store/index.json"
    document = json.loads(index.read_text())
    document["manifests"] = [one for one in document["manifests"] if digest not in one["digest"]]
    index.write_text(json.dumps(document))
    before = blobs(row)
    held = collect(row)
    assert blobs(row) == before
    assert held["heldBack"]["files"] == 2  # its config and its layer
    # It is no complete month: the last complete one stays beside it.
    done = collect(row, "--keep-last", "1")
    assert [(one["name"][-2:], one["kept"]) for one in done["locks"]] == [("01", False), ("02", True), ("03", True)]
    # Given up, it goes.
    done = collect(row, "--drop", "platform-2026-03")
    assert done["freed"]["files"] == 2
    whole(row, "platform-2026-02.lock.json")


def test_what_waits_for_a_delivery_stays(row: Row) -> None:
    # A delivery that was left unfinished: its last files are not there.
    cutting = row.folder / "store/airgap/cutting"
    cutting.mkdir(exist_ok=True)
    locks = row.site.run("store", "ls", *STORE)["locks"]
    lock = next(one["lock"] for one in locks if one["name"].endswith("01"))
    unfinished = row.folder / "unfinished"
    unfinished.mkdir()
    (unfinished / ".airgap-bundle.json").write_text("{}")
    note = {"to": str(unfinished), "sovereign": "bank", "locks": [lock], "since": "2026-11-01T00:00:00Z"}
    (cutting / "00.json").write_text(json.dumps(note))
    pull(row, 3, {"demo.local/base:v1": "same"})
    done = collect(row, "--keep-last", "1", "--dry-run")
    assert {one["name"][-2:]: one["kept"] for one in done["locks"]} == {"01": True, "02": False, "03": True}
    assert "not finished" in next(one["why"] for one in done["locks"] if one["name"].endswith("01"))
    # Abandoned: somebody emptied the folder.
    (unfinished / ".airgap-bundle.json").unlink()
    done = collect(row, "--keep-last", "1", "--dry-run")
    assert [one["kept"] for one in done["locks"]] == [False, False, True]
    # What was delivered last stays for the next delta, until it is dropped.
    whole(row, "platform-2026-01.lock.json")
    whole(row, "platform-2026-02.lock.json")
    pull(row, 3, {"demo.local/base:v1": "same"})
    done = collect(row, "--keep", "platform-2026-03", "--dry-run")
    assert {one["name"][-2:]: one["kept"] for one in done["locks"]} == {"01": False, "02": True, "03": True}
    assert "the next delta rests on delivery 2" in done["locks"][1]["why"]
    done = collect(row, "--keep", "platform-2026-03", "--drop", "platform-2026-02")
    assert done["freed"]["files"] > 0


MISTAKES = (
    (("gc", "--keep", "nothing"), "no-such-lock"),
    (("gc", "--drop", "sha256:" + "0" * 64), "no-such-lock"),
    (("gc", "--keep", "platform-2026-01", "--drop", "platform-2026-01"), "usage"),
    (("gc", "--keep-last", "0"), "usage"),
    (("gc", "--keep-last", "1", "--records-older-than", "soon"), "usage"),
    (("export", "nothing", "--to", "x"), "no-such-lock"),
    (("export", "platform-2026-01", "--to", "store/airgap/work/x"), "usage"),
    (("export", "platform-2026-01", "--to", "made"), "not-empty"),
    (("export", "platform-2026-01", "--to", "made", "--dry-run"), "not-empty"),
    (("du", "nothing"), "no-such-lock"),
)


def test_mistakes_are_named(row: Row) -> None:
    (row.folder / "made/notes.txt").write_text("somebody's\n")
    (row.folder / "made/oci-layout").unlink()
    before = blobs(row)
    for line, name in MISTAKES:
        run_airgap(["store", *line, *STORE], row.folder, PASSWORD).refused(2, name)
    assert blobs(row) == before


def test_a_layout_of_others_is_not_collected(row: Row) -> None:
    said = run_airgap(["store", "gc", "--store", "made"], row.folder)
    said.refused(2, "no-store")
    assert not (row.folder / "made/.use.lock").exists()


def test_a_lock_of_an_earlier_version_is_asked_for(row: Row) -> None:
    shutil.rmtree(row.folder / "store/airgap/locks")
    shutil.rmtree(row.folder / "store/airgap/uses")
    before = blobs(row)
    said = run_airgap(["store", "gc", *STORE], row.folder)
    said.refused(2, "unknown-lock")
    assert blobs(row) == before
    files = [word for month in (1, 2) for word in ("--keep", f"platform-2026-{month:02}.lock.json")]
    assert collect(row, *files)["freed"]["files"] == 0
    assert blobs(row) == before
    assert collect(row)["freed"]["files"] == 0  # they are known from now on
    # A lock's file is lost, and only its use speaks of it: what the hint says removes no other lock.
    shutil.rmtree(row.folder / "store/airgap/statements")
    for path in (row.folder / "store/airgap/locks").glob("platform-2026-01*"):
        path.unlink()
    run_airgap(["store", "gc", *STORE], row.folder).refused(2, "unknown-lock")
    assert "1 lock whose file is lost" in run_airgap(["store", "check", *STORE], row.folder).err
    done = collect(row, "--keep", "platform-2026-01.lock.json")
    assert ([one["kept"] for one in done["locks"]], blobs(row)) == ([True, True], before)


def put(row: Row, value: Any) -> dict[str, Any]:
    """A blob that another tool put into the store: its digest and size."""
    data = json.dumps(value).encode()
    digest = Digest.of(data)
    (row.folder / "store/blobs/sha256" / digest.hex).write_bytes(data)
    return {"digest": str(digest), "size": len(data)}


def test_what_other_tools_put_into_a_store_stays_with_what_is_attached_to_it(row: Row) -> None:
    layer, kind = {"mediaType": "x/y"}, {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", **put(row, {})}
    image = {"mediaType": OCI_MANIFEST, **put(row, {**kind, "config": empty, "layers": [layer | put(row, 1)]})}
    lost = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "9" * 64, "size": 9}
    index = put(row, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image, lost]})
    attached = put(row, {**kind, "config": empty, "layers": [layer | put(row, 2)], "subject": image})
    artifact = "application/vnd.oci.artifact.manifest.v1+json"
    other = put(row, {"mediaType": artifact, "blobs": [layer | put(row, 3)]})
    path = row.folder / "store/index.json"
    made = json.loads(path.read_text())

    def named(**names: dict[str, Any]) -> None:
        entries = [{**one, "annotations": {"org.opencontainers.image.ref.name": name}} for name, one in names.items()]
        path.write_text(json.dumps({**made, "manifests": made["manifests"] + entries}))

    before = blobs(row)
    # A manifest of another type, and an index that lacks a child: nobody knows what is below.
    for theirs in ({"mediaType": artifact, **other}, {"mediaType": OCI_INDEX, **index}):
        named(theirs=theirs)
        assert collect(row)["freed"]["files"] == 0
        assert row.site.run("store", "check", *STORE)["good"]
    # An image, and a signature that points to it; the rest is nobody's.
    named(theirs=image)
    assert collect(row)["freed"]["files"] == 0  # the manifest of another type may be attached to it
    (row.folder / "store/blobs/sha256" / other["digest"][7:]).unlink()
    said = run_airgap(["store", "gc", *STORE], row.folder, PASSWORD).out
    assert "a name that no lock explains" in said
    assert before - blobs(row) == {other["digest"][7:], Digest.of(b"3").hex}
    assert attached["digest"][7:] in blobs(row)
    # The name of a removed lock that another tool wrote, too: both stay.
    named(**{"demo.local/once:v1": image})
    assert "demo.local/once:v1" in collect(row, "--keep-last", "1")["namesUnexplained"]
    assert image["digest"][7:] in blobs(row)


def test_damage_is_found_named_and_mended(row: Row) -> None:
    shared = json.loads((row.folder / "platform-2026-02.lock.json").read_text())
    same = next(one for one in shared["items"] if one["name"] == "demo.local/base:v1")["root"]["digest"][7:]
    folder = row.folder / "store/blobs/sha256"
    layer = folder / json.loads((folder / same).read_text())["layers"][0]["digest"][7:]
    gone = folder / root(row, "platform-2026-01.lock.json", "demo.local/once:v1")[7:]
    data = bytearray(layer.read_bytes())
    data[-1] ^= 1
    os.chmod(layer, 0o644)
    layer.write_bytes(data)
    gone.unlink()
    look = row.site.run("store", "check", *STORE, "--dry-run", expect=4)
    assert layer.exists()
    found = row.site.run("store", "check", *STORE, expect=4)
    assert (look["setAside"], found["setAside"]) == (False, True)
    assert [one["digest"][7:] for one in found["damaged"]] == [layer.name]
    hurt = {(one["lockName"][-2:], one["item"], bool(one["damaged"])) for one in look["hurt"]}
    assert hurt == {
        ("01", "demo.local/base:v1", True),
        ("02", "demo.local/base:v1", True),
        ("01", "demo.local/once:v1", False),
    }
    assert not layer.exists()
    said = run_airgap(["store", "check", *STORE], row.folder)
    assert said.code == 4
    assert "airgap pull LOCK --store store" in said.err
    # A lock that was judged since may have come by a delivery.
    for use in (row.folder / "store/airgap/uses").iterdir():
        use.write_text(use.read_text().replace('"by": "pull"', '"by": "scan"'))
    said = run_airgap(["store", "check", *STORE], row.folder)
    assert "or for what came by a delivery: airgap import DELIVERY" in said.err
    row.site.run("pull", "platform-2026-01.lock.json", *STORE)
    assert row.site.run("store", "check", *STORE)["good"]
    assert collect(row)["leftovers"]["files"] == 1
    [lock] = (row.folder / "store/airgap/locks").glob("platform-2026-01*")
    lock.write_bytes(lock.read_bytes().replace(b"platform-2026-01", b"platform-2026-91"))
    assert row.site.run("store", "check", *STORE, expect=4)["records"] == [str(lock.relative_to(row.folder))]
    index = row.folder / "store/index.json"
    index.write_bytes(b"{")
    run_airgap(["store", "check", *STORE], row.folder).refused(4, "bad-json", "pull every lock again")


def test_a_lock_goes_to_another_store_with_its_statements(row: Row) -> None:
    line = ("store", "export", "platform-2026-02", *STORE, "--to", "small")
    planned = row.site.run(*line, "--dry-run")
    assert not (row.folder / "small").exists()
    done = row.site.run(*line)
    assert planned["written"] == done["written"] == done["bytes"] > 0
    assert row.site.run(*line)["written"] == 0
    small = ["bundle", "platform-2026-02.lock.json", "--store", "small", "--to", "media", "--for", "bank"]
    row.site.run(*small, "--key", "exporter.key", "--trust", "trust.yaml")
    row.site.run("verify", "media", "--trust", "trust.yaml")
    assert row.site.run("store", "check", "--store", "small")["good"]
    assert row.site.run("store", "gc", "--store", "small")["freed"]["files"] == 0
