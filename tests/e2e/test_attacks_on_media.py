"""Attack stories about small media with large content, from the command line; the gap side has no route.

What a story costs is part of it: each has `SOON` to end. docs/threat-model.md.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.base.canonical import canonical
from airgap.base.digest import Digest
from airgap.content.graph import Node, walk
from airgap.content.lock import API_VERSION, Lock
from airgap.delivery import tar as tape
from airgap.delivery.contents import Extent, Root
from airgap.delivery.fields import FileSum
from airgap.delivery.index import Index
from airgap.kinds.git.graph import BUNDLE_TYPE, put_graph
from airgap.statements.predicates import Pull, PulledItem
from airgap.store.layout import LAYOUT_FILE
from airgap.store.memory import Memory
from tests.parts.system import NetworkNamespace
from tests.worlds import bombs
from tests.worlds.attacks import Files, World, make_world
from tests.worlds.site import HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2", "faketime")]
SOON = 60.0
"""Seconds: a story starts up to six processes, on a busy machine."""
SHORT = 20_000
"""Characters of an answer."""
HOLE = 300 << 30
"""Bytes of a hole. Reading it takes minutes."""
TRUST = ("--trust", "trust.yaml")
VOLUME = "vol-0001-of-0001.tar"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Pulled and cut once."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        world = make_world(tmp_path_factory.mktemp("media") / "base", netns)
        world.lock()
        world.cut("media")
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> Iterator[World]:
    """A copy of it, for a story that ends soon."""
    begun = time.monotonic()
    yield base.copy(tmp_path / "world")
    assert time.monotonic() - begun < SOON


def _verify(world: World) -> Mapping[str, tuple[str, str]]:
    """What `verify` says of each file: its state and the detail."""
    answer = world.inside("verify", "media", *TRUST, expect=4)
    return {Path(one["name"]).name: (one["state"], one["detail"]) for one in answer["files"]}


# media that nobody signed


def test_a_hole_in_a_file_is_named_and_not_read(world: World) -> None:
    media = world.folder / "media"
    for name in (VOLUME, "README.txt", "SHA256SUMS"):
        os.truncate(media / name, HOLE)
    found = _verify(world)
    assert [found[name][0] for name in (VOLUME, "README.txt", "SHA256SUMS")] == ["damaged"] * 3
    assert f"got {HOLE} bytes" in found[VOLUME][1]
    world.take("media", expect=5)
    os.truncate(media / "evidence.tar", HOLE)
    assert world.refused("media") == "damaged-file"


def test_a_sparse_file_in_the_evidence(world: World) -> None:
    """Signed by a stolen key, or shown to `show`, which checks no signature."""
    data = bombs.sparse_evidence()

    def listed(index: Index) -> Index:
        evidence = replace(index.journey.evidence, file=FileSum("evidence.tar", Digest.of(data).hex, len(data)))
        return replace(index, journey=replace(index.journey, evidence=evidence))

    forged = world.forge("media", "forged", index=listed)
    (world.folder / forged / "evidence.tar").write_bytes(data)
    assert world.refused(forged) == "bad-archive"
    assert "judged" not in world.run("show", forged)


@pytest.mark.parametrize("field", ["apiVersion", "kind", "journey"])
def test_an_index_whose_error_would_be_as_long_as_itself(world: World, field: str) -> None:
    index = world.folder / "media/AIRGAP.json"
    document = json.loads(index.read_text())
    document[field] = {"x" * (32 << 20): 1} if field == "journey" else "x" * (32 << 20)
    index.write_text(json.dumps(document))
    for command in ("ls", "show"):
        answer = world.run(command, "media", expect=4)
        assert answer["code"] in ("bad-index", "unknown-version")
        assert len(json.dumps(answer)) < SHORT
    assert world.refused("media") == "index-mismatch"


def test_what_is_not_a_file_does_not_block(world: World) -> None:
    media = world.folder / "media"
    for name in (VOLUME, "README.txt", "SHA256SUMS", "extra", "signatures/more.sigstore.json"):
        (media / name).unlink(missing_ok=True)
        os.mkfifo(media / name)
    (media / "SHA256SUMS").unlink()
    (media / "SHA256SUMS").symlink_to("/dev/zero")
    found = _verify(world)
    assert {name: state for name, (state, _) in found.items()} == {
        VOLUME: "damaged",
        "evidence.tar": "good",
        "README.txt": "damaged",
        "SHA256SUMS": "damaged",
        "extra": "unlisted",
        "more.sigstore.json": "unlisted",
    }
    world.take("media", expect=5)
    for name in ("evidence.tar", "AIRGAP.json"):
        (media / name).unlink()
        os.mkfifo(media / name)
    for line in (("ls", "media"), ("show", "media"), ("verify", "media", *TRUST)):
        assert world.run(*line, expect=2)["code"] == "no-delivery"


def test_many_files_and_names_that_differ_in_case_only(world: World) -> None:
    media = world.folder / "media"
    (media / "airgap.JSON").write_text("{}")
    (media / "signatures/deep").joinpath(*"d" * 200).mkdir(parents=True)
    for number in range(2000):
        (media / f"x{number}").touch()
        (media / f"signatures/x{number}").touch()
    answer = world.inside("verify", "media", *TRUST)
    states = [one["state"] for one in answer["files"]]
    assert (states.count("good"), states.count("unlisted"), len(states)) == (4, 2 * 51, 4 + 2 * 51)
    assert "1951 more" in json.dumps(answer)
    assert "airgap.JSON" in [Path(one["name"]).name for one in answer["files"]]
    world.take("media")


# media that a stolen key signed


def _with_blobs(change: Callable[[dict[Digest, tuple[Extent, ...]]], None]) -> Callable[[Index], Index]:
    def index(made: Index) -> Index:
        blobs = dict(made.contents.blobs)
        change(blobs)
        return replace(made, contents=replace(made.contents, blobs=blobs))

    return index


def _again(blobs: dict[Digest, tuple[Extent, ...]]) -> None:
    """One blob is the same bytes, again and again."""
    digest, [extent] = next(iter(blobs.items()))
    blobs[digest] = (extent,) * 50_000


def _overlapping(blobs: dict[Digest, tuple[Extent, ...]]) -> None:
    """Two blobs share bytes."""
    first, second, *_ = blobs
    blobs[second] = blobs[first]


def _shifted(blobs: dict[Digest, tuple[Extent, ...]]) -> None:
    """Many blobs, each of which begins a byte after another."""
    [extent] = next(iter(blobs.values()))
    blobs |= {Digest(f"sha256:{number:064x}"): (replace(extent, length=extent.length - number),) for number in range(9)}


@pytest.mark.parametrize("change", [_again, _overlapping, _shifted])
def test_bytes_of_a_volume_are_in_more_than_one_blob(world: World, change: Any) -> None:
    forged = world.forge("media", "forged", index=_with_blobs(change))
    assert world.refused(forged) == "bad-index"
    for line in (("ls", forged), ("show", forged)):
        assert world.run(*line, expect=4)["code"] == "bad-index"


@pytest.mark.part("git")
def test_a_git_bundle_of_16_kb_that_needs_gigabytes(world: World) -> None:
    """The station's and the exporter's keys are stolen: pull statement, evidence, index and volume are right."""
    bundle, commit = bombs.git_bundle(3 << 30)
    refs = {"refs/heads/main": commit}
    name = "github.com/a/b"
    item = {"name": name, "kind": "git", "source": "https://github.com/a/b", "refs": refs, "lfs": False}
    document = {"apiVersion": API_VERSION, "kind": "Lock", "metadata": {"name": "r"}, "items": [item]}
    lock = canonical(document) + b"\n"
    store = Memory()
    root = put_graph(store, Lock.decode(lock, "lock").items[0], [store.add(BUNDLE_TYPE, bundle)], [])
    pull = world.statement(Digest.of(lock), Pull({name: PulledItem(root.digest, "pass", len(bundle))}), "exporter")
    found = [one.descriptor if isinstance(one, Node) else one for one in walk(store, root)]
    volume, blobs = _volume({one.digest: store.open(one).read() for one in found})

    def evidence(_files: Files) -> Files:
        return {f"locks/{Digest.of(lock).hex}.json": lock, f"statements/{Digest.of(pull).hex}.sigstore.json": pull}

    def index(made: Index) -> Index:
        contents = replace(
            made.contents,
            locks=(Digest.of(lock),),
            roots=(Root(name, "git", root.digest),),
            volumes=(FileSum(VOLUME, Digest.of(volume).hex, len(volume)),),
            blobs=blobs,
        )
        return replace(made, contents=contents)

    forged = world.forge("media", "forged", evidence=evidence, index=index)
    (world.folder / forged / VOLUME).write_bytes(volume)
    world.inside("verify", forged, *TRUST)
    assert "too-large" in json.dumps(world.take(forged, expect=4))


def _volume(files: Mapping[Digest, bytes]) -> tuple[bytes, dict[Digest, tuple[Extent, ...]]]:
    """A volume with these blobs, and where they are in it."""
    volume = tape.pack(
        [("oci-layout", LAYOUT_FILE), *((f"blobs/sha256/{key.hex}", data) for key, data in files.items())]
    )
    blobs: dict[Digest, tuple[Extent, ...]] = {}
    at = 1024
    for digest, data in files.items():
        blobs[digest] = (Extent(1, at + 512, len(data)),)
        at += 512 + len(data) + tape.padding(len(data))
    return volume, blobs


# names that a Policy is asked about


def test_a_name_that_would_keep_a_pattern_busy(world: World) -> None:
    """Python's `re` would need years for this one: each star can end at each letter."""
    world.lock("long", **{f"demo.local/{'a' * 200}:v1": "v1"})
    rule = "  - {match: ['demo.local/**a**a**a**a**a**a**b'], deny: {reason: busy}}\n"
    world.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: p}}\nspec:\n  rules:\n{rule}")
    line = ("scan", "long.lock.json", "--store", "store", "--policy", "policy.yaml", "--key", "station.key")
    assert "no-rule" in json.dumps(world.run(*line, expect=3))
