"""Deliveries, locks and receipts of earlier versions: written once, read for ever, and cut again the same."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airgap.content.lock import Lock
from airgap.delivery.index import Index
from airgap.statements.dsse import open_bundle
from airgap.statements.predicates import Receipt
from airgap.statements.statement import Statement
from airgap.station.files import pin_name
from airgap.store.layout import Layout
from tests.golden.reader import Delivery, read_statement
from tests.golden.site import FOLDER, KEYS, Site, make_site, same_contents, unpacked, untar

GOLDEN = FOLDER / "delivery-v1alpha1"
MADE = datetime(2026, 11, 26, 10, tzinfo=UTC)
GAP = ("--sovereign", "sovereign.yaml", "--trust", str(GOLDEN / "trust.yaml"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def store_of(delivery: Path, store: Path) -> None:
    """The store that a delivery was cut from, made of the delivery."""
    unpacked(delivery, store)
    index = Index.decode((delivery / "AIRGAP.json").read_bytes())
    lock = Lock.decode((GOLDEN / "golden.lock.json").read_bytes(), "golden")
    layout = Layout(store)
    names = {item.name: pin_name(item) for item in lock.items if item.kind == "git"}
    roots = dict(layout.roots())
    layout.publish({pin: roots[name] for name, pin in names.items()})
    assert {root.item for root in index.contents.roots} <= set(roots)


def test_it_is_verified(site: Site) -> None:
    found = site.run("verify", str(GOLDEN / "delivery"), "--trust", str(GOLDEN / "trust.yaml"))
    assert found["outcome"] == "pass"
    assert {one["state"] for one in found["files"]} == {"good"}
    said = sorted((one["kind"], one["role"]) for one in found["signedBy"])
    assert said == [
        ("approval", "security-officer"), ("approval", "security-officer"),
        ("delivery", "exporter"), ("pull", "exporter"),
    ]  # fmt: skip


def test_it_is_imported(site: Site) -> None:
    line = ("import", str(GOLDEN / "delivery"), *GAP, "--key", "keys/sovereign.key")
    done = site.run(*line, "--receipt", "receipt.json")
    assert {change["outcome"] for change in done["changes"]} == {"written"}
    golden = read_statement((GOLDEN / "receipt.json").read_bytes(), KEYS)[2]
    placed = [item for place in golden["destinations"] for item in place["items"]]
    lines = {(one["item"], one["at"], one["name"], one["digest"]) for one in placed}
    assert lines <= {(c["item"], c["at"], c["name"], c["digest"]) for c in done["changes"]}
    again = site.run(*line)
    assert {change["outcome"] for change in again["changes"]} == {"present"}
    site.run("audit", *GAP, "--receipt", "receipt.json", "--deep")


def test_cut_again_it_has_the_same_contents_and_volumes(site: Site) -> None:
    store_of(GOLDEN / "delivery", site.folder / "store")
    site.run(
        "bundle", str(GOLDEN / "golden.lock.json"), "--store", "store", "--to", "again",
        "--for", "golden", "--key", "keys/exporter.key", "--volume-size", "64KiB",
    )  # fmt: skip
    same_contents(GOLDEN / "delivery", site.folder / "again")


@pytest.mark.parametrize(
    "path", [GOLDEN / "golden.lock.json", *sorted(FOLDER.glob("locks/*.lock.json"))], ids=lambda p: p.stem
)
def test_a_lock_is_read_and_written_the_same(path: Path) -> None:
    lock = path.read_bytes()
    assert Lock.decode(lock, path.name).encode() == lock


def test_an_index_is_read_and_written_the_same() -> None:
    index = (GOLDEN / "delivery/AIRGAP.json").read_bytes()
    assert Index.decode(index).encode() == index


# --- a reader that shares no code with airgap ---------------------------------------------------


@pytest.mark.parametrize("name", ["reader.py", "judged_reader.py"])
def test_the_reader_has_nothing_of_airgap(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert "import airgap" not in text
    assert "from airgap" not in text
    assert len(text.splitlines()) < 200


def test_an_independent_reader_checks_every_byte_and_lists_the_items() -> None:
    delivery = Delivery(GOLDEN / "delivery", KEYS, "golden", MADE)
    assert delivery.signed == ["approval", "delivery"]
    assert sorted(kind for kind, _, _ in delivery.said) == ["approval", "pull"]
    items = {(kind, name): blobs for kind, name, blobs in delivery.items()}
    assert list(items) == [
        ("chart", "ghcr.io/openova-io/charts/hello:0.1.0"),
        ("file", "manual"),
        ("git", "openova/hello"),
        ("image", "docker.io/library/hello:1.0"),
        ("image", "docker.io/library/hello:1.0-arm64"),
        ("model", "openova/tiny"),
    ]
    # Nothing is carried that no item names.
    assert {blob for blobs in items.values() for blob in blobs} == set(delivery.contents["blobs"])
    split = [one for one, extents in delivery.contents["blobs"].items() if len(extents) > 1]
    assert len(split) == 1


def test_the_independent_reader_reads_a_receipt() -> None:
    kind, subject, said = read_statement((GOLDEN / "receipt.json").read_bytes(), KEYS)
    delivery = Delivery(GOLDEN / "delivery", KEYS, "golden", MADE)
    assert (kind, subject) == ("receipt", delivery.digest)
    assert (said["delivery"], said["sequence"]) == (delivery.journey["id"], 1)
    assert {place["form"] for place in said["destinations"]} == {"graph", "refs", "tree"}


def test_a_receipt_of_an_import_that_published_nothing_is_read() -> None:
    """And that of before, which did not say how it published."""
    said = read_statement((GOLDEN / "receipt-withheld.json").read_bytes(), KEYS)[2]
    outcomes = {line["outcome"] for place in said["destinations"] for line in place["items"]}
    assert (said["publish"], outcomes) == ("all-or-nothing", {"withheld", "failed"})
    for name, publish in (("receipt-withheld.json", "all-or-nothing"), ("receipt.json", "")):
        payload = open_bundle((GOLDEN / name).read_bytes(), name, 1 << 20).payload
        body = Statement.parse(payload, name).body
        assert isinstance(body, Receipt)
        assert body.publish == publish


def test_the_independent_reader_reads_what_is_cut_today(site: Site) -> None:
    store_of(GOLDEN / "delivery", site.folder / "store")
    untar(GOLDEN / "delivery/evidence.tar", site.folder)
    statements = site.folder / "store/airgap/statements"
    statements.mkdir(parents=True)
    for path in (site.folder / "statements").iterdir():
        kind, subject, _said = read_statement(path.read_bytes(), KEYS)
        path.rename(statements / f"{kind}-{subject[7:]}.sigstore.json")
    site.run(
        "bundle", str(GOLDEN / "golden.lock.json"), "--store", "store", "--to", "again",
        "--for", "golden", "--key", "keys/exporter.key",
    )  # fmt: skip
    delivery = Delivery(site.folder / "again", KEYS, "golden", datetime.now(UTC) + timedelta(seconds=1))
    assert len(list(delivery.items())) == 6
    site.run("verify", "again", "--trust", str(GOLDEN / "trust.yaml"))


@pytest.mark.parametrize("name", ["AIRGAP.json", "evidence.tar", "vol-0001-of-0002.tar", "vol-0002-of-0002.tar"])
def test_the_independent_reader_finds_a_flipped_byte(tmp_path: Path, name: str) -> None:
    shutil.copytree(GOLDEN / "delivery", tmp_path / "delivery")
    data = bytearray((tmp_path / "delivery" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "delivery" / name).write_bytes(data)
    with pytest.raises(ValueError, match=name if name != "AIRGAP.json" else "something else"):
        Delivery(tmp_path / "delivery", KEYS, "golden", MADE)


def test_the_independent_reader_believes_no_stranger() -> None:
    others = {**KEYS, "exporter": KEYS["sovereign"]}
    with pytest.raises(ValueError, match="signature"):
        Delivery(GOLDEN / "delivery", others, "golden", MADE)


def test_one_with_parity_is_whole_without_a_volume(site: Site) -> None:
    """Its parity file stands for the first volume, with the bytes that it was computed from."""
    media, lost = site.folder / "media", "vol-0001-of-0002.tar"
    shutil.copytree(GOLDEN / "delivery", media)
    shutil.copytree(FOLDER / "delivery-parity", media, dirs_exist_ok=True)
    for path in (media / lost, *media.glob("signatures/security-officer*")):
        path.unlink()
    trust = ("--trust", str(GOLDEN / "trust.yaml"))
    found = site.run("verify", "media", *trust, expect=4)
    assert {one["name"]: one["state"] for one in found["files"] if one["state"] != "good"} == {lost: "repairable"}
    site.run("repair", "media", *trust, "--to", "new")
    assert (site.folder / "new" / lost).read_bytes() == (GOLDEN / "delivery" / lost).read_bytes()
