"""A repository's bundles are a chain: what was packed stays, and new bundles have what is new and nothing else."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.base.progress import Silent
from airgap.content.forms import Refs
from airgap.content.graph import Descriptor
from airgap.content.item import Item
from airgap.content.lock import Lock
from airgap.kinds.git import chain
from airgap.kinds.git.graph import PASSING, git_form
from airgap.kinds.git.packer import GitPacker
from airgap.kinds.git.request import GitRequest
from airgap.net.http import Client
from airgap.store.layout import Layout
from airgap.store.memory import Memory
from airgap.tools import git_repository
from airgap.tools.git import Git
from airgap.tools.git_content import unpack_whole
from airgap.tools.git_repository import BareRepository
from tests.worlds.effort import cases
from tests.worlds.git_sources import Work, git


class Station:
    """A repository that is locked and pulled again and again into one store."""

    def __init__(self, tmp: Path, *, object_format: str = "sha1", refs: Sequence[str] = ()) -> None:
        self.tmp = tmp
        self.work = Work(tmp / "source", object_format=object_format)
        self.kind = GitPacker(tmp / "workdir", Client(zone="connected"), Silent())
        self.store = Memory()
        self.refs = tuple(refs) or ("refs/heads/*", "refs/tags/*")

    def pull(self) -> Refs:
        item = self.kind.resolve(GitRequest(url=str(self.work.path), name="thing", refs=self.refs))
        return self.pull_locked(item)

    def pull_locked(self, item: Item) -> Refs:
        root = self.kind.pack(item, self.store)
        assert self.kind.check(item, root, self.store) == []
        self.store.publish({item.name: root})
        return self.kind.form(item, root, self.store)

    def lose_work(self) -> None:
        self.kind = GitPacker(self.tmp / "another", Client(zone="connected"), Silent())


@pytest.fixture
def station(tmp_path: Path) -> Station:
    made = Station(tmp_path)
    for number in range(3):
        made.work.commit(f"file{number}", random.Random(number).randbytes(1000).hex())
    return made


def unreachable(form: Refs, folder: Path) -> set[str]:
    """The objects in a form's bundles that no ref reaches."""
    repository = BareRepository(Git(folder), folder / "all.git")
    repository.create("sha1")
    unpack_whole(form, repository, folder / "bundle")
    every = git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", cwd=repository.path).split()
    reached = git("rev-list", "--objects", "--no-object-names", *form.refs.values(), cwd=repository.path).split()
    repository.remove()
    return set(every) - set(reached)


def test_a_new_commit_is_a_bundle_of_its_own(station: Station, tmp_path: Path) -> None:
    first = station.pull()
    station.work.commit("file2", random.Random(2).randbytes(1000).hex() + "x")
    second = station.pull()
    assert second.bundles[:1] == first.bundles
    assert second.bundles[1].size < 1000 < first.bundles[0].size
    # Nothing moved: nothing is written.
    assert station.pull().bundles == second.bundles
    # What a person without airgap gets out of it.
    for number, bundle in enumerate(second.bundles):
        (tmp_path / f"{number}.bundle").write_bytes(station.store.open(bundle).read())
    git("clone", "--quiet", "--bare", tmp_path / "0.bundle", tmp_path / "out.git", cwd=tmp_path)
    git("bundle", "verify", "--quiet", tmp_path / "1.bundle", cwd=tmp_path / "out.git")
    git("fetch", "--quiet", tmp_path / "1.bundle", "+refs/*:refs/*", cwd=tmp_path / "out.git")
    assert git("rev-parse", "main", cwd=tmp_path / "out.git").strip() == station.work.oid("HEAD")


