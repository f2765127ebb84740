"""What every destination for trees must do.

A subclass gives the fixture `place`: how to make the destination, and how to look behind its back.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO, Protocol

import pytest

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, IntegrityError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.finding import State
from airgap.content.forms import Change, ChangeOutcome, Tree
from airgap.content.graph import Descriptor
from airgap.destinations.base import Precedence, Run
from airgap.destinations.omitted import OmittedBlobs
from airgap.destinations.trees.destination import TreeDestination
from airgap.station.brought import spot
from airgap.store.memory import Memory
from airgap.store.overlay import Overlay

FILES = {
    "config.json": b'{"hidden_size": 384}',
    "model.safetensors": bytes(range(256)) * 12_289,  # 3 MiB and a bit
    "1_Pooling/config.json": b"{}",
    "1_Pooling/same.json": b"{}",
    "empty": b"",
    "späte Änderung.txt": b"not ASCII, with a space",
}


class Place(Protocol):
    """One destination, empty at first, and a way to see and touch what is really there."""

    def make(self, run: Run) -> TreeDestination:
        """The destination, as a new process would make it."""
        ...

    def at(self, prefix: str) -> str:
        """The `at` of a change for the tree's bucket `models`."""
        ...

    def read(self, bucket: str, key: str) -> bytes | None:
        """What the key really holds; `bucket` is the tree's."""
        ...

    def plant(self, bucket: str, key: str, data: bytes) -> None:
        """Puts something there behind the destination's back."""
        ...

    def remove(self, bucket: str, key: str) -> None:
        """Removes something behind the destination's back."""
        ...

    def listing(self, bucket: str) -> set[str]:
        """All that is there."""
        ...


class Counting(Memory):
    """A source that counts what is opened, and can be damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.damaged: dict[Digest, bytes] = {}
        self.fails_after: int | None = None

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        if self.fails_after is not None and self.opened >= self.fails_after:
            raise UpstreamError("cut", "the source broke off")
        self.opened += 1
        if descriptor.digest in self.damaged:
            return io.BytesIO(self.damaged[descriptor.digest][offset:])
        return super().open(descriptor, offset)


class Bytes(Silent):
    """A progress that sums."""

    def __init__(self) -> None:
        self.count = 0

    def advance(self, count: int) -> None:
        self.count += count


def tree(
    files: Mapping[str, bytes] | None = None,
    *,
    item: str = "acme/mini",
    revision: str = "r1",
    pointer: bool = True,
) -> Tree:
    """A tree in memory: a model with a pointer, or files without one."""
    source = Counting()
    entries = {
        path: source.add("application/octet-stream", data) for path, data in (FILES if files is None else files).items()
    }
    root = source.add("application/vnd.oci.image.manifest.v1+json", item.encode())
    if not pointer:
        return Tree(item, "files", "", entries, root, source)
    to = (f"{item}/refs/main", revision.encode())
    return Tree(item, "models", f"{item}/{revision}", entries, root, source, to)


def damage(form: Tree, path: str, data: bytes) -> None:
    """From now on the source gives other bytes for one file."""
    assert isinstance(form.source, Counting)
    form.source.damaged[form.entries[path].digest] = data


def flipped(data: bytes, position: int) -> bytes:
    """`data` with one bit of one byte changed."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def opened(form: Tree) -> int:
    assert isinstance(form.source, Counting)
    return form.source.opened


def carry(destination: TreeDestination, form: Tree) -> list[Change]:
    """The whole way, which must go well."""
    plan = destination.plan(form)
    assert destination.transfer([form]) == {}
    return list(destination.publish(form, plan))


def outcomes(changes: list[Change]) -> set[ChangeOutcome]:
    return {change.outcome for change in changes}


