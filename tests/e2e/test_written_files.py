"""Files that commands are told to write: none of another kind is replaced, erased or added to, no link is followed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from airgap.base.errors import StoreError
from airgap.base.results import OWN_FILES
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import World, make_world
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.site import GAP

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2")]
KEY = ("--key", "sovereign.key")
IMPORT = ("import", "media", *GAP, *KEY, "--receipt")
AUDIT = ("audit", "--sovereign", "sovereign.yaml", "--lock", "r.lock.json", *KEY, "--report")
SIGN = ("sign", "r.lock.json", "--key", "officer.key", "--out", "approvals", "--log")
SHOW = ("show", "r.lock.json", "--log-file")
APPROVAL = "media/signatures/security-officer.sigstore.json"
VICTIMS = {
    "trust.yaml": "a Trust resource",
    "sovereign.key": "a private key",
    "exporter.pub": "a public key",
    "r.lock.json": "a lock",
    "media/AIRGAP.json": "the index of a delivery",
    APPROVAL: "an approval",
    "media/signatures/station.sigstore.json": "a delivery statement",
    "notes.txt": "",
    "line.txt": "",
}
"""Files that somebody needs, and what airgap knows them to be."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A delivery that is approved and imported, with a receipt and an audit report."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        world = make_world(tmp_path_factory.mktemp("written") / "base", netns)
        world.lock()
        world.cut("media")
        world.run("sign", "media", "--key", "officer.key", "--log", "officer.jsonl")
        world.run(*IMPORT, "receipt.json")
        world.run(*AUDIT, "report.json")
        (world.folder / "notes.txt").write_text("what we talked about\n")
        (world.folder / "line.txt").write_text("no line feed")
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    return base.copy(tmp_path / "world")


@pytest.mark.parametrize(
    ("line", "code"), [(IMPORT, "other-file"), (AUDIT, "other-file"), (SIGN, "not-a-log"), (SHOW, "log-file")]
)
def test_a_file_of_another_kind_is_left_as_it_is(base: World, line: tuple[str, ...], code: str) -> None:
    for name, what in VICTIMS.items():
        path = base.folder / name
        before, mode = path.read_bytes(), path.stat().st_mode
        said = run_airgap([*line, name], base.folder, PASSWORD)
        said.refused(2, code, what)
        assert (path.read_bytes(), path.stat().st_mode) == (before, mode)
    for name in ("receipt.json", "report.json") if line not in (IMPORT, AUDIT) else ():
        before = (base.folder / name).read_bytes()
        assert base.run(*line, name, expect=2)["code"] == code
        assert (base.folder / name).read_bytes() == before


def test_a_receipt_is_no_audit_and_an_audit_no_receipt(base: World) -> None:
    assert "this is a receipt" in base.run(*AUDIT, "receipt.json", expect=2)["error"]
    assert "this is an audit statement" in base.run(*IMPORT, "report.json", expect=2)["error"]


def test_files_of_the_same_kind_and_empty_ones_are_replaced(world: World) -> None:
    (world.folder / "empty").touch()
    for line, name in ((IMPORT, "receipt.json"), (AUDIT, "report.json"), (IMPORT, "empty"), (SIGN, "officer.jsonl")):
        world.run(*line, name)
    world.run(*SHOW, "run.log")
    world.run(*SHOW, "run.log")
    assert (world.folder / "run.log").read_text().count(" airgap ") == 2
    # As a rotated log file begins.
    (world.folder / "run.log").write_text("2026-11-30T10:00:00Z note: something\n")
    world.run(*SHOW, "run.log")