def test_branches_that_come_and_go_do_not_concern_the_first_bundle(station: Station) -> None:
    work = station.work
    work.git("branch", "merged", "HEAD~1")
    work.git("checkout", "--quiet", "-b", "topic")
    work.commit("topic", "t")
    work.git("checkout", "--quiet", "main")
    first = station.pull()
    assert [PASSING in bundle.annotations for bundle in first.bundles] == [False, True]
    # A merged branch has nothing of its own; that of the deleted one is not carried any more.
    work.git("branch", "-D", "topic", "merged")
    second = station.pull()
    assert second.bundles == first.bundles[:1]
    # A bundle of HEAD's branch builds on no other, even if another had its objects first.
    work.git("checkout", "--quiet", "-b", "feature")
    work.commit("feature", "f")
    work.git("branch", "other", work.commit("other", "o"))
    work.git("reset", "--quiet", "--hard", "HEAD~1")
    work.git("checkout", "--quiet", "main")
    third = station.pull()
    work.git("merge", "--quiet", "--no-ff", "feature", "-m", "merge")
    work.git("branch", "-D", "other")
    fourth = station.pull()
    assert third.bundles[:1] == fourth.bundles[:1] == first.bundles[:1]
    assert not any(PASSING in bundle.annotations for bundle in fourth.bundles)


def test_a_rewritten_history_leaves_the_chain(station: Station, tmp_path: Path) -> None:
    first = station.pull()
    work = station.work
    secret = work.commit("secret", "password\n")
    work.commit("after", "a")
    assert len(station.pull().bundles) == 2
    work.git("reset", "--quiet", "--hard", "HEAD~2")
    work.commit("instead", "i")
    form = station.pull()
    assert (form.bundles[0], len(form.bundles)) == (first.bundles[0], 2)
    assert not any(PASSING in bundle.annotations for bundle in form.bundles)
    assert unreachable(form, tmp_path) == set()
    assert secret not in form.refs.values()
    # So does an annotated tag that moves with each release; after the first time, nothing else goes with it.
    work.git("tag", "-a", "nightly", "-m", "1")
    station.pull()
    for number in range(2, 4):
        work.commit("night", str(number))
        work.git("tag", "--force", "-a", "nightly", "-m", str(number))
        form = station.pull()
        assert form.bundles[0] == first.bundles[0]
        assert unreachable(form, tmp_path) == set()
    assert len(form.bundles) <= 6


def test_the_store_is_enough_to_fetch_only_what_is_new(station: Station, tmp_path: Path) -> None:
    first = station.pull()
    station.work.commit("second", "x")
    station.lose_work()
    assert station.pull().bundles[:1] == first.bundles
    (repository,) = (tmp_path / "another").glob("*.git")
    packs = sorted(path.stat().st_size for path in repository.glob("objects/pack/*.pack"))
    assert len(packs) == 2
    assert packs[0] < 1500 < packs[1]


def test_an_older_state_after_a_newer_one_has_nothing_of_the_newer_one(station: Station, tmp_path: Path) -> None:
    older = station.kind.resolve(GitRequest(url=str(station.work.path), name="thing", refs=station.refs))
    station.work.commit("later", "l")
    station.pull()
    assert unreachable(station.pull_locked(older), tmp_path) == set()


class Rotten:
    """A store with one bad blob."""

    def __init__(self, store: Memory, bad: Descriptor) -> None:
        self._store, self._bad = store, bad

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def open(self, descriptor: Descriptor, offset: int = 0) -> object:
        if descriptor.digest != self._bad.digest:
            return self._store.open(descriptor, offset)
        data = bytearray(self._store.open(descriptor).read())
        data[-50] ^= 1
        return io.BytesIO(bytes(data[offset:]))


def test_a_damaged_chain_is_not_continued(station: Station) -> None:
    first = station.pull()
    station.work.commit("second", "x")
    whole = station.store
    station.store = Rotten(whole, first.bundles[0])  # type: ignore[assignment]
    form = station.pull()
    assert first.bundles[0] not in form.bundles


