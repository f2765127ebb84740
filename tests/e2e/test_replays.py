"""No name moves back to what an earlier delivery says, whatever the stream. docs/threat-model.md."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import NAME, World, make_world
from tests.worlds.row import KEY
from tests.worlds.site import GAP, HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2", "faketime")]
OTHER = "demo.local/app:other"
LATE = "+20 weeks"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """`main1` brings two names, `side1` of another stream moves the first of them on, `main2` is like `main1`."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        world = make_world(tmp_path_factory.mktemp("replays") / "base", netns)
        sovereign = (world.folder / "sovereign.yaml").read_text()
        world.write("sovereign.yaml", f"{sovereign}  streams: [main, side, nil, s1, s2]\n")
        layout = world.layout()
        layout.tag("v2", layout.image({"newer": b"newer"}))
        world.lock("one", **{NAME: "v1", OTHER: "v1"})
        world.lock("two", **{NAME: "v2"})
        world.cut("main1", lock="one.lock.json")
        world.cut("side1", "--stream", "side", lock="two.lock.json")
        world.cut("main2", lock="one.lock.json")
        yield world


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    """A copy of it, so that stories do not meet."""
    return base.copy(tmp_path / "world")


def take(world: World, media: str, expect: int = 0, more: Sequence[str] = ()) -> Any:
    """Imports it in this process, which is faster than where no route leads out."""
    return world.run("import", media, *GAP, *KEY, *more, expect=expect)


def held(world: World, folder: str = "inside/oci") -> dict[str, str]:
    """What the two names hold."""
    return {one["name"]: one["digest"] for one in world.run("ls", folder)["items"] if one["name"] in (NAME, OTHER)}


def lines(done: Any) -> dict[str, tuple[str, str]]:
    """Outcome and reason of the two names."""
    return {
        change["item"]: (change["outcome"], change["reason"] or "")
        for change in done["changes"]
        if change["name"] in ("v1", "other")
    }


def forget(world: World, name: str) -> None:
    """Somebody removes a name inside."""
    path = world.folder / "inside/oci/index.json"
    index = json.loads(path.read_text())
    index["manifests"] = [
        one for one in index["manifests"] if one["annotations"]["org.opencontainers.image.ref.name"] != name
    ]
    path.write_text(json.dumps(index))


def test_the_last_delivery_of_a_stream_moves_no_name_back_that_another_stream_moved(world: World) -> None:
    take(world, "main1")
    take(world, "side1")
    before = held(world)
    # Where no route leads out, and long after it expired.
    done = [world.take("main1", expect=3, clock=LATE)]
    done += [take(world, "main1", expect=3, more=(more,)) for more in ("--deep", "--dry-run", "--restore")]
    for each in done:
        outcome, reason = lines(each)[NAME]
        assert (outcome, "delivery 1 of stream 'side', which was accepted later" in reason) == ("refused", True)
        assert lines(each)[OTHER] == ("present", "")
    assert held(world) == before
    # Its content may be repaired all the same.
    for path in (world.folder / "inside/oci/blobs/sha256").iterdir():
        path.unlink()
    take(world, "main1", expect=3, more=("--deep",))
    assert take(world, "side1", more=("--deep",))
    assert held(world) == before
    # A newer delivery moves it, even to what the first one said.
    take(world, "main2")
    assert held(world)[NAME] == held(world)[OTHER] != before[NAME]


def test_a_name_that_is_gone_does_not_come_back_older(world: World) -> None:
    take(world, "main1")
    take(world, "side1")
    before = held(world)
    for name in before:
        forget(world, name)
    done = take(world, "main1", expect=3)
    assert (lines(done)[NAME][0], lines(done)[OTHER][0]) == ("refused", "written")
    assert held(world) == {OTHER: before[OTHER]}
    take(world, "side1")
    assert held(world) == before


def test_a_finished_delivery_is_not_published_again_over_what_somebody_changed(world: World) -> None:
    take(world, "main1")
    path = world.folder / "inside/oci/index.json"
    take(world, "side1")
    changed = path.read_bytes()
    # As if somebody had moved the name by hand: there is no later delivery.
    shutil.rmtree(world.folder / "inside")
    shutil.rmtree(world.folder / "state")
    take(world, "main1")
    path.write_bytes(changed)
    outcome, reason = lines(take(world, "main1", expect=3))[NAME]
    assert (outcome, "this delivery has published the name already" in reason) == ("refused", True)
    assert path.read_bytes() == changed
    forget(world, NAME)
    assert lines(take(world, "main1"))[NAME][0] == "written"