class DestinationSuite:
    """Inherited by one test class for each destination, which gives the fixture `place`."""

    @pytest.fixture
    def run(self) -> Run:
        return Run(Bytes(), jobs=3)

    def test_plan_of_an_empty_place_writes_nothing(self, place: Place, run: Run) -> None:
        form = tree()
        plan = place.make(run).plan(form)
        assert outcomes(list(plan)) == {ChangeOutcome.WRITE}
        assert {change.name for change in plan} == {*FILES, "acme/mini/refs/main"}
        digests = {change.name: change.digest for change in plan}
        assert digests["config.json"] == form.entries["config.json"].digest
        assert {change.previous for change in plan} == {""}
        assert {change.at for change in plan} == {place.at("acme/mini/r1"), place.at("")}
        assert place.listing("models") == set()
        assert opened(form) == 0

    def test_files_arrive_byte_for_byte_and_the_pointer_last(self, place: Place, run: Run) -> None:
        form = tree()
        destination = place.make(run)
        plan = destination.plan(form)
        assert destination.transfer([form]) == {}
        assert place.read("models", "acme/mini/refs/main") is None
        changes = list(destination.publish(form, plan))
        assert outcomes(changes) == {ChangeOutcome.WRITTEN}
        assert changes[-1].name == "acme/mini/refs/main"
        assert place.read("models", "acme/mini/refs/main") == b"r1"
        for path, data in FILES.items():
            assert place.read("models", f"acme/mini/r1/{path}") == data
        assert len(place.listing("models")) == len(FILES) + 1

    def test_progress_counts_each_byte_once(self, place: Place) -> None:
        total = sum(map(len, FILES.values())) + len("r1")
        for _ in range(2):
            progress = Bytes()
            carry(place.make(Run(progress)), tree())
            assert progress.count == total
        for _ in range(2):
            progress = Bytes()
            carry(place.make(Run(progress)), tree(pointer=False))
            assert progress.count == total - len("r1")

    def test_again_all_is_present_and_nothing_is_read(self, place: Place, run: Run) -> None:
        carry(place.make(run), tree())
        again = tree()
        assert outcomes(carry(place.make(run), again)) == {ChangeOutcome.PRESENT}
        assert opened(again) == 0

    def test_files_without_a_pointer_appear_in_publish(self, place: Place, run: Run) -> None:
        form = tree({"k3s/v1/k3s": b"binary", "top": b"level"}, pointer=False)
        destination = place.make(run)
        plan = destination.plan(form)
        assert destination.transfer([form]) == {}
        assert place.listing("files") == set()
        assert outcomes(list(destination.publish(form, plan))) == {ChangeOutcome.WRITTEN}
        assert place.listing("files") == {"k3s/v1/k3s", "top"}
        assert outcomes(carry(place.make(run), form)) == {ChangeOutcome.PRESENT}

    def test_a_new_revision_moves_the_pointer_only(self, place: Place, run: Run) -> None:
        carry(place.make(run), tree())
        newer = tree({"config.json": b"new"}, revision="r2")
        plan = place.make(run).plan(newer)
        moved = [change for change in plan if change.outcome is ChangeOutcome.MOVED]
        assert [change.name for change in moved] == ["acme/mini/refs/main"]
        assert (moved[0].previous, moved[0].digest) == (Digest.of(b"r1"), Digest.of(b"r2"))
        changes = carry(place.make(run), newer)
        assert outcomes(changes) == {ChangeOutcome.WRITTEN}
        assert place.read("models", "acme/mini/refs/main") == b"r2"
        assert place.read("models", "acme/mini/r1/config.json") == FILES["config.json"]

    @pytest.mark.parametrize("pointer", [True, False], ids=["model", "files"])
    def test_other_content_is_moved_with_both_digests(self, place: Place, run: Run, pointer: bool) -> None:
        key = "acme/mini/r1/config.json" if pointer else "config.json"
        place.plant("models" if pointer else "files", key, b"someone else's")
        form = tree(pointer=pointer)
        destination = place.make(run)
        plan = destination.plan(form)
        [moved] = [change for change in plan if change.outcome is ChangeOutcome.MOVED]
        assert moved.name == "config.json"
        assert moved.previous == Digest.of(b"someone else's")
        assert moved.digest == Digest.of(FILES["config.json"])
        assert destination.transfer([form]) == {}
        assert place.read(form.bucket, key) == b"someone else's"
        assert outcomes(list(destination.publish(form, plan))) == {ChangeOutcome.WRITTEN}
        assert place.read(form.bucket, key) == FILES["config.json"]

    def test_a_restore_moves_nothing_back(self, place: Place, run: Run) -> None:
        carry(place.make(run), tree())
        older = tree({"config.json": b"old"}, revision="r0")
        destination = place.make(replace(run, add_only=True))
        changes = carry(destination, older)
        assert {change.name: change.outcome for change in changes} == {
            "config.json": ChangeOutcome.WRITTEN,
            "acme/mini/refs/main": ChangeOutcome.REFUSED,
        }
        assert place.read("models", "acme/mini/refs/main") == b"r1"
        assert place.read("models", "acme/mini/r0/config.json") == b"old"

    def test_a_name_that_a_later_delivery_wrote_stays(self, place: Place, run: Run) -> None:
        for form, name in ((tree(), "acme/mini/refs/main"), (tree(pointer=False), "config.json")):
            changes = {change.name: change for change in carry(place.make(run), form)}
            named = changes[name]
            place.plant(form.bucket, name, b"later")
            later = Precedence({(named.at, name): "delivery 1 of stream 'side'"})
            for deep in (False, True):
                done = carry(place.make(replace(run, precedence=later, deep=deep)), form)
                [refused] = [change for change in done if change.outcome is ChangeOutcome.REFUSED]
                assert (refused.name, "which was accepted later" in refused.reason) == (name, True)

    def test_a_file_that_this_delivery_published_is_repaired_only_on_request(self, place: Place, run: Run) -> None:
        form = tree(pointer=False)
        named = next(change for change in carry(place.make(run), form) if change.name == "config.json")
        place.plant(form.bucket, "config.json", b"changed")
        settled = Precedence(settled=frozenset({(named.at, named.name)}))
        for deep, outcome in ((False, ChangeOutcome.REFUSED), (True, ChangeOutcome.WRITTEN)):
            done = carry(place.make(replace(run, precedence=settled, deep=deep)), form)
            assert {change.outcome for change in done if change.name == "config.json"} == {outcome}

    def test_what_changed_since_the_plan_is_not_overwritten(self, place: Place, run: Run) -> None:
        form = tree(pointer=False)
        destination = place.make(run)
        plan = destination.plan(form)
        place.plant("files", "config.json", b"meanwhile")
        changes = {change.name: change for change in destination.publish(form, plan)}
        assert changes["config.json"].outcome is ChangeOutcome.FAILED
        assert "changed-meanwhile" in changes["config.json"].reason
        assert place.read("files", "config.json") == b"meanwhile"

    @pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
    @pytest.mark.parametrize("where", ["first", "last"])
    def test_a_flipped_byte_shows_nothing(self, place: Place, run: Run, path: str, where: str) -> None:
        form = tree()
        damage(form, path, flipped(FILES[path], 0 if where == "first" else -1))
        destination = place.make(run)
        plan = destination.plan(form)
        [error] = destination.transfer([form]).values()
        assert isinstance(error, IntegrityError)
        assert error.code == "digest-mismatch"
        assert place.read("models", f"acme/mini/r1/{path}") is None
        # Even a stage that goes on in spite of it gets no pointer.
        changes = {change.name: change for change in destination.publish(form, plan)}
        assert changes[path].outcome is ChangeOutcome.FAILED
        assert changes["acme/mini/refs/main"].outcome is ChangeOutcome.FAILED
        assert place.read("models", "acme/mini/refs/main") is None
        assert place.read("models", f"acme/mini/r1/{path}") is None

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (FILES["model.safetensors"][:-1], "truncated"),
            (b"", "truncated"),
            (FILES["model.safetensors"] + b"x", "oversized"),
        ],
        ids=["short", "nothing", "long"],
    )
    def test_a_wrong_length_shows_nothing(self, place: Place, run: Run, data: bytes, code: str) -> None:
        form = tree(pointer=False)
        damage(form, "model.safetensors", data)
        changes = {change.name: change for change in carry(place.make(run), form)}
        assert changes["model.safetensors"].outcome is ChangeOutcome.FAILED
        assert code in changes["model.safetensors"].reason
        assert place.read("files", "model.safetensors") is None
        assert changes["config.json"].outcome is ChangeOutcome.WRITTEN

    def test_an_interrupted_run_is_finished_by_the_next(self, place: Place, run: Run) -> None:
        form = tree()
        assert isinstance(form.source, Counting)
        form.source.fails_after = 2
        [error] = place.make(run).transfer([form]).values()
        assert error.code == "cut"
        assert place.read("models", "acme/mini/refs/main") is None
        form.source.fails_after = None
        before = opened(form)
        assert outcomes(carry(place.make(run), form)) <= {ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT}
        assert opened(form) - before <= len(FILES)
        assert place.read("models", "acme/mini/refs/main") == b"r1"
        assert len(place.listing("models")) == len(FILES) + 1

    def test_one_broken_item_does_not_stop_the_others(self, place: Place, run: Run) -> None:
        broken, good = tree(item="acme/broken"), tree(item="acme/good")
        damage(broken, "config.json", b"x")
        destination = place.make(run)
        plan = destination.plan(good)
        failed: Mapping[str, AirgapError] = destination.transfer([broken, good])
        assert set(failed) == {"acme/broken"}
        assert outcomes(list(destination.publish(good, plan))) == {ChangeOutcome.WRITTEN}

    def test_colliding_items_are_refused_before_anything_is_written(self, place: Place, run: Run) -> None:
        one = tree({"tools/k3s": b"1", "other": b"1"}, item="one", pointer=False)
        two = tree({"tools/k3s": b"2"}, item="two", pointer=False)
        three = tree({"tools/k3s/sub": b"3"}, item="three", pointer=False)
        for other, code in ((two, "key-collision"), (three, "key-conflict")):
            with pytest.raises(InputError) as caught:
                place.make(run).transfer([one, other])
            assert caught.value.code == code
        assert place.listing("files") == set()

    @pytest.mark.parametrize("key", ["a//b", "/lead", "back\\slash", "s" * 256, "a/../b", "x\ny"])
    def test_keys_that_a_store_would_change_are_refused(self, place: Place, run: Run, key: str) -> None:
        with pytest.raises(InputError, match="bad-path"):
            place.make(run).plan(tree({key: b"1", "good": b"2"}, pointer=False))
        assert place.listing("files") == set()

    @pytest.mark.parametrize(("there", "new"), [("a/b", "a/b/c"), ("a/b/c", "a/b"), ("a", "a/b/c")])
    def test_file_beside_folder_is_refused(self, place: Place, run: Run, there: str, new: str) -> None:
        place.plant("files", there, b"1")
        with pytest.raises(InputError, match="key-conflict"):
            place.make(run).plan(tree({new: b"2"}, pointer=False))

    @pytest.mark.parametrize("deep", [False, True], ids=["shallow", "deep"])
    def test_inspect_finds_good_missing_and_changed(self, place: Place, run: Run, deep: bool) -> None:
        changes = carry(place.make(run), tree())
        destination = place.make(run)
        before = destination.inspect(changes, deep=deep)
        assert [finding.state for finding in before] == [State.GOOD] * len(changes)
        place.remove("models", "acme/mini/r1/empty")
        place.plant("models", "acme/mini/r1/config.json", b"tampered")
        place.plant("models", "acme/mini/refs/main", b"r9")
        place.plant("models", "acme/mini/r1/1_Pooling/more", b"smuggled")
        place.plant("models", "acme/other/r1/config.json", b"another item's")
        found = destination.inspect(changes, deep=deep)
        assert {(finding.name, finding.state) for finding in found} == {
            ("empty", State.MISSING),
            ("config.json", State.CHANGED),
            ("acme/mini/refs/main", State.CHANGED),
            ("1_Pooling/config.json", State.GOOD),
            ("1_Pooling/same.json", State.GOOD),
            ("model.safetensors", State.GOOD),
            ("späte Änderung.txt", State.GOOD),
        }

    def test_a_finding_names_both_digests(self, place: Place, run: Run) -> None:
        changes = carry(place.make(run), tree({"one": b"1"}))
        place.plant("models", "acme/mini/r1/one", b"2")
        finding = place.make(run).inspect(changes, deep=True)[0]
        assert (finding.expected, finding.got) == (Digest.of(b"1"), Digest.of(b"2"))

    def test_everything_inside_is_listed_whoever_brought_it(self, place: Place, run: Run) -> None:
        assert [one for one in place.make(run).contents(()) if one.problem is None] == []
        changes = carry(place.make(run), tree({"one": b"1"}))
        carry(place.make(run), tree({"top": b"2"}, item="files", pointer=False))
        place.plant("models", "acme/other/r1/config.json", b"another's")
        place.plant("files", "deep/er", b"another's, too")
        destination = place.make(run)
        listed = list(destination.contents(()))
        assert {spot("tree", change) for change in changes} <= {(one.at, one.name) for one in listed}
        assert sorted(one.name for one in listed) == [
            "acme/mini/r1/one", "acme/mini/refs/main", "acme/other/r1/config.json", "deep/er", "top",
        ]  # fmt: skip
        addresses = {one.name: destination.address(one.at, one.name) for one in listed}
        assert addresses["acme/other/r1/config.json"] == Digest.of(b"another's")
        assert destination.address(listed[0].at, "nothing") == ""

    def test_what_a_restore_refused_is_compared_like_everything_else(self, place: Place, run: Run) -> None:
        carry(place.make(run), tree())
        older = tree({"one": b"1"}, revision="r0")
        changes = carry(place.make(replace(run, add_only=True)), older)
        found = place.make(run).inspect(changes, deep=False)
        assert [finding.state for finding in found] == [State.GOOD, State.CHANGED]

    def test_what_a_delta_omits_is_taken_from_another_key(self, place: Place, run: Run) -> None:
        weights = FILES["model.safetensors"]
        first = tree({"weights": weights, "old": b"old"})
        carry(place.make(run), first)
        omitted = first.entries["weights"]
        ours = {(place.at(first.prefix), path): str(one.digest) for path, one in first.entries.items()}
        made = place.make(replace(run, ours=ours, omitted={omitted.digest}))
        blobs = OmittedBlobs({omitted.digest: "acme/mini"}, [made], lambda _digest: {})
        made.holders = blobs.holders
        second = tree({"new": b"new"}, revision="r2")
        form = replace(second, entries={**second.entries, "weights": omitted}, source=Overlay(second.source, blobs))
        plan = made.plan(form)
        assert made.omitted(form, plan) == [(omitted, False)]
        assert made.transfer([form]) == {}
        assert outcomes(list(made.publish(form, plan))) == {ChangeOutcome.WRITTEN}
        assert place.read("models", "acme/mini/r2/weights") == weights
        assert {finding.state for finding in made.inspect(plan, deep=True)} == {State.GOOD}
        # A key that holds something else now is not taken for it.
        for revision in ("r1", "r2"):
            place.remove("models", f"acme/mini/{revision}/weights")
        place.plant("models", "acme/mini/r1/weights", b"x" * len(weights))
        again = place.make(replace(run, ours=ours, omitted={omitted.digest}))
        assert not OmittedBlobs({omitted.digest: "acme/mini"}, [again], lambda _digest: {}).has(omitted)

    def test_what_is_about_to_be_replaced_is_no_place_to_take_from(self, place: Place, run: Run) -> None:
        old, other = (tree({path: b"old"}, item=path, pointer=False) for path in ("now", "before"))
        ours = {(one.at, one.name): one.digest for one in carry(place.make(run), old)}
        omitted = old.entries["now"]
        made = place.make(replace(run, ours=ours, omitted={omitted.digest}))
        made.plan(other)
        assert OmittedBlobs({omitted.digest: "now"}, [made], lambda _digest: {}).has(omitted)
        made.plan(tree({"now": b"new"}, item="now", pointer=False))
        assert not OmittedBlobs({omitted.digest: "now"}, [made], lambda _digest: {}).has(omitted)
