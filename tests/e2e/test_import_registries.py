"""The main job between real registries, from the command line, judged by crane."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.parts import images, need
from tests.worlds.site import GAP, Site, sovereign_of


def _deliver(site: Site, source: Any, *, platforms: str = "") -> str:
    """An index with signatures at `source`, locked, pulled and bundled; returns the index' digest."""
    layout = images.Layout(site.folder / "made")
    root = images.make_image(site.folder / "made", "v1", platforms=("linux/amd64", "linux/arm64"))
    layout.signature_tag(root)
    made, there = f"oci:{site.folder}/made:v1", f"docker://{source.host}/team/app:v1"
    need.run("skopeo", "copy", "--all", "--dest-tls-verify=false", made, there)
    site.write(
        "r.request.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\nspec:\n  images:\n"
        f"  - {{ref: '{source.host}/team/app:v1'{platforms}}}\n---\nkind: Upstreams\nmetadata: {{name: u}}\n"
        f"spec:\n  hosts:\n    '{source.host}': {{plainHTTP: true}}\n",
    )
    site.write(
        "u.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Upstreams\nmetadata: {name: u}\n"
        f"spec:\n  hosts:\n    '{source.host}': {{plainHTTP: true}}\n",
    )
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key", "--upstreams", "u.yaml")
    site.run(
        "bundle",
        "r.lock.json",
        "--store",
        "store",
        "--to",
        "media",
        "--for",
        "bank",
        "--key",
        "exporter.key",
    )
    return str(json.loads((site.folder / "r.lock.json").read_bytes())["items"][0]["root"]["digest"])


def _digest(registry: Any, name: str) -> str:
    done = need.run("crane", "digest", "--insecure", f"{registry.host}/{name}")
    return str(getattr(done, "stdout", done)).strip()


@pytest.mark.e2e
@pytest.mark.part("crane", "skopeo", "distribution3", "distribution2")
def test_an_index_arrives_whole_in_two_registries(site: Site, start_registry: Any) -> None:
    source, one, two = start_registry(), start_registry(version=2), start_registry(version=3)
    digest = _deliver(site, source)
    site.write("sovereign.yaml", sovereign_of(one.host, two.host).replace("{ORIGIN}", f"'{source.host}'"))
    planned = site.run("import", "media", *GAP, "--dry-run")
    assert {change["outcome"] for change in planned["changes"]} == {"write"}
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    assert _digest(one, "hub/team/app:v1") == digest
    assert _digest(two, "hub/team/app:v1") == digest
    again = site.run("import", "media", *GAP, "--key", "sovereign.key")
    assert {change["outcome"] for change in again["changes"]} == {"present"}
    site.run("audit", *GAP, "--receipt", "receipt.json")
    site.run("audit", "--sovereign", "sovereign.yaml", "--lock", "r.lock.json")


@pytest.mark.e2e
@pytest.mark.part("crane", "skopeo", "distribution3")
def test_one_platform_arrives_as_its_child_manifest(site: Site, start_registry: Any) -> None:
    source, inside = start_registry(), start_registry()
    digest = _deliver(site, source, platforms=", platforms: [linux/arm64]")
    site.write("sovereign.yaml", sovereign_of(inside.host).replace("{ORIGIN}", f"'{source.host}'"))
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    arrived = _digest(inside, "hub/team/app:v1")
    assert arrived != digest
    assert arrived == json.loads((site.folder / "r.lock.json").read_bytes())["items"][0]["inside"]["digest"]
    site.run("audit", *GAP, "--receipt", "receipt.json")


@pytest.mark.e2e
@pytest.mark.part("skopeo", "distribution3")
def test_a_registry_that_is_down_does_not_stop_the_other(site: Site, start_registry: Any) -> None:
    source, good, dead = start_registry(), start_registry(), start_registry()
    digest = _deliver(site, source)
    site.write("sovereign.yaml", sovereign_of(good.host, dead.host).replace("{ORIGIN}", f"'{source.host}'"))
    dead.stop()
    site.run("import", "media", *GAP, "--key", "sovereign.key", expect=5)
    assert _digest(good, "hub/team/app:v1") == digest


@pytest.mark.e2e
@pytest.mark.part("skopeo", "distribution3")
def test_a_retagged_image_is_drift(site: Site, start_registry: Any) -> None:
    source, inside = start_registry(), start_registry()
    _deliver(site, source)
    site.write("sovereign.yaml", sovereign_of(inside.host).replace("{ORIGIN}", f"'{source.host}'"))
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    images.make_image(site.folder / "other", "v2", layers=({"other.txt": b"other\n"},))
    other = f"oci:{site.folder}/other:v2"
    need.run(
        "skopeo",
        "copy",
        "--dest-tls-verify=false",
        other,
        f"docker://{inside.host}/hub/team/app:v1",
    )
    found = site.run("audit", *GAP, "--receipt", "receipt.json", expect=3)
    assert "changed" in {finding["state"] for finding in found["findings"]}


@pytest.mark.e2e
@pytest.mark.part("skopeo", "distribution3")
def test_what_is_not_trusted_writes_nothing(site: Site, start_registry: Any) -> None:
    source = start_registry()
    _deliver(site, source)
    site.write("sovereign.yaml", sovereign_of().replace("  registries:\n", "  directory: inside\n"))
    site.run(
        "bundle",
        "r.lock.json",
        "--store",
        "store",
        "--to",
        "forged",
        "--for",
        "bank",
        "--key",
        "stranger.key",
    )
    assert site.run("import", "forged", *GAP, expect=4)["code"] == "unknown-key"
    site.run(
        "bundle",
        "r.lock.json",
        "--store",
        "store",
        "--to",
        "foreign",
        "--for",
        "other",
        "--key",
        "exporter.key",
    )
    assert site.run("import", "foreign", *GAP, expect=4)["code"] == "wrong-sovereign"
    assert not (site.folder / "inside").exists()
    assert not (site.folder / "state" / "accepted.json").exists()


@pytest.mark.e2e
@pytest.mark.part("skopeo", "distribution3")
def test_one_flipped_byte_in_any_file_is_found(site: Site, start_registry: Any) -> None:
    _deliver(site, start_registry())
    for path in sorted(p for p in (site.folder / "media").rglob("*") if p.is_file()):
        data = path.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            site.run("verify", "media", "--trust", "trust.yaml", expect=4)
        path.write_bytes(data)
    site.run("verify", "media", "--trust", "trust.yaml")


@pytest.mark.e2e
@pytest.mark.part("skopeo", "distribution3")
def test_damage_in_the_store_is_found_by_bundle_and_mended_by_pull(site: Site, start_registry: Any) -> None:
    source = start_registry()
    _deliver(site, source)
    blobs = (site.folder / "store/blobs/sha256").glob("[0-9a-f]*")
    blob = max(blobs, key=lambda path: path.stat().st_size)
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    bundle = (
        "bundle",
        "r.lock.json",
        "--store",
        "store",
        "--to",
        "again",
        "--for",
        "bank",
        "--key",
        "exporter.key",
    )
    assert site.run(*bundle, expect=4)["code"] in ("damaged-blob", "digest-mismatch")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key", "--upstreams", "u.yaml")
    assert blob.read_bytes() == data
    site.run(*bundle)
