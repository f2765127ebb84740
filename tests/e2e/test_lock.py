"""`airgap lock` from the command line: what an edited request does to a lock, and what `lock` says about it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airgap.base.errors import InputError
from airgap.jobs.lock import named
from tests.parts.images import MANIFEST, Layout, bare, make_image
from tests.worlds.commands import run_airgap
from tests.worlds.git_sources import Work

pytestmark = pytest.mark.e2e

HEAD = "apiVersion: airgap.openova.io/v1alpha1\nkind: Request\nmetadata: {name: r}\nspec:\n"


class Desk:
    """A folder with a request; what `lock` made of it and said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""

    def ask(self, spec: str) -> None:
        """Writes the request."""
        (self.folder / "r.request.yaml").write_text(HEAD + spec)

    def lock(self, *more: str, expect: int = 0, cwd: Path | None = None) -> dict[str, Any]:
        """Runs `airgap lock`; returns its document."""
        request = os.path.relpath(self.folder / "r.request.yaml", cwd or self.folder)
        said = run_airgap(["lock", request, *more, "--json"], cwd or self.folder, {"COLUMNS": "200"})
        assert said.code == expect, said
        self.said = said.err
        found = json.loads(said.out)
        assert isinstance(found, dict)
        return found

    def item(self, *more: str) -> dict[str, Any]:
        """The one item of a lock."""
        [item] = self.lock(*more)["items"]
        assert isinstance(item, dict)
        return item


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def image(desk: Desk, more: str = "", name: str = "registry.local/a/b:1") -> None:
    desk.ask(f"  images:\n  - {{ref: 'oci:lay:v1', name: '{name}'{more}}}\n")


# A request that was edited.


def test_a_file_with_another_digest_and_path_is_pinned_anew(desk: Desk) -> None:
    digests = []
    item: dict[str, Any] = {}
    for text in (b"one", b"two"):
        (desk.folder / "f").write_bytes(text)
        digests.append(hashlib.sha256(text).hexdigest())
        desk.ask(f"  files:\n  - {{file: f, name: f, path: {text.decode()}/f, sha256: {digests[-1]}}}\n")
        item = desk.item()
    assert item["files"] == [{"path": "two/f", "digest": f"sha256:{digests[1]}", "size": 3}]
    assert f"sha256: {digests[0]} → {digests[1]}; path: one/f → two/f" in desk.said


@pytest.mark.part("git")
def test_git_refs_and_lfs_that_were_added_are_pinned(desk: Desk, tmp_path: Path) -> None:
    source = Work(tmp_path / "origin")
    source.commit()
    source.git("tag", "v1")
    item: dict[str, Any] = {}
    for more in ("[refs/heads/main]", "[refs/tags/v1, refs/heads/main], lfs: true"):
        desk.ask(f"  git:\n  - {{url: origin, name: g, refs: {more}}}\n")
        item = desk.item()
    assert sorted(item["refs"]) == ["refs/heads/main", "refs/tags/v1"]
    assert item["lfs"] is True
    assert "lfs: False → True; refs: refs/heads/main → refs/heads/main, refs/tags/v1" in desk.said
    # The order in which refs are written means nothing.
    desk.ask("  git:\n  - {url: origin, name: g, refs: [refs/heads/main, refs/tags/v1], lfs: true}\n")
    source.commit("two")
    assert desk.item() == item
    assert "resolved anew" not in desk.said


def test_a_pattern_that_a_model_gained_is_pinned(desk: Desk) -> None:
    (desk.folder / "m").mkdir()
    for name in ("a.json", "b.safetensors"):
        (desk.folder / "m" / name).write_text(name)
    item: dict[str, Any] = {}
    for include in ("['*.json']", "['*.json', '*.safetensors']"):
        desk.ask(f"  models:\n  - {{directory: m, name: a/m, include: {include}}}\n")
        item = desk.item()
    assert [file["path"] for file in item["files"]] == ["a.json", "b.safetensors"]
    assert "include: *.json → *.json, *.safetensors" in desk.said
    # What lies in the folder may move: a pin stays until `--update`.
    (desk.folder / "m/a.json").write_text("moved")
    assert desk.item() == item
    assert desk.item("--update", "a/m") != item


