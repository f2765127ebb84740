"""`airgap extract` from the command line: one item out of a delivery or a store, judged by the bytes and by skopeo."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airgap.base.errors import InputError
from airgap.jobs.extract import ExtractOptions, extract
from airgap.jobs.offer import OfferOptions
from tests.parts.containerd import Containerd
from tests.parts.fixtures import StartRegistry, scratch
from tests.parts.images import INDEX, Layout, make_image
from tests.parts.need import run
from tests.parts.registry import Registry
from tests.worlds.commands import run_airgap
from tests.worlds.site import CHECKED, Site, checked
from tests.worlds.surroundings import quiet

pytestmark = pytest.mark.e2e

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
FULL = "registry.local/team/app:1"
CONTAINERD = "io.containerd.image.name"


def deliver(site: Site, images: str, volume_size: str = "4095MiB") -> list[dict[str, Any]]:
    """Locks, pulls and bundles a request for images; returns the lock's items."""
    head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\nspec:\n  images:\n"
    site.write("r.request.yaml", head + images)
    items = site.run("lock", "r.request.yaml")["items"]
    assert isinstance(items, list)
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key")
    to = ("--to", "media", "--for", "bank", "--key", "exporter.key", "--volume-size", volume_size)
    site.run("bundle", "r.lock.json", "--store", "store", *to)
    return items


def listed(path: Path) -> list[dict[str, Any]]:
    """The entries of index.json of a layout or an archive; every blob is checked."""
    if path.is_dir():
        files = {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    else:
        with tarfile.open(path) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}  # type: ignore[union-attr]
    assert {name.partition("/")[0] for name in files} == {"blobs", "index.json", "oci-layout"}
    blobs = {name.rpartition("/")[2]: data for name, data in files.items() if "/" in name}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
    entries = json.loads(files["index.json"])["manifests"]
    assert isinstance(entries, list)
    return entries


def children(layout: Path, digest: str) -> list[str]:
    return [one["digest"] for one in json.loads(Layout(layout).read(digest))["manifests"]]


@pytest.mark.parametrize("thing", ["media", "store"])
@pytest.mark.parametrize("to", ["out", "out.tar"])
def test_an_item_with_one_platform_is_that_child(site: Site, thing: str, to: str) -> None:
    root = make_image(site.folder / "lay", platforms=PLATFORMS)
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}', platforms: [linux/arm64]}}\n")
    done = site.run("extract", thing, *checked(thing), FULL, "--to", to)
    [entry] = listed(site.folder / to)
    assert entry["digest"] == done["digest"] == children(site.folder / "lay", root["digest"])[1]


@pytest.mark.part("skopeo")
@pytest.mark.parametrize("thing", ["media", "store"])
def test_an_item_with_several_platforms_is_an_index_of_these(site: Site, thing: str) -> None:
    root = make_image(site.folder / "lay", platforms=PLATFORMS)
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}', platforms: [linux/arm, linux/amd64]}}\n")
    done = site.run("extract", thing, *checked(thing), FULL, "--to", "out")
    [entry] = listed(site.folder / "out")
    assert (entry["mediaType"], entry["digest"]) == (INDEX, done["digest"])
    amd64, _, arm = children(site.folder / "lay", root["digest"])
    assert children(site.folder / "out", done["digest"]) == [amd64, arm]
    # Whole: skopeo copies it with all that it lists.
    copy = ("skopeo", "copy", "--insecure-policy", "--all")
    run(*copy, f"oci:{site.folder}/out:{FULL}", f"oci:{site.folder}/copy:it")


def test_all_platforms_are_the_index_itself(site: Site) -> None:
    root = make_image(site.folder / "lay", platforms=PLATFORMS)
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}'}}\n")
    for thing in ("media", "store"):
        assert site.run("extract", thing, *checked(thing), FULL, "--to", f"out-{thing}")["digest"] == root["digest"]


