"""Parity on the road: discs that are lost or damaged, and an import that gets there all the same."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import StoreError
from airgap.diode.folder.intake import FolderIntake
from airgap.statements.dsse import sign_payload
from airgap.statements.keys.file import load_private
from airgap.statements.predicates import Delivery
from airgap.statements.statement import Statement
from tests.worlds.commands import PASSWORD, run_airgap
from tests.worlds.diode import Heard, inbox_in
from tests.worlds.site import CHECKED, GAP, HEAD, Site

pytestmark = pytest.mark.e2e
KEY = ("--key", "sovereign.key")
CUT = ("bundle", "r.lock.json", "--store", "store", "--key", "exporter.key", "--for", "bank")
MODEL = 900_000
"""Bytes of the largest file: it is split over volumes."""


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a delivery of several volumes and two parity files in `media`."""
    folder = tmp_path_factory.mktemp("parity")
    site = Site(folder)
    chance = random.Random(5)
    (folder / "content").mkdir()
    files = ""
    for name, size in {"model": MODEL, "small": 3000, "other": 120_000}.items():
        data = chance.randbytes(size)
        (folder / "content" / name).write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        files += f"  - {{file: 'content/{name}', path: '{name}', sha256: {sha256}}}\n"
    site.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n  files:\n{files}")
    inside = "kind: Sovereign\nmetadata: {name: bank}\nspec:\n  stateDir: state\n  directory: inside\n"
    site.write("sovereign.yaml", HEAD + inside)
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run(*CUT, "--to", "media", "--volume-size", "200KiB", "--parity", "2")
    return folder


@pytest.fixture
def site(cut: Path, tmp_path: Path) -> Site:
    """The same site once more, which a test may change; its store is not in it."""
    shutil.copytree(cut, tmp_path / "s", ignore=shutil.ignore_patterns("store", "content"))
    made = Site.__new__(Site)
    made.folder = tmp_path / "s"
    return made


def _flip(path: Path, chance: random.Random, places: int = 10) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(places):
        data[chance.randrange(len(data))] ^= 0x10
    path.write_bytes(data)


def _inside(site: Site) -> int:
    found = list((site.folder / "inside" / "objects").rglob("model"))
    return sum(path.stat().st_size for path in found)


def test_parity_files_fit_the_volume_size(site: Site) -> None:
    media = site.folder / "media"
    index = json.loads((media / "AIRGAP.json").read_bytes())
    assert max(path.stat().st_size for path in media.iterdir()) <= 200 << 10
    assert [one["name"] for one in index["parity"]["files"]] == ["parity-01-of-02.par", "parity-02-of-02.par"]
    assert len(index["contents"]["volumes"]) > 5
    found = site.run("verify", "media", *CHECKED)
    assert found["outcome"] == "pass"
    assert {one["name"] for one in found["files"]} >= {"parity-01-of-02.par", "evidence.tar"}
    sums = (media / "SHA256SUMS").read_text()
    assert "parity-02-of-02.par" in sums


def test_two_lost_files(site: Site) -> None:
    """Verify says repairable, import gets everything, and the media stay as they are."""
    media = site.folder / "media"
    (media / "vol-0001-of-0006.tar").unlink()
    (media / "evidence.tar").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in media.iterdir()}
    found = site.run("verify", "media", *CHECKED, expect=4)
    assert found["outcome"] == "repairable"
    states = {one["name"]: one["state"] for one in found["files"] if one["state"] != "good"}
    assert states == {"vol-0001-of-0006.tar": "repairable", "evidence.tar": "repairable"}
    site.run("import", "media", *GAP, *KEY, "--dry-run")
    site.run("extract", "media", "model", *CHECKED, "--to", "out")
    out = site.folder / "out"
    assert max(path.stat().st_size for path in (out, *out.rglob("*")) if path.is_file()) == MODEL
    site.run("import", "media", *GAP, *KEY, "--receipt", "receipt.json")
    assert _inside(site) == MODEL
    assert {path.name: path.stat().st_mtime_ns for path in media.iterdir()} == before
    site.run("audit", *GAP, "--receipt", "receipt.json", "--deep")


def test_damage_inside_volumes_costs_only_its_blocks(site: Site) -> None:
    """Places in every file, more files than there is parity."""
    media = site.folder / "media"
    for number, path in enumerate(sorted(media.glob("vol-*"))):
        data = bytearray(path.read_bytes())
        for place in (4096 * 2 * number + 5, 4096 * 2 * number + 600):
            data[place] ^= 1
        path.write_bytes(data)
    assert site.run("verify", "media", *CHECKED, expect=4)["outcome"] == "repairable"
    site.run("import", "media", *GAP, *KEY)
    assert _inside(site) == MODEL