def test_update_takes_the_last_part_of_a_name_and_guesses_at_one_that_is_wrong(desk: Desk) -> None:
    for name in ("a/m", "b/m", "demo/model"):
        (desk.folder / name).mkdir(parents=True)
        (desk.folder / name / "a.json").write_text("a")
    rows = "".join(f"  - {{directory: {name}, name: {name}}}\n" for name in ("a/m", "b/m", "demo/model"))
    desk.ask(f"  models:\n{rows}")
    before = desk.lock()["items"]
    (desk.folder / "demo/model/a.json").write_text("moved")
    assert desk.lock()["items"] == before
    assert desk.lock("--update", "model")["items"] != before
    for typed, words in (
        ("m", ("the names of several items end like this: a/m, b/m", "give the full name")),
        ("modle", ("no item with this name", "did you mean 'demo/model'?")),
        ("odel", ("no item with this name", "did you mean 'demo/model'?")),
        ("zebra", ("use the name of an item in the request",)),
    ):
        assert desk.lock("--update", typed, expect=2)["code"] == "no-such-item"
        assert [word for word in words if word not in desk.said] == []


def test_the_last_part_of_a_name_needs_no_tag() -> None:
    names = ("registry.local/team/app00:v1", "registry.local/team/app01:v1", "localhost:5000/app02")
    entries = [("image", SimpleNamespace(name=name)) for name in names]
    for typed in ("app00", "app00:v1", "team/app00", "registry.local/team/app00:v1"):
        assert named([typed], entries) == {"registry.local/team/app00:v1"}
    assert named(["app02", "*"], entries) == {"localhost:5000/app02", "*"}
    with pytest.raises(InputError) as caught:
        named(["ap00"], entries)
    assert caught.value.hint == "did you mean 'registry.local/team/app00:v1'?"


def test_a_pin_without_word_of_what_was_asked_is_made_anew(desk: Desk) -> None:
    (desk.folder / "m").mkdir()
    (desk.folder / "m/a.json").write_text("a")
    desk.ask("  models:\n  - {directory: m, name: a/m}\n")
    item = desk.item()
    assert item["asked"] == {"include": []}
    path = desk.folder / "r.lock.json"
    path.write_bytes(path.read_bytes().replace(b'"asked":{"include":[]},', b""))
    assert desk.item() == item
    assert "not recorded in the lock" in desk.said


def test_platforms_and_phase_that_changed_are_pinned_anew(desk: Desk) -> None:
    make_image(desk.folder / "lay", platforms=("linux/amd64", "linux/arm64"))
    item: dict[str, Any] = {}
    for more in ("", ", platforms: [linux/arm64], phase: seed"):
        image(desk, more)
        item = desk.item()
    assert item["platforms"] == ["linux/arm64"]
    assert "platforms: all → linux/arm64; phase: registry → seed" in desk.said


def test_what_a_lock_says_was_asked_is_read_strictly(desk: Desk) -> None:
    (desk.folder / "m").mkdir()
    (desk.folder / "m/a.json").write_text("a")
    desk.ask("  models:\n  - {directory: m, name: a/m}\n")
    desk.lock()
    path = desk.folder / "r.lock.json"
    good = path.read_bytes()
    for bad in (b'{"include":"x"}', b'{"refs":[]}', b'{"include":[1]}', b"[]"):
        path.write_bytes(good.replace(b'{"include":[]}', bad))
        assert desk.lock(expect=2)["code"] == "bad-lock"


# Where one stands.


def test_a_lock_does_not_depend_on_where_the_command_was_started(desk: Desk) -> None:
    make_image(desk.folder / "lay")
    (desk.folder / "k").mkdir()
    image(desk)
    here = desk.lock()
    assert here["items"][0]["source"] == "oci:lay:v1"
    (desk.folder / "r.lock.json").unlink()
    assert desk.lock(cwd=desk.folder / "k")["digest"] == here["digest"]
    # And a pin that was made there stays here.
    assert desk.lock()["digest"] == here["digest"]
    assert "resolved anew" not in desk.said


# What `lock` says.


def test_an_index_that_does_not_arrive_is_told_of(desk: Desk) -> None:
    root = make_image(desk.folder / "lay", platforms=("linux/amd64", "linux/arm64"))
    image(desk, ", platforms: [linux/amd64]")
    desk.lock()
    words = " ".join(desk.said.split())
    assert f"@{root['digest']} and signatures on it will not resolve inside" in words
    assert "`unknown/unknown`" in words
    image(desk)
    desk.lock()
    assert "will not resolve" not in desk.said