def deliver_short(site: Site, registry: Registry, *, name: str = "app", path: str = "team/app:1") -> str:
    """A delivery of an image of a registry that is called `name`; returns its reference."""
    make_image(site.folder / "lay")
    there = f"{registry.host}/{path}"
    copy = ("skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false")
    run(*copy, f"oci:{site.folder}/lay:v1", f"docker://{there}")
    upstreams = (
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Upstreams\nmetadata: {name: u}\n"
        f"spec: {{hosts: {{'{registry.host}': {{plainHTTP: true}}}}}}\n"
    )
    site.write("u.yaml", upstreams)
    site.write(
        "r.request.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\nspec:\n  images:\n"
        f"  - {{ref: '{there}', name: '{name}'}}\n---\n{upstreams}",
    )
    site.run("lock", "r.request.yaml")
    site.run("pull", "r.lock.json", "--store", "store", "--key", "exporter.key", "--upstreams", "u.yaml")
    site.run("bundle", "r.lock.json", "--store", "store", "--to", "media", "--for", "bank", "--key", "exporter.key")
    return there


@pytest.mark.part("skopeo", "distribution3")
@pytest.mark.parametrize("thing", ["media", "store"])
@pytest.mark.parametrize("to", ["out", "out.tar"])
def test_an_item_with_a_short_name_has_its_full_one_too(
    site: Site, thing: str, to: str, start_registry: StartRegistry
) -> None:
    there = deliver_short(site, start_registry())
    site.run("extract", thing, *checked(thing), "app", "--to", to)
    [entry] = listed(site.folder / to)
    assert entry["annotations"] == {CONTAINERD: there, "org.opencontainers.image.ref.name": "app"}


@pytest.mark.part("skopeo", "distribution3", "containerd")
@pytest.mark.parametrize("thing", ["media", "store"])
def test_containerd_knows_an_item_with_a_short_name_by_its_full_one(
    site: Site, thing: str, start_registry: StartRegistry, stack: ExitStack
) -> None:
    there = deliver_short(site, start_registry())
    digest = site.run("extract", thing, *checked(thing), "app", "--to", "out.tar")["digest"]
    containerd = Containerd(scratch(stack, "ctr"))
    stack.callback(containerd.stop)
    containerd.ctr("images", "import", "--no-unpack", site.folder / "out.tar")
    [line] = containerd.ctr("images", "ls").splitlines()[1:]
    assert (line.split()[0], line.split()[2]) == (there, digest)


def test_a_digest_in_the_name_for_containerd_is_that_of_what_is_extracted(site: Site) -> None:
    root = make_image(site.folder / "lay", platforms=PLATFORMS)
    name = f"registry.local/team/app@{root['digest']}"
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{name}', platforms: [linux/arm64]}}\n")
    done = site.run("extract", "media", *CHECKED, name, "--to", "out")
    [entry] = listed(site.folder / "out")
    assert entry["annotations"][CONTAINERD] == f"registry.local/team/app@{done['digest']}"


# Who vouches for it.


@pytest.mark.part("skopeo", "distribution3")
def test_what_is_asked_for_is_not_called_by_another_name(site: Site, start_registry: StartRegistry) -> None:
    """A lock may call anything `alpine`; containerd must not learn of it as `pause`."""
    there = deliver_short(site, start_registry(), name="alpine", path="library/pause:3.9")
    assert there == site.run("show", "r.lock.json")["items"][0]["source"]
    for thing in ("media", "store"):
        site.run("extract", thing, "alpine", *checked(thing), "--to", f"out-{thing}")
        [entry] = listed(site.folder / f"out-{thing}")
        assert entry["annotations"] == {"org.opencontainers.image.ref.name": "alpine"}


def test_a_store_of_an_older_version_gives_no_other_name(site: Site) -> None:
    make_image(site.folder / "lay")
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}'}}\n")
    path = site.folder / "store/index.json"
    index = json.loads(path.read_text())
    index["manifests"][0]["annotations"][CONTAINERD] = "docker.io/library/pause:3.9"
    path.write_text(json.dumps(index))
    site.run("extract", "store", FULL, "--to", "out")
    assert listed(site.folder / "out")[0]["annotations"][CONTAINERD] == FULL