def test_repair_writes_what_is_bad_and_nothing_else(site: Site) -> None:
    media = site.folder / "media"
    (media / "vol-0003-of-0006.tar").unlink()
    _flip(media / "vol-0002-of-0006.tar", random.Random(1), 3)
    assert site.run("copy", "media", *CHECKED, "--to", "media", expect=2)["code"] == "bad-path"
    assert site.run("copy", "media", *CHECKED, "--disc-size", "4.7GB", "--dry-run")["discs"][0]["number"] == 1
    refused = site.run("copy", "media", *CHECKED, "--to", "stick", expect=4)
    assert "with `airgap repair`" in refused["hint"]
    planned = site.run("repair", "media", *CHECKED, "--dry-run", "--to", "new")
    bad = [one["name"] for one in planned["files"] if one["state"] == "repairable"]
    assert bad == ["vol-0002-of-0006.tar", "vol-0003-of-0006.tar"]
    assert not (site.folder / "new").exists()
    site.run("repair", "media", *CHECKED, "--to", "new")
    names = sorted(
        str(path.relative_to(site.folder / "new")) for path in (site.folder / "new").rglob("*") if path.is_file()
    )
    assert names == ["AIRGAP.json", "README.txt", "SHA256SUMS", "signatures/exporter.sigstore.json", *bad]
    assert site.run("verify", "media", "new", *CHECKED)["outcome"] == "pass"
    assert site.run("repair", "media", *CHECKED, "--to", "new")["files"]  # the same command again: nothing is left
    site.run("import", "media", "new", *GAP, *KEY)
    assert _inside(site) == MODEL


