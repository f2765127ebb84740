"""`airgap pull` and `airgap bundle` from the command line: what they count, and what they mend and refuse."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.parts.images import Layout, make_image
from tests.worlds.commands import run_airgap
from tests.worlds.git_sources import Work
from tests.worlds.site import GAP, Site

pytestmark = pytest.mark.e2e

HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: NAME}\nspec:\n"
NAME = "registry.local/team/app:1"
IMAGE = f"  images:\n  - {{ref: 'oci:lay:v1', name: '{NAME}'}}\n"
PULL = ("--store", "store", "--key", "exporter.key")
BUNDLE = (*PULL, "--for", "bank", "--to", "media")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.write(
        "sovereign.yaml",
        "apiVersion: airgap.openova.io/v1alpha1\nkind: Sovereign\nmetadata: {name: bank}\n"
        "spec: {stateDir: state, directory: inside}\n",
    )
    return made


def lock(site: Site, spec: str, name: str = "r") -> str:
    """Locks a request; returns the lock's file name."""
    site.write(f"{name}.request.yaml", HEAD.replace("NAME", name) + spec)
    site.run("lock", f"{name}.request.yaml")
    return f"{name}.lock.json"


def pulled(site: Site) -> dict[str, Any]:
    """The items of the newest pull statement in the store."""
    [path, *_] = sorted(
        (site.folder / "store/airgap/statements").glob("pull-*.sigstore.json"), key=lambda one: len(one.name)
    )
    payload = json.loads(path.read_bytes())["dsseEnvelope"]["payload"]
    items = json.loads(base64.b64decode(payload))["predicate"]["items"]
    assert isinstance(items, dict)
    return items


# --- pull ---------------------------------------------------------------------------------------


@pytest.mark.part("git", "git-lfs")
def test_what_a_git_graph_holds_is_counted_and_signed(site: Site) -> None:
    work = Work(site.folder / "origin")
    work.lfs("large.bin", bytes(range(256)) * 4000)
    lock(site, "  git:\n  - {url: origin, name: g, lfs: true}\n")
    [item] = site.run("pull", "r.lock.json", *PULL)["items"]
    blobs = sum(path.stat().st_size for path in (site.folder / "store/blobs/sha256").iterdir())
    assert blobs > 1_000_000
    assert (item["bytes"], item["written"]) == (blobs, blobs)
    assert pulled(site)["g"]["bytes"] == blobs
    [again] = site.run("pull", "r.lock.json", *PULL)["items"]
    assert (again["bytes"], again["written"]) == (blobs, 0)
    assert pulled(site)["g"]["bytes"] == blobs


def test_a_store_that_lost_its_list_of_names_is_mended(site: Site) -> None:
    make_image(site.folder / "lay")
    lock(site, IMAGE)
    site.run("pull", "r.lock.json", *PULL)
    (site.folder / "store/index.json").unlink()
    said = run_airgap(["pull", "r.lock.json", "--store", "store"], site.folder)
    assert said.code == 0, said
    assert "its index.json was lost" in " ".join(said.err.split())
    assert [row["name"] for row in site.run("ls", "store")["items"]] == [NAME]
    site.run("bundle", "r.lock.json", *BUNDLE)
    site.run("verify", "media", "--trust", "trust.yaml")


# --- what nobody could open is not cut ----------------------------------------------------------


def test_a_lock_that_is_named_twice_is_pulled_and_bundled_once(site: Site) -> None:
    make_image(site.folder / "lay")
    lock(site, IMAGE)
    (site.folder / "same.lock.json").write_bytes((site.folder / "r.lock.json").read_bytes())
    assert len(site.run("pull", "r.lock.json", "same.lock.json", *PULL)["items"]) == 1
    site.run("bundle", "r.lock.json", "same.lock.json", "r.lock.json", *BUNDLE)
    site.run("verify", "media", "--trust", "trust.yaml")
    site.run("import", "media", *GAP, "--key", "sovereign.key")


