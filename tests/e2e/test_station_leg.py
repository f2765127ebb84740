"""Two legs: connected zone → delivery → the station's store → delivery → Sovereign, and what the station refuses."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.cli.demo_content import make_content, sign_content
from airgap.content.lock import Lock
from airgap.delivery.index import Index
from airgap.statements.dsse import open_bundle
from airgap.statements.keys.file import load_private
from airgap.statements.statement import Statement
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import MAX_EVIDENCE, Files, World
from tests.worlds.cli_site import airgap
from tests.worlds.no_route import Inside
from tests.worlds.site import GAP, HEAD, REQUEST, Site

pytestmark = [pytest.mark.e2e, pytest.mark.part("git")]
ENTRY = (
    "  - {{name: {0}, role: {1}, publicKeyFile: {0}.pub, "
    "notBefore: 2026-01-01T00:00:00Z, notAfter: 2036-01-01T00:00:00Z}}\n"
)
ROLES = {"exporter": "exporter", "station": "station", "officer": "security-officer", "sovereign": "sovereign"}
STATION = ("--store", "dmz", "--trust", "station-trust.yaml")
POLICY = """\
kind: Policy
metadata: {name: dmz}
spec:
  keys: [{name: publisher, publicKeyFile: publisher.pub}]
  rules:
  - match: ["demo.local/**"]
    require: {keys: [publisher]}
  - match: ["**"]
    kinds: [git, model, file]
    digestOnly: {approver: officer, reason: nobody signs these, local: true, expires: 2036-01-01T00:00:00Z}
"""
CUT = ("bundle", "r.lock.json", "--store", "store", "--key", "exporter.key")


def trust(site: Site, name: str, file: str, *keys: str, require: str = "[pull, delivery]") -> None:
    """A Trust resource for `name`."""
    entries = "".join(ENTRY.format(key, ROLES[key]) for key in keys)
    spec = f"spec:\n  sovereign: {name}\n  keys:\n{entries}  require: {require}\n"
    site.write(file, f"{HEAD}kind: Trust\nmetadata: {{name: {name}}}\n{spec}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of both zones: five kinds locked, pulled, approved and cut for the station, one disc and several."""
    site = Site(tmp_path_factory.mktemp("legs"))
    for key in ("station", "officer", "publisher"):
        site.run("keys", "generate", key)
    manual = make_content(site.folder / "content")
    sign_content(site.folder / "content", load_private(site.folder / "publisher.key", b"for tests"), datetime.now(UTC))
    site.write("r.request.yaml", re.sub("sha256: [0-9a-f]{64}", f"sha256: {manual}", REQUEST.read_text()))
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    site.run("sign", "r.lock.json", "--key", "officer.key", "--log", "officer.jsonl")
    for number in (1, 2):
        site.run(*CUT, "--for", "dmz", "--to", f"leg{number}")
    site.run(*CUT, "--for", "dmz", "--to", "discs", "--stream", "discs", "--volume-size", "700KiB")
    site.run(*CUT, "--for", "bank", "--to", "elsewhere")
    trust(site, "dmz", "station-trust.yaml", "exporter", "officer", require="[pull, delivery, approval]")
    keys = ("exporter", "station", "officer", "sovereign")
    trust(site, "bank", "trust.yaml", *keys, require="[pull, delivery, approval]")
    spec = "spec: {stateDir: state, directory: inside}\n"
    site.write("sovereign.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: bank}}\n{spec}")
    site.write("policy.yaml", HEAD + POLICY)
    # What follows is another network: nothing of the connected zone is there.
    shutil.rmtree(site.folder / "content")
    return site.folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Site:
    """A copy of the site, for one test."""
    shutil.copytree(made, tmp_path / "site", symlinks=True)
    copy = Site.__new__(Site)
    copy.folder = tmp_path / "site"
    return copy


def items(site: Site) -> set[str]:
    """The names of all items of the lock."""
    return {item.name for item in Lock.decode((site.folder / "r.lock.json").read_bytes(), "lock").items}


