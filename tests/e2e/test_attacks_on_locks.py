"""Attack stories about what a lock binds, from the command line; the gap side has no route. docs/threat-model.md.

Everybody signs rightly in them: the exporter what was pulled and cut, the security-officer the lock. Only the lock does
not say what the content is, or says it of the wrong name.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airgap.delivery.contents import Root
from tests.parts.system import NetworkNamespace
from tests.worlds.attacks import World
from tests.worlds.locks import Document, cut, deliver, document, encoded, item, make_kinds
from tests.worlds.site import GAP, HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.part("iproute2", "git")]
APP, SMALL, CHART, GIT = "demo.local/app:v1", "demo.local/small:v1", "demo.local/charts/hello:0.1.0", "demo/hello"
MODEL, FILE = "demo/tiny", "manual"
OTHER = f"sha256:{'0' * 64}"
TRUST = ("--trust", "trust.yaml")
DISCS = f"""\
  images: [{{ref: 'oci:made:fat', name: 'demo.local/fat:v1'}}]
  charts: [{{ref: 'oci:content/chart:{CHART}', name: '{CHART}'}}]
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All kinds, locked as `r` and cut as `media`; cut as `other`, their branch main is elsewhere."""
    with ExitStack() as stack:
        netns = NetworkNamespace()
        stack.callback(netns.remove)
        yield make_kinds(tmp_path_factory.mktemp("locks") / "base", netns)


@pytest.fixture
def world(base: World, tmp_path: Path) -> World:
    """A copy of it, so that stories do not meet."""
    return base.copy(tmp_path / "world")


def refused(world: World, media: str, *, station: bool = True) -> tuple[str, str]:
    """The code and the words with which `verify`, the station and the Sovereign refuse it: all the same."""
    verified = world.run("verify", media, *TRUST, expect=4)
    if station:
        taken = world.run("import", media, "--store", "dmz", *TRUST, expect=4)
        assert taken["code"] == verified["code"]
        assert not (world.folder / "dmz/index.json").exists() or world.run("ls", "dmz")["items"] == []
    assert world.refused(media) == verified["code"]
    return str(verified["code"]), str(verified["error"])


def attach(one: Document, tag: str, subject: str = "") -> Any:
    """Attaches an image that nobody signed: the child for another platform, which is carried anyway."""
    signature = dict(next(entry for entry in one["attached"] if entry["how"] == "tag"))
    signature |= {"tag": tag, "subject": subject or one["root"]["digest"]}
    one["attached"] = sorted([*one["attached"], signature], key=_order)
    return signature


def _order(one: Document) -> tuple[str, ...]:
    return one["subject"], one["how"], one.get("tag", ""), one["digest"]


def test_an_attached_artifact_takes_the_tag_of_an_image(world: World) -> None:
    """A lock for one tag gives another tag of the repository to something that no rule ever looked at."""
    lock = document(world)
    attach(item(lock, APP), "1.27")
    (world.folder / "evil.lock.json").write_bytes(encoded(lock))
    world.write("policy.yaml", f"{HEAD}kind: Policy\nmetadata: {{name: bank}}\nspec: {{rules: []}}\n")
    for line in (
        ("pull", "evil.lock.json", "--store", "store", "--key", "exporter.key"),
        ("scan", "evil.lock.json", "--store", "store", "--policy", "policy.yaml", "--key", "station.key"),
        ("bundle", "evil.lock.json", "--store", "store", "--to", "cut", "--for", "bank", "--key", "exporter.key"),
        ("audit", "--lock", "evil.lock.json", "--sovereign", "sovereign.yaml"),
    ):
        said = world.run(*line, expect=2)
        assert (said["code"], "tag: got '1.27', expected sha256-" in said["error"]) == ("bad-lock", True)
    code, _ = refused(world, deliver(world, "media", "evil", encoded(lock)))
    assert code == "bad-lock"


def test_what_is_attached_belongs_to_the_item(world: World) -> None:
    """Its tag is right for its subject; but the subject is an image of somebody else."""
    lock = document(world)
    attach(item(lock, APP), f"sha256-{'0' * 64}.sig", OTHER)
    code, error = refused(world, deliver(world, "media", "evil", encoded(lock)))
    assert code == "not-as-locked"
    assert f"its subject {OTHER} is not part of this item" in error


def test_git_inside_is_what_was_approved(world: World) -> None:
    """The officer approved main at one commit; the exporter delivers another, and signs that this was pulled."""
    approved = (world.folder / "r.lock.json").read_bytes()
    expected = item(document(world), GIT)["refs"]["refs/heads/main"]
    got = item(document(world, "other"), GIT)["refs"]["refs/heads/main"]
    code, error = refused(world, deliver(world, "other", "evil", approved))
    assert code == "not-as-locked"
    assert f"git {GIT!r}: refs: refs/heads/main: got {got}, but the lock says {expected}" in error
    # Approved itself, the other content comes in, and is what its receipt says. By the first lock, an audit sees it.
    world.take("other")
    world.run("audit", "--receipt", "other.receipt", *GAP)
    found = world.run("audit", "--lock", "r.lock.json", "--sovereign", "sovereign.yaml", expect=3)["findings"]
    assert {(one["name"], one["state"]) for one in found if one["state"] != "good"} == {
        ("HEAD", "changed"),
        ("refs/heads/main", "changed"),
    }


def test_an_item_is_extracted_only_as_its_lock_says(world: World) -> None:
    """What `verify` refuses, `extract` does not give away as verified."""
    lock = document(world)
    _renamed_chart(lock)
    git = deliver(world, "other", "git", (world.folder / "r.lock.json").read_bytes())
    chart = deliver(world, "media", "chart", encoded(lock))
    for media, name in ((git, GIT), (chart, CHART.replace("0.1.0", "9.9.9"))):
        said = world.run("extract", media, name, *TRUST, "--to", "out", expect=4)
        assert (said["code"], (world.folder / "out").exists()) == ("not-as-locked", False)
    # Of the same delivery, an item that is as locked.
    assert world.run("extract", chart, APP, *TRUST, "--to", "out")["verified"] is True


def test_two_locks_say_different_things_under_one_name(world: World) -> None:
    """Each is approved, but only one of them can be what is inside. The same item in both is no contradiction."""
    lock, other = document(world), document(world)
    other["metadata"]["name"] = "other"
    assert world.run("verify", deliver(world, "media", "same", encoded(lock), encoded(other)), *TRUST)
    item(other, APP).pop("attached")
    code, error = refused(world, deliver(world, "media", "evil", encoded(lock), encoded(other)))
    assert (code, APP in error) == ("locks-mismatch", True)

    def two(roots: tuple[Root, ...]) -> tuple[Root, ...]:
        return (replace(roots[0], digest=roots[1].digest), *roots)

    mixed = deliver(world, "media", "mixed", encoded(lock), roots=two)
    assert refused(world, mixed) == ("root-mismatch", "AIRGAP.json lists an item with two roots")


def test_a_chart_on_a_later_disc(world: World) -> None:
    """It is compared by the run that has its disc, and before that nothing has a name."""
    layout = world.layout()
    layout.tag("fat", layout.image(config={"x": "y" * 60_000}))
    world.write("r.request.yaml", f"{HEAD}kind: Request\nmetadata: {{name: r}}\nspec:\n{DISCS}")
    cut(world, "discs", "discs", "--volume-size", "64KiB")
    lock = document(world, "discs")
    good = deliver(world, "discs", "good", encoded(lock))
    _renamed_chart(lock)
    evil = deliver(world, "discs", "evil", encoded(lock))
    for delivery in (good, evil):
        first, *rest = sorted((world.folder / delivery).glob("vol-*"))
        (world.folder / f"{delivery}2").mkdir()
        for volume in rest:
            volume.rename(world.folder / f"{delivery}2" / volume.name)
        waits = world.run("import", delivery, *GAP, expect=5)
        assert waits["missingVolumes"] == [volume.name for volume in rest], first
        assert world.run("ls", "inside/oci")["items"] == []
        if delivery == evil:
            assert world.refused(f"{delivery}2") == "not-as-locked"
        else:
            world.run("import", f"{delivery}2", *GAP)
            assert len(world.run("ls", "inside/oci")["items"]) == 2
            shutil.rmtree(world.folder / "inside")
            shutil.rmtree(world.folder / "state")


def _set(which: str, **fields: Any) -> Callable[[Document], None]:
    return lambda lock: item(lock, which).update(fields)


def _drop(which: str, field: str) -> Callable[[Document], None]:
    return lambda lock: item(lock, which).pop(field) and None


def _renamed_chart(lock: Document) -> None:
    item(lock, CHART).update(name="demo.local/charts/hello:9.9.9", source="oci:x:demo.local/charts/hello:9.9.9")


def _other_file(lock: Document) -> None:
    (file,) = item(lock, FILE)["files"]
    file["path"] = "manuals/other.txt"


def _less_of_a_model(lock: Document) -> None:
    item(lock, MODEL)["files"].pop()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (_set(GIT, head="refs/tags/v1"), "not-as-locked", "head: got refs/heads/main, but the lock says refs/tags/v1"),
        (_set(GIT, head="refs/heads/none"), "bad-lock", "is none of its refs"),
        (_renamed_chart, "not-as-locked", "the tag is '9.9.9', the chart's version is '0.1.0'"),
        (_set(MODEL, revision="main"), "bad-lock", "revision: got 'main', expected sha256-"),
        (_set(MODEL, name="demo/other"), "bad-lock", "root: got"),
        (_less_of_a_model, "bad-lock", "root: got"),
        (_set(FILE, path="manuals/other.txt"), "bad-lock", "path: got 'manuals/other.txt', but its file is"),
        (_other_file, "bad-lock", "path: got 'manuals/hello/manual.txt', but its file is"),
        (_set(FILE, bytes=1), "bad-lock", "bytes: got 1, but its files give"),
        (_set(APP, bytes=1), "not-as-locked", "but the lock says 1"),
        (_set(APP, phase="first"), "bad-lock", "phase: got 'first', expected registry or seed"),
        (_set(APP, platforms=["linux/s390x"]), "not-as-locked", "has nothing for linux/s390x"),
        (_set(SMALL, platforms=["linux/arm64"]), "not-as-locked", "inside: got sha256:"),
        (_drop(SMALL, "inside"), "not-as-locked", "but the lock says none"),
        (_set(APP, converted=True), "bad-lock", "converted: got True"),
    ],
)
def test_every_field_is_what_the_content_is(
    base: World, change: Callable[[Document], None], code: str, words: str, tmp_path: Path
) -> None:
    lock = document(base)
    change(lock)
    evil = deliver(base, "media", str(tmp_path / "evil"), encoded(lock))
    for line in (("verify", evil, *TRUST), ("import", evil, *GAP)):
        said = base.run(*line, expect=4)
        assert (said["code"], words in said["error"]) == (code, True), said
    assert base.seen() == {}