def test_a_seed_is_told_how_it_gets_to_the_nodes(desk: Desk) -> None:
    make_image(desk.folder / "lay")
    image(desk, ", phase: seed")
    desk.lock()
    assert "`airgap extract DELIVERY --phase seed --to DIR`" in desk.said


# Platforms of what is no index.


@pytest.mark.parametrize(("said", "has"), [("linux/arm64", "linux/amd64"), ("linux/arm/v6", "linux/arm/v7")])
def test_a_single_manifest_for_another_platform_is_refused(desk: Desk, said: str, has: str) -> None:
    make_image(desk.folder / "lay", platforms=(has,))
    layout = Layout(desk.folder / "lay")
    if has == "linux/arm/v7":
        layout.tag("v1", layout.image({"a": b"b"}, platform=has, config={"variant": "v7"}))
    image(desk, f", platforms: [{said}]")
    refused = desk.lock(expect=2)
    assert refused["code"] == "no-platform"
    assert f"it is for {has} only" in refused["hint"]
    assert "r.request.yaml:6:" in refused["error"]
    image(desk, f", platforms: [{said}, {has}]")
    assert desk.item()["platforms"] == [said, has]


def test_an_artifact_is_for_no_platform(desk: Desk) -> None:
    layout = Layout(desk.folder / "lay")
    layout.tag("v1", layout.artifact("application/x", ("text/plain", b"x")))
    image(desk, ", platforms: [linux/amd64]")
    assert desk.lock(expect=2)["code"] == "no-platform"


# What refers to an image in a layout.


def refer(layout: Layout, subject: dict[str, Any], media_type: str = MANIFEST, **more: Any) -> dict[str, Any]:
    """A referrer as a document, `mediaType` left out."""
    blob = layout.blob(json.dumps(more).encode(), "text/plain")
    document = {"schemaVersion": 2, "config": layout.blob(b"{}", "application/x"), "layers": [blob]}
    return layout.document({**document, "subject": bare(subject), **more}, media_type)


def test_a_referrer_that_does_not_say_its_type_is_carried(desk: Desk) -> None:
    layout = Layout(desk.folder / "lay")
    root = layout.tag("v1", layout.image({"a": b"b"}))
    found = refer(layout, root)
    image(desk)
    [attached] = desk.item()["attached"]
    assert (attached["digest"], attached["mediaType"]) == (found["digest"], MANIFEST)


@pytest.mark.parametrize(
    "broken",
    [
        {"layers": "none"},
        {"schemaVersion": 1, "mediaType": MANIFEST},
        {"mediaType": "application/vnd.oci.artifact.manifest.v1+json"},
        {"mediaType": "application/vnd.example.other+json"},
    ],
)
def test_a_broken_referrer_is_left_out_where_its_subject_is_locked(desk: Desk, broken: dict[str, Any]) -> None:
    layout = Layout(desk.folder / "lay")
    layout.tag("v1", layout.image({"a": b"b"}))
    other = layout.tag("v2", layout.image({"a": b"c"}))
    found = refer(layout, other, **broken)
    image(desk)
    assert {"attached", "leftOut"} & desk.item().keys() == set()
    desk.ask("  images:\n  - {ref: 'oci:lay:v2', name: 'registry.local/a/b:2'}\n")
    [left_out] = desk.item()["leftOut"]
    assert (left_out["subject"], left_out["digest"]) == (other["digest"], found["digest"])
    assert left_out["code"] in ("bad-manifest", "unknown-node")
    assert f"without {found['digest']}" in desk.said


def test_other_json_with_a_subject_is_no_referrer(desk: Desk) -> None:
    layout = Layout(desk.folder / "lay")
    root = layout.tag("v1", layout.image({"a": b"b"}))
    layout.blob(json.dumps({"subject": [{"digest": root["digest"]}]}).encode(), "text/plain")
    layout.blob(json.dumps({"subject": {"digest": root["digest"]}, "mediaType": 7}).encode(), "text/plain")
    layout.blob(b'{"subject": ', "text/plain")
    image(desk)
    assert "attached" not in desk.item()
