"""One delivery after another into one Sovereign: what is new arrives, and what was brought is remembered."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.parts import images, need
from tests.worlds.row import BLOBS, Row
from tests.worlds.site import GAP, HEAD

pytestmark = pytest.mark.e2e


def _registry(row: Row, registry: Any) -> None:
    row.inside(f"  registries:\n  - {{url: '{registry.url}', projects: {{demo.local: in}}}}\n")


@pytest.mark.part("distribution3")
@pytest.mark.parametrize("place", ["embedded", "registry"])
def test_a_referrer_that_is_new_arrives_though_its_image_did_not_change(
    row: Row, place: str, start_registry: Any
) -> None:
    if place == "registry":
        _registry(row, start_registry())
    image = row.layout.tag("v1", row.layout.image({"a": b"a"}))
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    signed = row.layout.artifact("application/vnd.test.signature", ("text/plain", b"signed"), subject=image)
    row.layout.tag("", signed)
    done = row.take(row.deliver(2, {"demo.local/app:v1": "v1"}))
    assert {c["digest"]: c["outcome"] for c in done["changes"]} == {
        image["digest"]: "present",
        signed["digest"]: "written",
    }
    assert row.audit("media2") == []


@pytest.mark.part("distribution2", "oras")
def test_a_referrer_that_nobody_finds_any_more_is_drift(row: Row, start_registry: Any) -> None:
    registry = start_registry(version=2)
    _registry(row, registry)
    image = row.layout.tag("v1", row.layout.image({"a": b"a"}))
    row.layout.tag(
        "",
        row.layout.artifact("application/vnd.test.signature", ("text/plain", b"x"), subject=image),
    )
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    found = json.loads(need.run("oras", "discover", "--plain-http", "--format", "json", f"{registry.host}/in/app:v1"))
    assert len(found.get("referrers") or found["manifests"]) == 1
    assert row.audit("media1") == []
    empty = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": []}
    tag = image["digest"].replace(":", "-")
    url = f"{registry.url}/v2/in/app/manifests/{tag}"
    answer = requests.put(url, json.dumps(empty), headers={"Content-Type": images.INDEX}, timeout=10)
    assert answer.status_code == 201
    [(state, _)] = row.audit("media1", expect=3)
    assert state == "missing"
    row.take("media1", "--deep")
    assert row.audit("media1") == []


@pytest.mark.part("distribution3", "crane")
def test_what_two_deliveries_brought_is_not_extra_and_what_a_stranger_did_is(row: Row, start_registry: Any) -> None:
    registry = start_registry()
    _registry(row, registry)
    for number in (1, 2):
        row.layout.tag(f"v{number}", row.layout.image({"a": str(number).encode()}))
        row.take(row.deliver(number, {f"demo.local/app:v{number}": f"v{number}"}))
    assert row.audit("media1") == row.audit("media2") == []
    need.run("crane", "tag", "--insecure", f"{registry.host}/in/app:v1", "stranger")
    need.run("crane", "copy", "--insecure", f"{registry.host}/in/app:v1", f"{registry.host}/in/other:v9")
    need.run("crane", "copy", "--insecure", f"{registry.host}/in/app:v1", f"{registry.host}/elsewhere/other:v9")
    extra = [("extra", "stranger"), ("extra", "v9")]
    assert row.audit("media1", expect=3) == row.audit("media2", expect=3) == extra


@pytest.mark.part("distribution3")
def test_a_failed_run_does_not_forget_what_an_earlier_one_brought(
    row: Row, start_registry: Any, fault_proxy: Any
) -> None:
    proxy = fault_proxy(start_registry().url)
    _registry(row, proxy)
    image = row.layout.tag("v1", row.layout.image({"a": b"a"}))
    row.layout.signature_tag(image)
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    [good] = (row.folder / "state/receipts").iterdir()
    before = good.read_bytes()
    proxy.fault(status=403)
    failed = row.take("media1", expect=5)
    assert {change["outcome"] for change in failed["changes"]} == {"failed"}
    assert before in [path.read_bytes() for path in (row.folder / "state/receipts").iterdir()]
    proxy.clear()
    # Our own signature tag may move, because a receipt of ours says that we wrote it.
    row.layout.signature_tag(image, payload=b'{"more": 1}')
    done = row.take(row.deliver(2, {"demo.local/app:v1": "v1"}))
    assert {change["outcome"] for change in done["changes"]} == {"present", "written"}
    assert row.audit("media2") == []


def test_a_signature_tag_of_somebody_else_is_refused(row: Row) -> None:
    image = row.layout.tag("v1", row.layout.image({"a": b"a"}))
    row.layout.signature_tag(image)
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    for path in (row.folder / "state/receipts").iterdir():
        path.unlink()
    row.layout.signature_tag(image, payload=b'{"more": 1}')
    done = row.take(row.deliver(2, {"demo.local/app:v1": "v1"}), expect=3)
    assert {change["outcome"] for change in done["changes"]} == {"present", "refused"}


@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_damage_inside_is_mended_by_a_deep_import(row: Row, damage: str) -> None:
    row.layout.tag("v1", row.layout.image({"a": b"a" * 100_000}))
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    for blob in [path for path in (row.folder / BLOBS).iterdir() if not path.name.startswith(".")]:
        data = blob.read_bytes()
        blob.unlink()
        if damage == "flipped":
            blob.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    assert row.audit("media1", expect=3)
    done = row.take("media1", "--deep")
    assert "transferred again" in done["changes"][0]["reason"]
    assert row.audit("media1") == []


def test_two_items_that_would_get_one_tag_are_refused_before_anything_is_written(row: Row) -> None:
    row.layout.tag(
        "one",
        row.layout.index(row.layout.image({"a": b"a"}), row.layout.image({"b": b"b"}, platform="linux/arm64")),
    )
    media = row.deliver(1, {"demo.local/app:v1": "one"}, ", platforms: [linux/amd64]")
    # The same name once more, for another platform, from another lock of the same delivery.
    spec = "spec:\n  images:\n  - {ref: 'oci:made:one', name: 'demo.local/app:v1@x', platforms: [linux/arm64]}\n"
    row.site.write("s.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: s}}\n{spec}".replace("@x", ""))
    row.site.run("lock", "s.request.yaml")
    row.site.run("pull", "s.lock.json", "--store", "store", "--key", "exporter.key")
    cut = ("--store", "store", "--to", "both", "--for", "bank", "--key", "exporter.key")
    refused = row.site.run("bundle", "r1.lock.json", "s.lock.json", *cut, expect=2)
    assert refused["code"] == "duplicate-name"
    row.take(media)


def test_a_receipt_is_signed_only_by_the_key_of_the_sovereign(row: Row) -> None:
    row.layout.tag("v1", row.layout.image({"a": b"a"}))
    media = row.deliver(1, {"demo.local/app:v1": "v1"})
    for key in ("exporter.key", "stranger.key"):
        refused = row.site.run("import", media, *GAP, "--key", key, expect=2)
        assert refused["code"] == "wrong-key"
    assert not (row.folder / "inside").exists()
    row.take(media)
    line = ("audit", *GAP, "--receipt", f"{media}.receipt", "--key", "exporter.key", "--report", "report.json")
    assert row.site.run(*line, expect=2)["code"] == "wrong-key"
    assert not (row.folder / "report.json").exists()


def test_an_audit_with_the_trust_of_another_sovereign_is_refused(row: Row) -> None:
    row.layout.tag("v1", row.layout.image({"a": b"a"}))
    row.take(row.deliver(1, {"demo.local/app:v1": "v1"}))
    text = (row.folder / "sovereign.yaml").read_text()
    row.site.write("other.yaml", text.replace("name: bank", "name: other"))
    line = (
        "audit",
        "--sovereign",
        "other.yaml",
        "--trust",
        "trust.yaml",
        "--receipt",
        "media1.receipt",
    )
    refused = row.site.run(*line, expect=4)
    assert refused["code"] == "wrong-trust"
    name = 1 + next(n for n, one in enumerate(text.splitlines()) if "name: bank" in one)
    assert f"other.yaml:{name}:" in refused["error"]
    assert "the Sovereign is 'other', but trust.yaml:" in refused["error"]
    assert "the Trust resource is for 'bank'" in refused["error"]


@pytest.mark.part("distribution3")
def test_a_dead_registry_is_waited_for_once_and_its_receipt_says_so(row: Row, start_registry: Any) -> None:
    registry = start_registry()
    _registry(row, registry)
    names = {}
    for number in range(12):
        row.layout.tag(f"v{number}", row.layout.image({"a": str(number).encode()}))
        names[f"demo.local/app{number}:v1"] = f"v{number}"
    media = row.deliver(1, names)
    registry.stop()
    log = ("--log-file", "import.log")
    failed = row.take(media, *log, expect=5)
    assert {change["outcome"] for change in failed["changes"]} == {"failed"}
    assert len(failed["changes"]) == len(names)
    assert (row.folder / "import.log").read_text().count("trying again") <= 6
    states = [state for state, _ in row.audit(media, expect=3)]
    assert states == [*["missing"] * len(names), "unknown"]


@pytest.mark.part("distribution2", "distribution3", "crane")
@pytest.mark.parametrize("version", [2, 3])
def test_an_image_that_is_named_by_digest_alone_outlives_a_clean_up(
    row: Row, start_registry: Any, version: int
) -> None:
    registry = start_registry(version=version)
    _registry(row, registry)
    image = row.layout.tag("v1", row.layout.image({"a": b"a"}))
    name = f"demo.local/app@{image['digest']}"
    own = f"airgap-{image['digest'].replace(':', '-')}"
    row.take(row.deliver(1, {name: "v1"}))
    assert need.run("crane", "ls", "--insecure", f"{registry.host}/in/app").split() == [own]
    registry.clean_up()
    assert row.audit("media1") == []
    # Its tag can hold nothing else, so there is nothing to roll back.
    assert row.site.run("rollback", "media1.receipt", *GAP, "--dry-run")["changes"] == []