def test_an_import_that_changed_nothing_leaves_the_receipt_that_says_what_changed(world: World) -> None:
    assert world.run(*IMPORT, "receipt.json")["receipt"]  # the folder was copied: these are other destinations
    first = (world.folder / "receipt.json").read_bytes()
    for name in ("receipt.json", "copy.json"):
        done = world.run(*IMPORT, name)
        assert (done["receipt"], Path(done["standingReceipt"]).read_bytes()) == (False, first)
        assert (world.folder / name).read_bytes() == first
    assert "stands" in run_airgap([*IMPORT, "copy.json"], world.folder, PASSWORD).out
    assert len([*(world.folder / "state/receipts").iterdir()]) == 2
    # Where something is done, there is one more; and what a file held that is kept nowhere else is not lost either.
    shutil.rmtree(world.folder / "inside/oci")
    assert world.run(*IMPORT, "receipt.json")["receipt"]
    assert first in [path.read_bytes() for path in (world.folder / "state/receipts").iterdir()]
    second = (world.folder / "receipt.json").read_bytes()
    shutil.rmtree(world.folder / "state/receipts")
    assert "kept nowhere else" in run_airgap([*IMPORT, "receipt.json"], world.folder, PASSWORD).err
    world.run(*AUDIT, "report.json")
    audited = (world.folder / "report.json").read_bytes()
    shutil.rmtree(world.folder / "state/statements")
    world.run(*AUDIT, "report.json")
    found = [path.read_bytes() for path in (world.folder / "state/found").iterdir()]
    assert {second, audited} <= {*found}
    assert first not in found


def test_what_airgap_keeps_itself_is_not_replaced_by_hand(world: World) -> None:
    [kept] = (world.folder / "state/receipts").iterdir()
    before = kept.read_bytes()
    assert world.run(*IMPORT, str(kept), expect=2)["code"] == "bad-path"
    assert kept.read_bytes() == before
    state = world.folder / "state"
    top = {path.name for path in state.iterdir() if path.is_file()}
    assert {name for name in top if not name.startswith(".")} == OWN_FILES
    for name in (*top, ".new", "receipts/new.json"):
        assert world.run(*IMPORT, f"state/{name}", expect=2)["code"] == "bad-path"
    # What is nobody's may be there: a volume that is mounted for the state has room for a receipt.
    world.run(*IMPORT, "state/receipt.json")


def test_a_link_that_leads_to_nothing_makes_no_log_file_elsewhere(world: World) -> None:
    (world.folder / "run.log").symlink_to("outside.log")
    assert world.run(*SHOW, "run.log", expect=2)["code"] == "log-file"
    assert not (world.folder / "outside.log").exists()


def test_the_first_line_of_a_log_that_a_crash_tore_is_repaired(world: World) -> None:
    (world.folder / "torn.jsonl").write_bytes(b'{"action":"appro' + bytes(8))
    world.run(*SIGN, "torn.jsonl")
    assert world.run("log", "verify", "--log", "torn.jsonl")["lines"] == 2
    assert "log-repaired" in (world.folder / "torn.jsonl").read_text()


@pytest.mark.parametrize("link", ["receipts", "receipts/deep", "receipts/nov.json"])
def test_a_link_on_the_medium_leads_no_receipt_elsewhere(world: World, link: str) -> None:
    """The medium is a folder with the delivery, and with other things of whoever had it before."""
    outside, stick = world.folder / "outside", world.folder / "stick"
    outside.mkdir()
    stick.mkdir()
    shutil.move(world.folder / "media", stick / "media")
    made = stick / link
    made.parent.mkdir(exist_ok=True)
    made.symlink_to(outside / "authorized_keys" if link.endswith(".json") else outside)
    name = {"receipts/deep": "receipts/deep/nov.json"}.get(link, "receipts/nov.json")
    line: list[Any] = ["import", "stick/media", *GAP, *KEY, "--receipt", f"stick/{name}"]
    refused = world.run(*line, expect=2)
    assert (refused["code"], "is a link" in refused["error"]) == ("bad-path", True)
    assert list(outside.iterdir()) == []
    # Beside the delivery, and through links of this machine, it is written.
    world.run(*line[:-1], "stick/media.receipt")
    (world.folder / "ours").symlink_to(outside)
    world.run(*line[:-1], "ours/nov.json")


def test_a_link_in_an_unfinished_bundle_leads_no_signature_elsewhere(world: World) -> None:
    cut = ("bundle", "r.lock.json", "--store", "store", "--to", "next", "--for", "bank", "--key", "exporter.key")
    with mock.patch("airgap.bundling.bundle.check_free", side_effect=StoreError("disk-full", "full", "wait")):
        assert world.run(*cut, expect=5)["code"] == "disk-full"
    (world.folder / "outside").mkdir()
    (world.folder / "next/signatures").symlink_to("../outside")
    assert world.run(*cut, expect=2)["code"] == "bad-path"
    (world.folder / "next/signatures").unlink()
    world.run(*cut)
    assert list((world.folder / "outside").iterdir()) == []