def test_repair_goes_on_after_an_interruption(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = site.folder / "media" / "vol-0004-of-0006.tar"
    before = lost.read_bytes()
    lost.unlink()
    (site.folder / "new").mkdir()
    (site.folder / "new" / f".{lost.name}.partial").write_bytes(b"from a run that was killed")
    with monkeypatch.context() as patch:
        patch.setattr("airgap.delivery.repair._DataWriter.blocks", _full)
        site.run("repair", "media", *CHECKED, "--to", "new", expect=5)
    assert not (site.folder / "new" / lost.name).exists()
    site.run("repair", "media", *CHECKED, "--to", "new")
    assert (site.folder / "new" / lost.name).read_bytes() == before
    assert not list((site.folder / "new").glob(".*"))


def _full(*_arguments: object) -> None:
    raise StoreError("disk-full", "the disk is full")


def test_too_much_is_lost(site: Site) -> None:
    """It says how much, writes nothing, and an import says which volumes it needs."""
    media = site.folder / "media"
    for number in (2, 3, 4):
        (media / f"vol-000{number}-of-0006.tar").rename(site.folder / f"vol-000{number}-of-0006.tar")
    for dry in ((), ("--dry-run",)):
        refused = site.run("repair", "media", *CHECKED, "--to", "new", *dry, expect=4)
        assert refused["code"] == "beyond-repair"
        assert "3 files missing or damaged" in refused["error"]
        assert "find 1 more of these files" in refused["hint"]
    assert not (site.folder / "new").exists()
    assert site.run("verify", "media", *CHECKED, expect=4)["outcome"] == "fail"
    told = run_airgap(["import", "media", *GAP, *KEY], site.folder, PASSWORD)
    assert told.code == 5
    assert "3 volumes missing; with 1 more file of the delivery" in told.err
    assert not (site.folder / "inside" / "objects").exists() or not _inside(site)
    # One of the three turns up, in another drive: that is enough.
    (site.folder / "drive").mkdir()
    name = "vol-0003-of-0006.tar"
    (site.folder / name).rename(site.folder / "drive" / name)
    site.run("import", "media", "drive", *GAP, *KEY)
    assert _inside(site) == MODEL


def test_mistakes_are_said(site: Site) -> None:
    def code(*arguments: str, expect: int = 2) -> str:
        return str(site.run("repair", *arguments, expect=expect)["code"])

    assert code("media", *CHECKED) == "usage"
    assert code("media", *CHECKED, "--to", "media") == "bad-path"
    assert code("inside-not-there", *CHECKED, "--to", "new") == "usage"
    assert code("state" if (site.folder / "state").exists() else ".", *CHECKED, "--to", "new") == "no-delivery"
    (site.folder / "full").mkdir()
    (site.folder / "full" / "x").write_text("x")
    assert code("media", *CHECKED, "--to", "full") == "not-empty"
    signature = site.folder / "media" / "signatures" / "exporter.sigstore.json"
    signature.unlink()
    assert code("media", *CHECKED, "--to", "new", expect=4) == "no-signature"


def test_bundle_refuses_and_plans(cut: Path) -> None:
    """Too many files for the code, too small volumes; a dry run shows what is cut."""
    site = Site.__new__(Site)
    site.folder = cut
    plan = site.run(*CUT, "--volume-size", "200KiB", "--parity", "2", "--dry-run")
    assert [one["name"] for one in plan["parity"]] == ["parity-01-of-02.par", "parity-02-of-02.par"]
    assert len(plan["volumes"]) == 6
    refused = site.run(*CUT, "--to", "out", "--volume-size", "64KiB", "--parity", "2", expect=2)
    assert refused["code"] == "volume-size"
    site.run(*CUT, "--to", "out", "--parity", "100", expect=2)
    site.run(*CUT, "--to", "one", "--parity", "1")
    (cut / "one" / "vol-0001-of-0001.tar").unlink()
    assert site.run("verify", "one", *CHECKED, expect=4)["outcome"] == "repairable"
    assert len(site.run("ls", "one")) > 0
    refused = site.run("repair", "plain", *CHECKED, "--dry-run", expect=2)
    site.run(*CUT, "--to", "plain")
    refused = site.run("repair", "plain", *CHECKED, "--dry-run", expect=2)
    assert refused["code"] == "no-parity"


def test_made_up_parity_files_change_nothing(site: Site) -> None:
    """Whoever holds the media writes into the parity files and the volumes: what comes in is right, or nothing is."""
    media = site.folder / "media"
    chance = random.Random(3)
    (media / "vol-0002-of-0006.tar").unlink()
    size = (media / "parity-01-of-02.par").stat().st_size
    (media / "parity-01-of-02.par").write_bytes(chance.randbytes(size))
    site.run("import", "media", *GAP, *KEY)
    assert _inside(site) == MODEL
    (media / "parity-02-of-02.par").write_bytes((media / "parity-01-of-02.par").read_bytes())
    refused = site.run("repair", "media", *CHECKED, "--to", "new", expect=4)
    assert refused["code"] == "beyond-repair"
    assert not (site.folder / "new").exists()


def test_an_index_whose_parity_cannot_be(site: Site) -> None:
    """The exporter's key is stolen: petabytes of parity, or blocks of a gigabyte, are refused as they are parsed."""
    media = site.folder / "media"
    text = (media / "AIRGAP.json").read_text()
    index = json.loads(text)
    size, block = index["parity"]["files"][0]["size"], index["parity"]["blockSize"]
    for old, new in [
        (f'"size": {size}}}', f'"size": {1 << 50}}}'),
        (f'"blockSize": {block}', f'"blockSize": {1 << 30}'),
    ]:
        data = text.replace(old, new).encode()
        (media / "AIRGAP.json").write_bytes(data)
        signer, now = load_private(site.folder / "exporter.key", b"for tests"), datetime.now(UTC)
        signed = Statement.of(Digest.of(data), Delivery(), signed_at=now, log_head=Digest.of(b""), role="exporter")
        bundle = sign_payload(signed.payload, signer)
        (media / "signatures" / "exporter.sigstore.json").write_bytes(bundle)
        for command in (["verify", "media", *CHECKED], ["repair", "media", *CHECKED, "--dry-run"]):
            assert site.run(*command, expect=4)["code"] == "bad-index"


def test_what_a_one_way_road_lost_is_computed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files never arrive, and one of the others arrives damaged: nobody has to send anything again."""
    monkeypatch.setattr("airgap.diode.inbox.MEND_AFTER", 0.0)
    media, heard = site.folder / "media", Heard()
    inbox = inbox_in(site.folder, heard, site.folder / "trust.yaml")
    (site.folder / "road").mkdir()
    volumes = sorted(media.glob("vol-*.tar"))
    for path in media.iterdir():
        if path.is_file() and path.name not in ("parity-02-of-02.par", volumes[0].name):
            (site.folder / "road" / path.name).write_bytes(path.read_bytes())
    _flip(site.folder / "road" / volumes[1].name, random.Random(1), 1)
    (site.folder / "road" / "signature").write_bytes((media / "signatures/exporter.sigstore.json").read_bytes())
    intake = FolderIntake(site.folder / "road", inbox, heard, b"", settle=0.0)
    intake.look()
    inbox.settle()
    assert heard.computed == []  # one stripe has a block too few
    (site.folder / "road" / "parity").write_bytes((media / "parity-02-of-02.par").read_bytes())
    intake.look()
    inbox.settle()
    assert heard.computed == [volumes[0].name, volumes[1].name]
    (arrived,) = heard.arrived
    for path in volumes:
        assert (inbox.folder / arrived.folder / path.name).read_bytes() == path.read_bytes()
    assert not heard.troubles
