"""The list of accepted deliveries that destinations keep: a state lost or rolled back, a Harbor from old media."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.parts import images, need
from tests.worlds.cli_site import airgap
from tests.worlds.row import KEY, Row
from tests.worlds.site import GAP, HEAD

pytestmark = pytest.mark.e2e
LIST = "inside/records/accepted-bank.sigstore.json"
RECORDS = "safe/records"
TAG = "accepted-bank"


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A site with three deliveries of one name, each with other content and with a name of its own; two are in."""
    made = Row(tmp_path)
    for number in (1, 2, 3):
        made.layout.tag(f"v{number}", made.layout.image({"a": str(number).encode()}))
        made.deliver(number, {"demo.local/app:latest": f"v{number}", f"demo.local/app:v{number}": f"v{number}"})
    return made


def take(row: Row, *numbers: int) -> None:
    """Imports deliveries, one after the other; keeps a copy of the state after each."""
    for number in numbers:
        row.take(f"media{number}")
        shutil.copytree(row.folder / "state", row.folder / f"state{number}", dirs_exist_ok=True)


def roll_back(row: Row, number: int) -> None:
    """Brings the state of after that delivery back; 0 takes it away. The copies of receipts are gone, too."""
    for receipt in row.folder.glob("*.receipt"):
        receipt.unlink()
    shutil.rmtree(row.folder / "state")
    if number:
        shutil.copytree(row.folder / f"state{number}", row.folder / "state")


def sequences(row: Row) -> list[int]:
    """What the state remembers."""
    document = json.loads((row.folder / "state/accepted.json").read_bytes())
    return [one["sequence"] for one in document["deliveries"]]


def listed(row: Row, name: str = LIST) -> Any:
    """The list in the embedded Sovereign."""
    return row.site.run("show", name)


def actions(row: Row) -> list[str]:
    """What the Sovereign's log says was done."""
    lines = (row.folder / "state/log.jsonl").read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]


def registry_of(row: Row, registry: Any, more: str = f", records: {RECORDS}") -> None:
    """Content goes to a registry."""
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: in}}{more}}}\n")


def test_the_list_grows_with_each_delivery_and_is_signed_once_for_each(row: Row) -> None:
    take(row, 1, 2)
    found = listed(row)
    assert [one["sequence"] for one in found["deliveries"]] == [1, 2]
    assert (found["kind"], found["sovereign"], found["role"]) == ("accepted", "bank", "sovereign")
    assert found["subject"] == found["deliveries"][-1]["digest"]
    take(row, 2)
    assert listed(row) == found
    assert actions(row) == ["accept", "accepted", "receipt"] * 2 + ["resume"]


@pytest.mark.parametrize("place", ["embedded", "registry"])
@pytest.mark.part("distribution3")
def test_a_state_that_was_rolled_back_or_lost_stops_imports_until_it_is_restored(
    row: Row, place: str, start_registry: Any
) -> None:
    if place == "registry":
        registry_of(row, start_registry())
    take(row, 1, 2)
    for number, code in ((1, "state-rolled-back"), (0, "state-lost")):
        roll_back(row, number)
        before = sorted(path for path in (row.folder / "state").rglob("*")) if number else []
        for media in ("media2", "media3"):
            refused = row.take(media, expect=4)
            assert refused["code"] == code
            assert "number 2 of stream 'main'" in refused["error"]
            assert "--restore" in refused["hint"]
        assert row.take("media2", "--dry-run", expect=4)["code"] == code
        after = [path for path in (row.folder / "state").rglob("*") if not path.name.startswith(".")]
        assert sorted(after) == [path for path in before if not path.name.startswith(".")]
    # An earlier delivery comes in again: it adds, moves no name back, and the state is whole again.
    done = row.take("media1", "--restore", expect=3)
    assert {(c["name"], c["outcome"]) for c in done["changes"]} == {("latest", "refused"), ("v1", "present")}
    assert sequences(row) == [1, 2]
    assert actions(row)[:2] == ["rebuild", "restore"]
    take(row, 3)
    assert sequences(row) == [1, 2, 3]
    assert row.take("media1", expect=4)["code"] == "delivery-replayed"


def test_the_backup_of_the_state_is_enough(row: Row) -> None:
    take(row, 1, 2)
    roll_back(row, 0)
    assert row.take("media3", expect=4)["code"] == "state-lost"
    roll_back(row, 2)
    take(row, 3)
    assert sequences(row) == [1, 2, 3]


def test_a_restore_that_only_looks_rebuilds_nothing(row: Row) -> None:
    take(row, 1, 2)
    roll_back(row, 0)
    planned = row.take("media1", "--restore", "--dry-run", expect=3)
    assert {c["outcome"] for c in planned["changes"]} == {"refused", "present"}
    assert not (row.folder / "state").exists()