def test_two_locks_with_the_same_item_make_a_delivery_that_opens(site: Site) -> None:
    make_image(site.folder / "lay")
    for name in ("one", "two"):
        lock(site, IMAGE, name)
    site.run("pull", "one.lock.json", "two.lock.json", *PULL)
    site.run("bundle", "one.lock.json", "two.lock.json", *BUNDLE)
    site.run("verify", "media", "--trust", "trust.yaml")
    site.run("import", "media", *GAP, "--key", "sovereign.key", "--receipt", "receipt.json")
    site.run("audit", *GAP, "--receipt", "receipt.json")


def test_what_pull_found_bad_is_not_bundled(site: Site) -> None:
    from airgap.cli.demo_content import make_content

    make_content(site.folder / "content")
    chart = "demo.local/charts/hello:9.9.9"
    lock(site, f"  charts:\n  - {{ref: 'oci:content/chart:demo.local/charts/hello:0.1.0', name: '{chart}'}}\n")
    site.run("pull", "r.lock.json", *PULL, expect=3)
    said = site.run("bundle", "r.lock.json", *BUNDLE, expect=3)
    assert said["code"] == "pull-incomplete"
    assert chart in said["error"]
    assert "the tag is '9.9.9'" in said["error"]
    # Nothing was begun: no folder, no number of the stream.
    assert not (site.folder / "media").exists()
    assert not (site.folder / "store/airgap/streams").exists()


def test_a_statement_about_another_packing_is_not_bundled(site: Site) -> None:
    """A store that was made anew packs Git into other bytes than those that the old statement fixes."""
    work = Work(site.folder / "origin")
    work.commit()
    lock(site, "  git:\n  - {url: origin, name: g}\n")
    site.run("pull", "r.lock.json", *PULL)
    layout = Layout(site.folder / "store")
    [named] = [entry for entry in layout.entries() if entry["annotations"]["org.opencontainers.image.ref.name"] == "g"]
    other = json.loads(layout.read(named["digest"]))
    made = layout.document({**other, "annotations": {"packed": "again"}}, named["mediaType"])
    for entry in layout.entries():
        layout.tag(entry["annotations"]["org.opencontainers.image.ref.name"], made)
    said = site.run("bundle", "r.lock.json", *BUNDLE, expect=3)
    assert said["code"] == "pull-incomplete"
    assert "airgap pull" in said["hint"]


def test_without_a_pull_statement_a_delivery_can_be_cut(site: Site) -> None:
    """Whether one is required is for the Trust resource of the far side to say."""
    make_image(site.folder / "lay")
    lock(site, IMAGE)
    site.run("pull", "r.lock.json", "--store", "store")
    site.run("bundle", "r.lock.json", *BUNDLE)


def test_a_statement_that_is_still_true_is_kept(site: Site) -> None:
    """A verdict must not become older than the pull. What was damaged, or is by another key, is signed again."""
    make_image(site.folder / "lay")
    lock(site, IMAGE)
    site.run("pull", "r.lock.json", *PULL)
    [path] = (site.folder / "store/airgap/statements").glob("pull-*")
    first = path.read_bytes()
    site.run("pull", "r.lock.json", *PULL)
    assert path.read_bytes() == first
    site.run("pull", "r.lock.json", "--store", "store", "--key", "stranger.key")
    assert path.read_bytes() != first
    path.write_bytes(first[:-20])
    site.run("pull", "r.lock.json", *PULL)
    assert pulled(site)[NAME]["outcome"] == "pass"


def test_a_damaged_pull_statement_is_named(site: Site) -> None:
    make_image(site.folder / "lay")
    lock(site, IMAGE)
    site.run("pull", "r.lock.json", *PULL)
    [path] = (site.folder / "store/airgap/statements").glob("pull-*")
    path.write_bytes(path.read_bytes()[:-20])
    said = site.run("bundle", "r.lock.json", *BUNDLE, expect=5)
    assert said["code"] == "bad-statement"
    assert path.name in said["error"]