def names(site: Site) -> set[str]:
    """The names that the station's store has."""
    document = json.loads((site.folder / "dmz/index.json").read_bytes())
    return {one["annotations"]["org.opencontainers.image.ref.name"] for one in document["manifests"]}


def actions(site: Site) -> list[str]:
    """What the station's log says."""
    lines = (site.folder / "dmz/airgap/log.jsonl").read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]


def second_leg(site: Site, lock: str) -> None:
    """The station cuts from what came in, and the Sovereign takes it."""
    cut = ("bundle", lock, "--store", "dmz", "--to", "media", "--for", "bank", "--key", "station.key")
    site.run(*cut, "--role", "station", "--unscanned")
    site.run("verify", "media", "--trust", "trust.yaml")
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    site.run("audit", *GAP, "--receipt", "receipt.json")


def test_all_kinds_cross_both_legs_with_their_statements(site: Site) -> None:
    shutil.rmtree(site.folder / "store")
    planned = site.run("import", "leg1", *STATION, "--dry-run")
    assert (planned["written"] > 0, planned["locks"], (site.folder / "dmz").exists()) == (True, [], False)
    done = site.run("import", "leg1", *STATION)
    [lock] = done["locks"]
    assert re.fullmatch(r"dmz/airgap/locks/demo-[0-9a-f]{12}\.json", lock)
    assert (site.folder / lock).read_bytes() == (site.folder / "r.lock.json").read_bytes()
    pins = {name for name in names(site) if name.startswith("airgap.git/")}
    assert names(site) - pins == items(site)
    assert pins
    second_leg(site, lock)
    assert actions(site) == ["accept", "delivery"]
    site.run("log", "verify", "--store", "dmz", "--trust", "trust.yaml")
    # Once more, and the delivery after it: nothing is new, all is said.
    assert site.run("import", "leg1", *STATION)["written"] == 0
    assert site.run("import", "leg2", *STATION)["written"] == 0
    assert actions(site)[2:] == ["resume", "accept"]


def test_what_the_station_refuses(site: Site) -> None:
    def refused(code: str, *line: str) -> None:
        before = sorted((site.folder / "dmz").rglob("*")) if (site.folder / "dmz").exists() else []
        assert site.run("import", *line, expect=4)["code"] == code
        after = sorted((site.folder / "dmz").rglob("*")) if (site.folder / "dmz").exists() else []
        assert after == before

    refused("wrong-sovereign", "elsewhere", *STATION)
    trust(site, "dmz", "strict.yaml", "exporter", "officer", require="[pull, delivery, verdict]")
    refused("statement-missing", "leg1", "--store", "dmz", "--trust", "strict.yaml")
    shutil.copytree(site.folder / "leg1", site.folder / "stripped")
    shutil.rmtree(site.folder / "stripped/signatures")
    refused("no-signature", "stripped", *STATION)
    site.run("import", "leg2", *STATION)
    refused("older-sequence", "leg1", *STATION)
    site.run("bundle", "r.lock.json", "--store", "store", "--key", "exporter.key", "--for", "dmz", "--to", "leg3")
    site.run("import", "leg3", *STATION)
    refused("delivery-replayed", "leg2", *STATION)
    # A station has no Sovereign resource: only a security-officer opens another stream.
    cut = (*CUT, "--for", "dmz", "--stream", "gpu", "--to", "gpu1")
    site.run(*cut)
    refused("stream-not-declared", "gpu1", *STATION)
    site.run("sign", "gpu1", "--key", "officer.key")
    site.run("import", "gpu1", *STATION)
    # The store of one station is not that of another.
    other = site.run("import", "leg3", "--store", "dmz", "--trust", "trust.yaml", expect=5)
    assert other["code"] == "state-of-another"