@pytest.mark.part("distribution3", "crane")
def test_a_registry_that_was_built_anew_is_filled_from_old_media(row: Row, start_registry: Any) -> None:
    registry_of(row, start_registry())
    take(row, 1, 2)
    fresh = start_registry()
    registry_of(row, fresh)
    # The newest first: its names stand, and older deliveries add what only they have.
    done = row.take("media2")
    assert {c["outcome"] for c in done["changes"]} == {"written"}
    done = row.take("media1", "--restore", expect=3)
    assert {(c["name"], c["outcome"]) for c in done["changes"]} == {("latest", "refused"), ("v1", "written")}
    digests = {
        tag: need.run("crane", "digest", "--insecure", f"{fresh.host}/in/app:{tag}").strip()
        for tag in ("latest", "v1", "v2")
    }
    assert digests["latest"] == digests["v2"] != digests["v1"]
    need.run("crane", "manifest", "--insecure", f"{fresh.host}/{RECORDS}:{TAG}")
    take(row, 3)


@pytest.mark.part("distribution3")
def test_registry_and_state_both_lost_but_one_of_two_registries_remembers(row: Row, start_registry: Any) -> None:
    one, two = start_registry(), start_registry()
    both = "".join(
        f"  - {{url: '{each.url}', projects: {{demo.local: in}}, records: {RECORDS}}}\n" for each in (one, two)
    )
    row.inside(f"  registries:\n{both}")
    take(row, 1, 2)
    for number in (1, 0):  # both remember
        roll_back(row, number)
        assert row.take("media3", expect=4)["code"] == ("state-rolled-back" if number else "state-lost")
        row.take("media2", "--restore")
        assert sequences(row) == [1, 2]
    roll_back(row, 0)
    requests.delete(f"{one.url}/v2/{RECORDS}/manifests/{TAG}", timeout=10)
    row.inside(f"  registries:\n{both.replace(one.url, start_registry().url)}")
    assert row.take("media3", expect=4)["code"] == "state-lost"
    row.take("media2", "--restore")
    assert sequences(row) == [1, 2]


@pytest.mark.part("distribution3")
def test_without_a_state_a_registry_that_cannot_be_asked_stops_the_import(row: Row, start_registry: Any) -> None:
    one, two = start_registry(), start_registry()
    both = "".join(
        f"  - {{url: '{each.url}', projects: {{demo.local: in}}, records: {RECORDS}}}\n" for each in (one, two)
    )
    row.inside(f"  registries:\n{both}")
    two.stop()
    assert row.take("media1", expect=5)["code"] == "unreachable"
    assert not (row.folder / "state/accepted.json").exists()
    row.inside(f"  registries:\n{both.splitlines()[0]}\n")
    take(row, 1)
    row.inside(f"  registries:\n{both}")
    row.take("media2", expect=5)  # with a state the others go on
    assert sequences(row) == [1, 2]


def forge(row: Row, key: str, name: str = "bank", target: str = LIST) -> None:
    """Another site's list, signed by `key`, in the place of ours."""
    trust = (row.folder / "trust.yaml").read_text()
    text = trust.replace("sovereign: bank", f"sovereign: {name}").replace("sovereign.pub", f"{key}.pub")
    row.site.write("other-trust.yaml", text)
    spec = "spec: {stateDir: other-state, directory: elsewhere}\n"
    row.site.write("other.yaml", f"{HEAD}kind: Sovereign\nmetadata: {{name: {name}}}\n{spec}")
    cut = ("--store", "store", "--to", f"media-{key}-{name}", "--for", name, "--key", "exporter.key")
    row.site.run("bundle", "r3.lock.json", *cut, "--stream", "side")
    gap = ("--sovereign", "other.yaml", "--trust", "other-trust.yaml")
    row.site.run("import", f"media-{key}-{name}", *gap, "--key", f"{key}.key")
    path = row.folder / target
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(row.folder / f"elsewhere/records/accepted-{name}.sigstore.json", path)
    shutil.rmtree(row.folder / "other-state")
    shutil.rmtree(row.folder / "elsewhere")


@pytest.mark.parametrize(
    ("key", "name", "why"),
    [
        ("stranger", "bank", "signed by a key that the Trust resource does not list"),
        ("sovereign", "other", "the list of 'other', expected the list of 'bank'"),
    ],
)
def test_a_list_that_is_not_ours_is_noted_where_there_is_a_state_and_decides_where_there_is_none(
    row: Row, key: str, name: str, why: str
) -> None:
    forge(row, key, name)
    forged = (row.folder / LIST).read_bytes()
    # 1. Nobody remembers anything: what may have been our list must not be passed over.
    refused = row.take("media1", expect=4)
    assert refused["code"] == "list-not-believed"
    assert why in refused["error"]
    assert row.take("media1", "--restore", expect=4)["code"] == "list-not-believed"
    assert (row.folder / LIST).read_bytes() == forged
    # 2. With a state it is said, and our own list takes its place.
    (row.folder / LIST).unlink()
    take(row, 1)
    (row.folder / LIST).write_bytes(forged)
    take(row, 2)
    assert [one["sequence"] for one in listed(row)["deliveries"]] == [1, 2]