def test_many_links_become_one(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "MAX_LINKS", 4)
    monkeypatch.setattr(git_repository, "MAX_PACKS", 3)
    first = station.pull()
    sizes = []
    for number in range(5):
        station.work.commit("more", f"{number}\n" * 20)
        form = station.pull()
        assert form.bundles[0] == first.bundles[0]
        sizes.append(len(form.bundles))
    assert sizes == [2, 3, 4, 3, 4]
    (repository,) = (station.tmp / "workdir").glob("*.git")
    assert len(list(repository.glob("objects/pack/*.pack"))) <= 4
    # Small ones that are as large as the first together are no gain.
    station.work.commit("big", random.Random(1).randbytes(9_000))
    assert len(station.pull().bundles) == 3
    station.work.commit("more", "end")
    assert station.pull().bundles[0] == first.bundles[0]
    station.work.commit("more", "over")
    assert len(station.pull().bundles) == 2


def test_sha256(tmp_path: Path) -> None:
    station = Station(tmp_path, object_format="sha256")
    for number in range(10):
        station.work.commit(f"file{number}", f"{number}\n" * 50)
    first = station.pull()
    station.work.commit("second", "x")
    assert station.pull().bundles[:1] == first.bundles


def test_links_in_another_order_are_refused(station: Station) -> None:
    station.pull()
    station.work.commit("second", "x")
    form = station.pull()
    repository = BareRepository(Git(station.tmp / "g"), station.tmp / "g" / "r.git")
    repository.create("sha1")
    with pytest.raises(Exception, match="git-prerequisite"):
        unpack_whole(replace(form, bundles=form.bundles[::-1]), repository, station.tmp / "b")


def test_the_golden_chain_is_read(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "golden/git-chain"
    lock = Lock.decode((golden / "chain.lock.json").read_bytes(), "golden")
    shutil.copytree(golden / "store", tmp_path / "store")
    store = Layout(tmp_path / "store")
    [item], root = lock.items, dict(store.roots())["openova/chain"]
    assert GitPacker(tmp_path / "workdir", Client(zone="gap"), Silent()).check(item, root, store) == []
    form = git_form(item, root, store)
    assert [PASSING in bundle.annotations for bundle in form.bundles] == [False, False, True]
    assert unreachable(form, tmp_path / "look") == set()


@pytest.mark.parametrize("seed", range(cases(1, 25)))
def test_any_history_is_carried_whole_and_with_nothing_else(tmp_path: Path, seed: int) -> None:
    """Commits, merges, rewritten branches, deleted branches, tags that move: after each, a pull (checked in it)."""
    chance = random.Random(seed)
    station = Station(tmp_path)
    work = station.work
    work.commit("first", "1")
    for number in range(cases(6, 30)):
        _change(work, chance, number)
        work.git("checkout", "--quiet", "main")
        if chance.random() < 0.2:
            station.lose_work()
        form = station.pull()
        assert form.refs == work.refs()
        assert unreachable(form, tmp_path / "look") == set()


def _change(work: Work, chance: random.Random, number: int) -> None:
    names = [name.removeprefix("refs/heads/") for name in work.refs() if name.startswith("refs/heads/")]
    other, what = (
        chance.choice(names),
        chance.choice(["commit", "commit", "branch", "merge", "rewrite", "delete", "tag", "tree", "orphan"]),
    )
    if what in ("commit", "rewrite"):
        work.git("checkout", "--quiet", other)
    if what == "commit":
        work.commit(f"file{chance.randrange(5)}", f"{number}\n" * chance.randrange(1, 50))
    elif what == "rewrite":
        work.git("commit", "--quiet", "--amend", "--allow-empty", "-m", f"other {number}")
    elif what == "merge":
        work.git("merge", "--quiet", "--allow-unrelated-histories", "-X", "ours", other, "-m", f"m{number}")
    elif what == "delete" and other != "main":
        work.git("branch", "-D", other)
    elif what == "tag":
        work.git("tag", "--force", *chance.choice([("-a", "-m", str(number)), ()]), f"v{chance.randrange(3)}")
    elif what == "tree":
        work.git("tag", "--force", "tree", "HEAD^{tree}")
    elif what in ("branch", "orphan"):
        work.git("checkout", "--quiet", "-b" if what == "branch" else "--orphan", f"b{number}")
        work.commit("alone", f"branch {number}\n")