def test_a_restore_at_the_station_adds_and_moves_nothing(site: Site) -> None:
    site.run("import", "leg1", *STATION)
    site.run("import", "leg2", *STATION)
    for path in (site.folder / "dmz/blobs/sha256").iterdir():
        path.unlink()
    before = (site.folder / "dmz/index.json").read_bytes()
    assert site.run("import", "leg1", *STATION, "--restore")["written"] > 0
    assert (site.folder / "dmz/index.json").read_bytes() == before
    assert actions(site) == ["accept", "accept", "restore"]


def test_one_disc_after_another_into_the_store(site: Site) -> None:
    volumes = sorted(path.name for path in (site.folder / "discs").glob("vol-*.tar"))
    assert len(volumes) > 2
    small = [path for path in (site.folder / "discs").iterdir() if path.name not in volumes]
    locks: list[str] = []
    for number, volume in enumerate(volumes):
        drive = site.folder / "drive"
        shutil.rmtree(drive, ignore_errors=True)
        drive.mkdir()
        for path in small if number == 0 else ():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, drive / path.name)
        shutil.copy(site.folder / "discs" / volume, drive)
        # A gc between two discs takes nothing that the next one needs.
        assert volume == volumes[0] or site.run("store", "gc", "--store", "dmz")["freed"]["files"] == 0
        last = volume == volumes[-1]
        done = site.run("import", "drive", *STATION, expect=0 if last else 5)
        assert bool(done["missingVolumes"]) is not last
        locks = done["locks"]
        assert bool(locks) is last
        assert bool(names(site)) is last
    assert not list((site.folder / "dmz/airgap/unfinished").iterdir())
    second_leg(site, locks[0])


def test_damage_in_the_store_and_on_the_medium(site: Site) -> None:
    [lock] = site.run("import", "leg1", *STATION)["locks"]
    blob = max((site.folder / "dmz/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert site.run("import", "leg1", *STATION)["written"] == 0
    assert site.run("import", "leg1", *STATION, "--deep")["written"] == len(data)
    assert blob.read_bytes() == data
    second_leg(site, lock)
    # The same on the way in: refused, nothing has a name, and a good copy finishes it.
    [volume] = (site.folder / "leg2").glob("vol-*.tar")
    good = volume.read_bytes()
    at = good.index(data)
    volume.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    shutil.rmtree(site.folder / "dmz")
    assert site.run("import", "leg2", *STATION, expect=4)["code"] == "digest-mismatch"
    assert names(site) == set()
    volume.write_bytes(good)
    site.run("import", "leg2", *STATION)
    assert items(site) <= names(site)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("leg1", "--trust", "station-trust.yaml"), "--sovereign --store"),
        (("leg1", *GAP, "--store", "dmz"), "cannot be combined with"),
        (("leg1", *STATION, "--key", "station.key"), "--key cannot be combined with --store"),
        (("leg1", *STATION, "--receipt", "r.json"), "--receipt cannot be combined with --store"),
    ],
)
def test_flags_that_do_not_fit(made: Path, line: tuple[str, ...], words: str) -> None:
    site = Site.__new__(Site)
    site.folder = made
    airgap(site, "import", *line).refused(2, "usage", words)
    assert not (made / "dmz").exists()


def test_the_key_of_the_environment_is_for_other_commands(site: Site) -> None:
    said = airgap(site, "import", "leg1", *STATION, AIRGAP_KEY="station.key")
    assert said.code == 0
    assert "next: airgap scan dmz/airgap/locks/demo-" in said.out