@pytest.mark.parametrize("junk", [b"", b"{}", b"x" * 100])
def test_what_is_no_list_at_all_is_not_believed_either(row: Row, junk: bytes) -> None:
    (row.folder / LIST).parent.mkdir(parents=True)
    (row.folder / LIST).write_bytes(junk)
    assert row.take("media1", expect=4)["code"] == "list-not-believed"


def test_our_own_list_of_an_earlier_time_is_replaced_by_the_longer_one(row: Row) -> None:
    take(row, 1)
    old = (row.folder / LIST).read_bytes()
    take(row, 2)
    (row.folder / LIST).write_bytes(old)
    take(row, 2)
    assert [one["sequence"] for one in listed(row)["deliveries"]] == [1, 2]


def test_a_second_machine_with_a_state_of_its_own_is_told(row: Row) -> None:
    take(row, 1)
    text = (row.folder / "sovereign.yaml").read_text()
    row.site.write("second.yaml", text.replace("stateDir: state", "stateDir: second"))
    refused = row.site.run("import", "media2", "--sovereign", "second.yaml", *GAP[2:], *KEY, expect=4)
    assert refused["code"] == "state-lost"


def test_two_machines_that_accepted_different_deliveries_under_one_number_are_told(row: Row) -> None:
    take(row, 1, 2)
    shutil.copytree(row.folder / "store", row.folder / "store2")
    shutil.rmtree(row.folder / "store2/airgap/streams")
    cut = ("--store", "store2", "--to", "other", "--for", "bank", "--key", "exporter.key")
    row.site.run("bundle", "r3.lock.json", *cut)
    text = (row.folder / "sovereign.yaml").read_text().replace("stateDir: state", "stateDir: second")
    row.site.write("second.yaml", text.replace("directory: inside", "directory: elsewhere"))
    gap = ("--sovereign", "second.yaml", *GAP[2:], *KEY)
    row.site.run("import", "other", *gap)
    before = (row.folder / "second/accepted.json").read_bytes(), (row.folder / LIST).read_bytes()
    row.site.write("second.yaml", text)
    assert row.site.run("import", "other", *gap, expect=4)["code"] == "state-rolled-back"
    for media in ("other", "media1", "media2"):
        refused = row.site.run("import", media, *gap, "--restore", expect=4)
        assert refused["code"] == "state-conflict"
        assert "number 1 of stream 'main'" in refused["error"]
    assert ((row.folder / "second/accepted.json").read_bytes(), (row.folder / LIST).read_bytes()) == before


@pytest.mark.part("distribution3")
def test_where_the_list_is_not_kept_is_said_once(row: Row, start_registry: Any) -> None:
    registry_of(row, start_registry(), "")
    said = airgap(row.site, "import", "media1", *GAP, *KEY)
    assert (said.code, said.err.count("note: the list of accepted deliveries is kept only")) == (0, 1)
    said = airgap(row.site, "import", "media2", *GAP)
    assert (said.code, said.err.count("cannot be signed without --key")) == (0, 1)
    row.inside("  directory: inside\n")
    said = airgap(row.site, "import", "media2", *GAP, *KEY)
    assert "note: the list" not in said.err


@pytest.mark.part("distribution3")
def test_a_registry_that_does_not_take_the_list_is_told_and_gets_it_later(
    row: Row, start_registry: Any, fault_proxy: Any
) -> None:
    proxy = fault_proxy(start_registry().url)
    registry_of(row, proxy)
    for method in ("POST|PUT", "GET"):
        proxy.fault(method, "safe/records", status=403)
        said = airgap(row.site, "import", "media1", *GAP, *KEY)
        if method == "GET":
            assert "the list of accepted deliveries could not be compared" in said.err
        assert said.code == 5
        assert f"airgap: the list of accepted deliveries at {proxy.url}: " in said.err
        assert "  next: " in said.err
        proxy.clear()
    take(row, 1)
    asked = {"Accept": images.MANIFEST}
    found = requests.get(f"{proxy.url}/v2/{RECORDS}/manifests/{TAG}", headers=asked, timeout=10)
    assert found.json()["artifactType"] == "application/vnd.airgap.accepted.v1"