def test_without_the_record_of_names_an_earlier_delivery_moves_none(world: World) -> None:
    take(world, "main1")
    take(world, "side1")
    before, names = held(world), world.folder / "state/names.json"
    names.unlink()
    outcome, reason = lines(take(world, "main1", expect=3))[NAME]
    assert (outcome, "other deliveries were accepted after this one" in reason) == ("refused", True)
    assert held(world) == before
    shutil.rmtree(world.folder / "state/receipts")  # lost receipts change nothing
    take(world, "main1", expect=3)
    names.write_text(names.read_text().replace("true", "false", 1))
    answer = take(world, "main1", expect=5)
    assert (answer["code"], "remove names.json" in answer["hint"]) == ("state-damaged", True)
    assert held(world) == before


def test_a_delivery_that_is_finished_after_a_later_one_moves_only_what_that_one_left(world: World) -> None:
    """It stops half-way, `side1` comes in between, and it goes on with what `nil1` wrote."""
    layout = world.layout()
    layout.tag("v0", layout.image({"oldest": b"oldest"}))
    world.lock("nil", **{NAME: "v0", OTHER: "v0"})
    world.cut("nil1", "--stream", "nil", lock="nil.lock.json")
    layout.tag("large", layout.image({"large": os.urandom(100_000)}))
    world.lock("large", **{NAME: "large", OTHER: "large"})
    world.cut("parts", "--volume-size", "64KiB", lock="large.lock.json")
    take(world, "nil1")
    volumes = sorted(path.name for path in (world.folder / "parts").glob("vol-*"))
    assert len(volumes) > 1
    last = world.folder / "parts" / volumes[-1]
    last.rename(world.folder / volumes[-1])
    take(world, "parts", expect=5)
    take(world, "side1")
    before = held(world)
    (world.folder / volumes[-1]).rename(last)
    done = lines(take(world, "parts", expect=3))
    assert (done[NAME][0], done[OTHER][0]) == ("refused", "written")
    assert held(world)[NAME] == before[NAME] != before[OTHER] != held(world)[OTHER]


def test_the_store_of_a_station_moves_no_name_back(world: World) -> None:
    trust = (world.folder / "trust.yaml").read_text().replace("bank", "dmz")
    world.write("dmz-trust.yaml", trust)
    world.cut("leg1", lock="one.lock.json", to="dmz")
    world.cut("leg2", "--stream", "side", lock="two.lock.json", to="dmz")
    world.run("sign", "leg2", "--key", "officer.key", "--role", "security-officer")  # opens the stream
    station = ("--store", "dmz", "--trust", "dmz-trust.yaml")
    for leg in ("leg1", "leg2"):
        assert world.run("import", leg, *station)["kept"] == []
    before = held(world, "dmz")
    for more in ((), ("--dry-run",), ("--deep",), ("--restore",)):
        [kept] = world.run("import", "leg1", *station, *more, expect=3)["kept"]
        assert (kept["name"], kept["digest"], "stream 'side'" in kept["reason"]) == (NAME, before[NAME], True)
        assert held(world, "dmz") == before


def test_a_file_and_a_default_branch_stay_where_a_later_delivery_put_them(world: World) -> None:
    git = world.folder / "source"
    run = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(git))
    world.write("v1.txt", "one")
    world.write("v2.txt", "two")
    _git("git", "init", "-q", "-b", "main", str(git))
    _git(*run, "commit", "-q", "--allow-empty", "-m", "one")
    _git(*run, "branch", "next")
    for number, head in ((1, "main"), (2, "next")):
        _git(*run, "symbolic-ref", "HEAD", f"refs/heads/{head}")
        digest = hashlib.sha256((world.folder / f"v{number}.txt").read_bytes()).hexdigest()
        files = f"  files:\n  - {{file: v{number}.txt, path: tools/t, sha256: {digest}}}\n"
        repository = "  git:\n  - {url: source, name: source, refs: [refs/heads/*]}\n"
        world.write(
            f"f{number}.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: f}}\nspec:\n{files}{repository}"
        )
        world.run("lock", f"f{number}.request.yaml")
        world.run("pull", f"f{number}.lock.json", "--store", "store", "--key", "exporter.key")
        world.cut(f"f{number}", "--stream", f"s{number}", lock=f"f{number}.lock.json")
        take(world, f"f{number}")
    done = take(world, "f1", expect=3, more=("--deep",))
    refused = {change["name"] for change in done["changes"] if change["outcome"] == "refused"}
    assert (world.folder / "inside/objects/files/tools/t").read_text() == "two"
    assert refused == {"tools/t", "HEAD"}
    assert (world.folder / "inside/git/source.git/HEAD").read_text().strip() == "ref: refs/heads/next"


def _git(*line: str) -> None:
    subprocess.run(line, check=True)