def test_an_item_of_a_delivery_that_nobody_signed_is_taken_only_on_request(site: Site) -> None:
    make_image(site.folder / "lay")
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}'}}\n")
    line = ("extract", "media", FULL, "--to", "out.tar")
    run_airgap(line, site.folder).refused(2, "no-trust", "--trust FILE", "--unverified")
    run_airgap((*line, *CHECKED, "--unverified"), site.folder).refused(2, "usage")
    said = run_airgap((*line, *CHECKED), site.folder)
    assert (said.code, "signatures were checked, and every byte is as signed" in said.out) == (0, True)
    (site.folder / "out.tar").unlink()
    later = (*CHECKED, "--at", "2026-01-01T00:00:00Z")
    assert site.run(*line, *later, expect=4)["code"]
    for path in (site.folder / "media/signatures").iterdir():
        path.unlink()
    assert site.run(*line, *CHECKED, expect=4)["code"] == "no-signature"
    assert not (site.folder / "out.tar").exists()
    said = run_airgap((*line, "--unverified"), site.folder)
    assert (said.code, "NOT VERIFIED" in said.out, "signed;" in said.out) == (0, True, False)
    assert "WARNING: no signature was checked" in said.err
    (site.folder / "out.tar").unlink()
    assert site.run(*line, "--unverified")["verified"] is False
    # A store has no signatures: nothing is said of any, and nothing is asked for.
    said = run_airgap(("extract", "store", FULL, "--to", "out"), site.folder)
    assert (said.code, "a store has no signatures" in said.out) == (0, True)
    run_airgap(("extract", "store", FULL, *CHECKED, "--to", "out2"), site.folder).refused(2, "usage")


# What fails.


def damage(site: Site, text: bytes, thing: str) -> str:
    """Flips a byte of a layer with `text` in it, wherever it is; returns the name of the file."""
    for path in sorted((site.folder / thing).rglob("*")):
        if path.is_file() and text in (data := path.read_bytes()):
            at = data.index(text)
            path.write_bytes(data[:at] + b"X" + data[at + 1 :])
            return path.name
    raise AssertionError("no such bytes")


@pytest.mark.parametrize("to", ["out", "out.tar"])
def test_what_fails_names_the_volume_and_leaves_nothing(site: Site, to: str) -> None:
    layout = Layout(site.folder / "lay")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": layout.document({"os": "linux"}, "application/vnd.oci.image.config.v1+json"),
        "layers": [
            layout.blob(text * 100_000, "application/vnd.oci.image.layer.v1.tar") for text in (b"one", b"two", b"six")
        ],
    }
    layout.tag("v1", layout.document(manifest, manifest["mediaType"]))  # type: ignore[arg-type]
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}'}}\n", "400KiB")
    good = site.folder / "media"
    saved = {path: path.read_bytes() for path in good.glob("vol-*")}
    volume = damage(site, b"twotwo", "media")
    (site.folder / "empty").mkdir()
    before = sorted(os.listdir(site.folder))
    for target in (to, to, "empty"):
        said = site.run("extract", "media", *CHECKED, FULL, "--to", target, expect=4)
        assert volume in said["error"]
        assert sorted(os.listdir(site.folder)) == before
    assert list((site.folder / "empty").iterdir()) == []
    for path, data in saved.items():
        path.write_bytes(data)
    site.run("extract", "media", *CHECKED, FULL, "--to", to)
    assert listed(site.folder / to)


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    make_image(tmp_path / "lay")
    make_image(tmp_path / "other", layers=[{"a": b"b"}])
    (tmp_path / "x.tar").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for to in ("other", "x.tar"):
        with pytest.raises(InputError, match="not-empty"):
            extract(ExtractOptions(OfferOptions(tmp_path / "lay"), ("v1",), tmp_path / to), quiet(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_damaged_store_says_what_mends_it(site: Site) -> None:
    make_image(site.folder / "lay")
    deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}'}}\n")
    blob = max((site.folder / "store/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    blob.write_bytes(bytes(blob.stat().st_size))
    assert "airgap pull" in site.run("extract", "store", FULL, "--to", "out", expect=4)["hint"]
    blob.unlink()
    assert "airgap pull" in site.run("extract", "store", FULL, "--to", "out", expect=5)["hint"]
    assert not (site.folder / "out").exists()


def test_a_root_that_no_lock_names_is_not_read(site: Site) -> None:
    """An index that nobody signed may name a root of any size: only what its own lock says is a manifest is read."""
    make_image(site.folder / "lay")
    [item] = deliver(site, f"  - {{ref: 'oci:lay:v1', name: '{FULL}'}}\n")
    manifest = json.loads(Layout(site.folder / "lay").read(item["root"]["digest"]))
    path = site.folder / "media/AIRGAP.json"
    root, layer = item["root"]["digest"], manifest["layers"][0]["digest"]
    path.write_text(path.read_text().replace(f'"digest": "{root}"}}', f'"digest": "{layer}"}}'))
    assert site.run("extract", "media", "--unverified", FULL, "--to", "out", expect=4)["code"] == "root-mismatch"
