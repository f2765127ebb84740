"""Which names of an import are published, in which order, and what is withheld."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from airgap.base.errors import UpstreamError
from airgap.content.forms import Change, ChangeOutcome, Tree
from airgap.content.graph import Descriptor
from airgap.destinations.line import AnyLine, Line
from airgap.destinations.make import Work
from airgap.jobs.importing.publish import Publication, half
from airgap.store.memory import Memory

ROOT = Descriptor.of("x", b"x")
BROKEN = UpstreamError("upstream-failed", "got 503")


@dataclass
class Place:
    url: str
    form: str


@dataclass
class World:
    """Lines at destinations, each named (URL, item); publishing fails for those in `broken`."""

    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    keep_going: bool = False
    folder: str = ""
    lines: dict[tuple[str, str], AnyLine] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    order: list[str] = field(default_factory=list)

    def line(self, url: str, form: str, item: str, outcome: ChangeOutcome = ChangeOutcome.WRITE) -> AnyLine:
        place = self.places.setdefault(url, Place(url, form))
        tree = Tree(item, "files", item, {}, ROOT, Memory())
        made: AnyLine = Line(cast("Any", place), tree, [Change(item, item, "v1", str(ROOT.digest), outcome=outcome)])
        self.lines[url, item] = made
        return made

    def publish(self) -> dict[tuple[str, str], str]:
        self.work = Work(list(self.lines.values()), (), (), self.folder)

        def one(line: AnyLine) -> None:
            self.order.append(line.form.item)
            if line.form.item in self.broken:
                raise BROKEN
            line.changes = [Change("", "", "v1", str(ROOT.digest), outcome=ChangeOutcome.WRITTEN)]

        Publication(self.work, self.needs, self.keep_going).publish(one, 1)
        return {key: str(line.told[0].outcome) for key, line in self.lines.items()}


def test_registries_before_files_before_git_and_new_names_before_those_that_move() -> None:
    world = World(needs={"chart": frozenset({"old"})})
    world.line("git", "refs", "repository")
    world.line("hub", "graph", "chart")
    world.line("hub", "graph", "old", ChangeOutcome.MOVED)
    world.line("hub", "graph", "new")
    world.line("s3", "tree", "model")
    assert set(world.publish().values()) == {"written"}
    assert world.order == ["new", "old", "chart", "model", "repository"]


def test_after_the_first_failure_nothing_more_is_published_there() -> None:
    world = World(broken={"c"})
    for item in "abcdefgh":
        world.line("hub", "graph", item)
        world.line("other", "graph", f"other-{item}")
    done = world.publish()
    assert [outcome for (url, _), outcome in done.items() if url == "hub"] == (
        ["written"] * 2 + ["failed"] + ["withheld"] * 5
    )
    assert {outcome for (url, _), outcome in done.items() if url == "other"} == {"written"}
    assert half(world.work) == {"hub": (2, 6)}


@pytest.mark.parametrize("keep_going", [False, True])
def test_what_failed_before_withholds_the_rest_of_its_destination(keep_going: bool) -> None:
    world = World(keep_going=keep_going)
    world.line("hub", "graph", "a").error = BROKEN
    world.line("hub", "graph", "b")
    world.line("hub", "graph", "there", ChangeOutcome.PRESENT)
    done = world.publish()
    assert done["hub", "a"] == "failed"
    assert done["hub", "b"] == ("written" if keep_going else "withheld")
    assert done["hub", "there"] == ("written" if keep_going else "present")
    assert bool(half(world.work)) is keep_going


def test_a_name_that_stays_is_no_failure_and_one_whose_place_is_taken_is_one() -> None:
    for conflict, outcome in ((False, "written"), (True, "withheld")):
        world = World()
        line = world.line("git", "refs", "a", ChangeOutcome.REFUSED)
        line.changes = [Change("a", "a", "v1", str(ROOT.digest), outcome=ChangeOutcome.REFUSED, conflict=conflict)]
        world.line("git", "refs", "b")
        assert world.publish()["git", "b"] == outcome


def test_the_folders_of_an_embedded_sovereign_are_one_destination() -> None:
    world = World(folder="/inside")
    world.line("/inside/oci", "graph", "a").error = BROKEN
    world.line("/inside", "tree", "b")
    world.line("/inside/git", "refs", "c")
    world.line("/insider", "tree", "d")
    assert list(world.publish().values()) == ["failed", "withheld", "withheld", "written"]


def test_what_is_needed_counts_where_it_goes_and_between_destinations() -> None:
    needs = {"chart": frozenset({"image", "repository"}), "repository": frozenset({"chart"})}
    for broken, lost in (
        ("image", {("one", "image"), ("one", "chart"), ("git", "repository")}),
        ("repository", {("one", "chart"), ("two", "chart"), ("git", "repository")}),
    ):
        world = World(needs=needs, keep_going=True)
        for url in ("one", "two"):
            world.line(url, "graph", "image")
            world.line(url, "graph", "chart")
        world.line("git", "refs", "repository")
        world.lines["one" if broken == "image" else "git", broken].error = BROKEN
        done = world.publish()
        # The repository is there once: it waits until its chart is everywhere, and so does the chart for it.
        expected = lost | {("two", "chart")}
        assert {key for key, outcome in done.items() if outcome != "written"} == expected