@pytest.mark.part("iproute2")
def test_the_station_judges_between_the_legs_and_the_sovereign_asks_for_all_it_says(
    site: Site, netns: NetworkNamespace
) -> None:
    keys = ("exporter", "station", "officer", "sovereign")
    trust(site, "bank", "trust.yaml", *keys, require="[pull, verdict, delivery, approval]")
    shutil.rmtree(site.folder / "store")
    inside = Inside(site, netns)
    [lock] = site.run("import", "leg1", *STATION)["locks"]
    # 1. Judged by nobody, it is not cut, and cut by force it does not get in.
    cut = ("bundle", lock, "--store", "dmz", "--for", "bank", "--key", "station.key", "--role", "station", "--to")
    assert site.run(*cut, "early", expect=3)["code"] == "not-scanned"
    site.run(*cut, "early", "--unscanned")
    assert inside.run("import", "early", *GAP, expect=4)["code"] == "statement-missing"
    # 2. Judged, it does: with the exporter's pull statement, the officer's approval and the station's verdict.
    site.run("scan", lock, "--store", "dmz", "--policy", "policy.yaml", "--key", "station.key")
    site.run(*cut, "media")
    before = inside.asked()
    verified = inside.run("verify", "media", "--trust", "trust.yaml")
    assert [one["outcome"] for one in verified["judged"]["verdicts"]] == ["pass"]
    inside.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    inside.run("audit", *GAP, "--receipt", "receipt.json")
    assert inside.asked() == before
    assert actions(site) == ["accept", "delivery", "verdict", "delivery"]
    site.run("log", "verify", "--store", "dmz", "--trust", "trust.yaml")
    # 3. The same lock again: the verdict stands.
    site.run("import", "leg2", *STATION)
    site.run(*cut, "again")
    inside.run("import", "again", *GAP, "--key", "sovereign.key")


def test_another_stations_verdict_counts_against_a_delivery_and_does_not_go_on(site: Site) -> None:
    judge = ("--policy", "policy.yaml", "--key", "station.key")
    trust(site, "dmz", "station-trust.yaml", "exporter", "officer", "station", require="[pull, delivery]")
    line = (*CUT[:4], "--key", "exporter.key", "--for", "dmz", "--stream", "judged", "--to")
    site.run("scan", "r.lock.json", "--store", "store", *judge)
    site.run(*line, "judged")
    said = airgap(site, "import", "judged", *STATION)
    assert said.code == 0
    assert "note: lock 'demo': the verdict of 'station'" in said.err
    assert not list((site.folder / "dmz/airgap").glob("*/verdict-*"))
    [lock] = (site.folder / "dmz/airgap/locks").iterdir()
    cut = ("bundle", str(lock), "--store", "dmz", "--for", "bank", "--key", "station.key", "--role", "station")
    assert site.run(*cut, "--to", "media", expect=3)["code"] == "not-scanned"


def test_content_that_is_not_what_its_lock_says_gets_no_name(site: Site, netns: NetworkNamespace) -> None:
    """A thief of the exporter's key swaps the lock for one with the same names, in which a branch is elsewhere."""
    world = World(site.folder, netns)
    trust(site, "dmz", "station-trust.yaml", "exporter", "officer")
    lock = Lock.decode((site.folder / "r.lock.json").read_bytes(), "lock")
    moved = [replace(one, refs=dict.fromkeys(one.refs, "0" * 40)) if one.kind == "git" else one for one in lock.items]
    other = Lock.of(lock.name, moved)

    def evidence(files: Files) -> Files:
        found = [open_bundle(data, name, MAX_EVIDENCE).payload for name, data in files.items() if "statements/" in name]
        [pull] = [one.body for one in (Statement.parse(data, "") for data in found) if one.kind == "pull"]
        signed = world.statement(other.digest, pull, "exporter")
        kept = {f"locks/{other.digest.hex}.json": other.encode()}
        return kept | {f"statements/{Digest.of(signed).hex}.sigstore.json": signed}

    def index(made: Index) -> Index:
        return replace(made, contents=replace(made.contents, locks=(other.digest,)))

    world.forge("leg1", "forged", evidence=evidence, index=index, who="exporter")
    refused = site.run("import", "forged", *STATION, expect=4)
    assert refused["code"] == "not-as-locked"
    assert "but the lock says 0000" in refused["error"]
    assert names(site) == set()
    assert not (site.folder / "dmz/airgap/locks").exists()
