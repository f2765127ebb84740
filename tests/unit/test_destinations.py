"""Destinations as jobs see them: one protocol, whatever they take, and one reading of the media for all registries."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import AbsentError, AirgapError, InputError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.finding import Finding, State
from airgap.content.forms import Change, ChangeOutcome, Form, Graph, Tree
from airgap.content.graph import OCI_CONFIG, OCI_MANIFEST, Descriptor, Opener, PutResult
from airgap.content.item import Attached
from airgap.content.removal import Removal
from airgap.destinations.base import Inside, Moved, Run, Spot
from airgap.destinations.graph import GraphDestination, SharedPass
from airgap.destinations.graph.contents import LayoutContents
from airgap.destinations.graph.layout import LayoutPlace
from airgap.destinations.graph.remove import LayoutRemover
from airgap.destinations.line import Line, Share
from airgap.destinations.make import Destinations
from airgap.store.layout import Layout
from tests.worlds.counted import Counted

LAYER = "application/vnd.oci.image.layer.v1.tar"


class Media(Counted):
    """The volumes of a delivery at hand, some of them on another disc."""

    def __init__(self) -> None:
        super().__init__("media")

    def image(self, name: str, *layers: bytes) -> Graph:
        made = [self.add(LAYER, data) for data in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.add(OCI_CONFIG, json.dumps({"name": name}).encode()).as_dict(),
            "layers": [one.as_dict() for one in made],
        }
        return Graph(name, f"docker.io/library/{name}:1", self.add(OCI_MANIFEST, json.dumps(manifest).encode()), self)


class Broken(LayoutPlace):
    """A repository that takes nothing."""

    def put(self, descriptor: Descriptor, opener: Opener, mount_from: Sequence[str] = ()) -> PutResult:
        raise UpstreamError("upstream-failed", "the disk there is full")


def destination(
    folder: Path, shared: SharedPass, place: type[LayoutPlace] = LayoutPlace
) -> GraphDestination[LayoutPlace]:
    layout = Layout(folder, create=True)
    run, inside = Run(Silent(), jobs=2), LayoutContents(layout)
    return GraphDestination(
        str(folder), lambda at: place(layout, at), run, shared=shared, inside=inside, remover=LayoutRemover(layout)
    )


def leaves(form: Graph) -> list[Descriptor]:
    return [blob for blob in form.blobs() if not blob.is_node]


def test_destinations_that_announce_share_one_reading(tmp_path: Path) -> None:
    media, shared = Media(), SharedPass()
    form = media.image("app", b"1" * 100_000, b"2" * 100_000)
    places = [destination(tmp_path / name, shared) for name in ("one", "two", "three")]
    for place in places:
        place.plan(form)
        assert place.announce([form]) == 0
    media.opened.clear()
    for place in places:
        assert place.transfer([form]) == {}
        assert place.moved(form).compared
        assert place.moved(form).size > 200_000
        done = place.publish(form, place.plan(form))
        assert {one.outcome for one in done} == {ChangeOutcome.WRITTEN}
    assert {media.opened[leaf.digest] for leaf in leaves(form)} == {1}


@pytest.mark.parametrize(("tag", "of"), [("2", "own"), ("sha256-{}.sig", "other"), ("sha256-{}", "own")])
def test_nothing_gets_a_name_that_does_not_belong_to_the_graph(tmp_path: Path, tag: str, of: str) -> None:
    """Not even if what was read from a lock says so: the bytes of the graph decide."""
    media = Media()
    form, other = media.image("app", b"1"), media.image("other", b"2")
    subject = (form if of == "own" else other).root.digest
    attached = Attached(subject, "tag", other.root, tag.format(subject.hex))
    evil = replace(form, attached=(attached,))
    place = destination(tmp_path, SharedPass())
    plan = place.plan(evil)
    assert place.transfer([evil]) == {}
    done = place.publish(evil, plan)
    assert [one.outcome for one in done] == [ChangeOutcome.FAILED] * 2
    assert {"[not-as-locked]" in one.reason for one in done} == {True}
    assert place.repository("docker.io/library/app").tags() == []


def test_one_that_fails_does_not_stop_the_other(tmp_path: Path) -> None:
    media, shared = Media(), SharedPass()
    forms = [media.image("app", b"app" * 1000), media.image("tool", b"tool" * 1000)]
    broken, good = destination(tmp_path / "broken", shared, Broken), destination(tmp_path / "good", shared)
    for place in (broken, good):
        place.announce(forms)
    assert {item: error.code for item, error in broken.transfer(forms).items()} == {
        "app": "upstream-failed",
        "tool": "upstream-failed",
    }
    assert good.transfer(forms) == {}


def test_without_an_announcement_a_transfer_reads_for_itself(tmp_path: Path) -> None:
    """And again: what came of a copy is told once."""
    media, place = Media(), destination(tmp_path / "inside", SharedPass())
    form = media.image("app", b"1" * 1000)
    assert place.transfer([form]) == {}
    assert place.moved(form).size > 0
    assert place.transfer([form]) == {}
    assert place.moved(form) == Moved(0, compared=True)


def test_what_is_on_a_disc_to_come_is_absent_and_the_rest_is_there(tmp_path: Path) -> None:
    media, place = Media(), destination(tmp_path / "inside", SharedPass())
    form = media.image("app", b"1" * 1000, b"2" * 1000)
    late, *others = leaves(form)
    media.elsewhere.add(late.digest)
    error = place.transfer([form])["app"]
    assert isinstance(error, AbsentError)
    assert list(error.digests) == [late.digest]
    assert all(place.repository("docker.io/library/app").has(leaf) for leaf in others)


def test_what_a_receipt_knows_is_not_compared(tmp_path: Path) -> None:
    media = Media()
    form = media.image("app", b"1" * 1000)
    place = destination(tmp_path / "inside", SharedPass())
    assert place.transfer([form]) == {}
    place.publish(form, place.plan(form))
    ours = {(one.at, one.name or one.digest): one.digest for one in place.expected(form)}
    run = replace(place.run, ours=ours)
    again = GraphDestination(place.url, place.place, run, inside=place.inside, remover=place.remover)
    again.plan(form)
    assert again.transfer([form]) == {}
    assert again.moved(form) == Moved()


# --- a destination that exists only here ----------------------------------------------------------


@dataclass
class Drawer:
    """A destination for trees: one name a tree, and what it holds."""

    url: str = "drawer:"
    form: str = "tree"
    plan_suffices: bool = True
    held: dict[str, bytes] = field(default_factory=dict)
    hidden: dict[str, bytes] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)

    def check(self, forms: Sequence[Tree]) -> None:
        if len({one.item.casefold() for one in forms}) < len(forms):
            raise InputError("name-collision", "two trees want one drawer", "rename one")

    def expected(self, tree: Tree) -> Sequence[Change]:
        return [Change(tree.item, "drawer", tree.item, str(tree.root.digest))]

    def plan(self, tree: Tree) -> Sequence[Change]:
        present = tree.item in self.held
        return [
            replace(one, outcome=ChangeOutcome.PRESENT if present else ChangeOutcome.WRITE)
            for one in self.expected(tree)
        ]

    def omitted(self, _form: Tree, _plan: Sequence[Change], /) -> Sequence[tuple[Descriptor, bool]]:
        return ()

    def spots(self, _blob: Descriptor, _item: str, _ats: Collection[str], /) -> Iterator[Spot]:
        return iter(())

    def announce(self, forms: Sequence[Tree]) -> int:
        return sum(blob.size for tree in forms for blob in tree.blobs())

    def transfer(self, forms: Sequence[Tree]) -> Mapping[str, AirgapError]:
        for tree in forms:
            for blob in tree.blobs():
                with tree.source.open(blob) as stream:
                    self.hidden[tree.item] = stream.read()
        return {item: UpstreamError("stuck", "it does not open") for item in self.fails}

    def moved(self, tree: Tree) -> Moved:
        return Moved(len(self.hidden.get(tree.item, b"")), compared=True)

    def publish(self, tree: Tree, plan: Sequence[Change]) -> Sequence[Change]:
        self.held[tree.item] = self.hidden[tree.item]
        return [replace(one, outcome=ChangeOutcome.WRITTEN) for one in plan]

    def plan_back(self, lines: Sequence[Change], _known: Sequence[Change]) -> Sequence[Change]:
        return lines

    def move_back(self, plan: Sequence[Change], _known: Sequence[Change]) -> Sequence[Change]:
        return plan

    def contents(self, _known: Collection[str]) -> Iterator[Inside]:
        return (Inside("drawer", name) for name in self.held)

    def remove(self, lines: Sequence[Removal]) -> Iterator[Removal]:
        return iter(lines)

    def address(self, _at: str, name: str) -> str:
        return str(Digest.of(self.held[name])) if name in self.held else ""

    def inspect(self, changes: Sequence[Change], *, deep: bool) -> Sequence[Finding]:
        return [
            Finding(
                one.item,
                one.at,
                one.name,
                State.GOOD if one.name in self.held else State.MISSING,
                one.digest,
                detail="deep" if deep else "",
            )
            for one in changes
        ]


def tree(media: Media, item: str, data: bytes) -> Tree:
    return Tree(item, "files", "", {"a": media.add(LAYER, data)}, media.add(OCI_MANIFEST, item.encode()), media)


def test_jobs_use_a_new_destination_like_any_other(tmp_path: Path) -> None:
    media, drawer = Media(), Drawer(fails={"bad"})
    made = Destinations(layouts=[destination(tmp_path / "oci", SharedPass())], trees=[drawer])
    forms: list[Form] = [tree(media, "good", b"g" * 10), media.image("app", b"1" * 1000), tree(media, "bad", b"b" * 20)]
    work = made.work(forms)
    assert [line.form.item for line in work.lines] == ["good", "app", "bad"]
    for share in work.shares:
        share.check()
    for line in work.lines:
        line.plan()
    assert sum(share.announce() for share in work.shares) == 30
    for share in work.shares:
        share.transfer()
    assert drawer.held == {}
    for line in work.lines:
        if line.error is None:
            line.publish()
    assert [[str(change.outcome) for change in line.told] for line in work.lines] == [
        ["written"],
        ["written"],
        ["failed"],
    ]
    assert drawer.held == {"good": b"g" * 10}
    assert [(one.url, one.form) for one in made.all()] == [(str(tmp_path / "oci"), "graph"), ("drawer:", "tree")]


def test_a_form_that_nobody_takes_says_what_the_sovereign_lacks() -> None:
    with pytest.raises(InputError, match=r"spec\.registries") as caught:
        Destinations(trees=[Drawer()]).work([Media().image("app", b"1")])
    assert caught.value.code == "no-destination"


def test_what_two_forms_want_is_found_by_their_share() -> None:
    media, share = Media(), Share(Drawer())
    for item in ("thing", "THING"):
        share.add(tree(media, item, b""))
    with pytest.raises(InputError, match="two trees"):
        share.check()


def test_content_that_was_brought_again_below_good_names_is_told() -> None:
    form = tree(Media(), "thing", b"")
    there = Change("thing", "drawer", "thing", str(form.root.digest), outcome=ChangeOutcome.PRESENT)
    line = Line(Drawer(), form, [there], moved=Moved(7, compared=True))
    assert not line.in_place
    assert "7 bytes" in line.told[0].reason
    assert Line(Drawer(), form, [there]).in_place


@pytest.mark.parametrize(("project", "good"), [("hub", True), ("p" * 252, False), ("Hub", False)])
def test_a_name_that_no_registry_takes_is_said_before_anything_is_sent(
    tmp_path: Path, project: str, good: bool
) -> None:
    media = Media()
    place = replace(destination(tmp_path / "one", SharedPass()), projects={"docker.io/library": project})
    form = media.image("app", b"1")
    if good:
        place.check([form])
    else:
        with pytest.raises(InputError) as caught:
            place.check([form])
        assert caught.value.code == "bad-place"
