"""Git repositories into a folder: nothing is forced, nothing is deleted, and an audit looks at the bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from airgap.base.errors import InputError, IntegrityError, UnreachableError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.finding import State
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.content.graph import Descriptor
from airgap.destinations.base import Inside as Listed
from airgap.destinations.base import Run
from airgap.destinations.git import GitDestination
from airgap.destinations.git.folder import FolderPlace
from airgap.destinations.git.gitea import GiteaApi
from airgap.destinations.git.place import Listing
from airgap.destinations.git.push import BATCH
from airgap.kinds.git.packer import GitPacker
from airgap.kinds.git.request import GitRequest
from airgap.net.http import Client, Retries
from airgap.resources.sovereign import GitConfig
from airgap.store.memory import Memory
from tests.parts.scripted import Answer, Scripted
from tests.worlds.effort import cases
from tests.worlds.git_sources import Work, git, refs

AT = "catalog/thing"
ORGANIZATIONS = {"example.org": "catalog"}


class Inside:
    """A folder of bare repositories, and what carries content into it."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp = tmp_path
        self.root = tmp_path / "sovereign" / "git"
        self.path = self.root / f"{AT}.git"
        self.kind = GitPacker(tmp_path / "outside", Client(zone="connected"), Silent())

    def destination(self, **more: object) -> GitDestination:
        """As a new process would make it."""
        config = GitConfig(url=str(self.root), organizations=ORGANIZATIONS)
        run = Run(Silent(), jobs=2, **more)  # type: ignore[arg-type]
        return GitDestination(config, Client(zone="gap"), self.tmp / "inside", run)

    def form(self, work: Work, *names: str, lfs: bool = False, store: Memory | None = None) -> Refs:
        """A repository, locked and packed; after what the store has of it."""
        wanted = names or ("refs/*",)
        request = GitRequest(url=str(work.path), name="thing", refs=wanted, lfs=lfs)
        item = self.kind.resolve(request)
        store = Memory() if store is None else store
        root = self.kind.pack(item, store)
        assert self.kind.check(item, root, store) == []
        store.publish({item.name: root})
        return replace(self.kind.form(item, root, store), original="example.org/thing")

    def carry(self, form: Refs, **more: object) -> list[Change]:
        """The whole way."""
        destination = self.destination(**more)
        plan = destination.plan(form)
        assert destination.transfer([form]) == {}
        return list(destination.publish(form, plan))


def verdicts(changes: Sequence[Change]) -> dict[str, ChangeOutcome]:
    return {change.name: change.outcome for change in changes}


def states(destination: GitDestination, changes: Sequence[Change]) -> dict[str, State]:
    done = [c for c in changes if c.outcome in (ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT)]
    return {one.name: one.state for one in destination.inspect(done, deep=True)}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "source")
    made.commit()
    return made


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return Inside(tmp_path)


def test_everything_arrives_and_can_be_cloned(inside: Inside, work: Work, tmp_path: Path) -> None:
    work.git("tag", "-a", "v1", "-m", "one")
    work.git("tag", "-a", "nested", "-m", "two", "v1")
    work.git("update-ref", "refs/notes/x", "HEAD")
    form = inside.form(work)
    plan = inside.destination().plan(form)
    assert set(verdicts(plan).values()) == {ChangeOutcome.WRITE}
    assert not inside.root.exists()
    done = inside.carry(form)
    assert verdicts(done) == dict.fromkeys([*work.refs(), "HEAD"], ChangeOutcome.WRITTEN)
    assert refs(inside.path) == work.refs()
    git("clone", "--quiet", inside.path, tmp_path / "clone", cwd=tmp_path)
    assert (tmp_path / "clone" / "file").read_text() == "text\n"
    assert set(states(inside.destination(), done).values()) == {State.GOOD}


def test_nothing_is_visible_before_publish(inside: Inside, work: Work) -> None:
    form = inside.form(work)
    destination = inside.destination()
    destination.plan(form)
    assert destination.transfer([form]) == {}
    assert refs(inside.path) == {}


def test_a_second_import_finds_everything_present(inside: Inside, work: Work) -> None:
    form = inside.form(work)
    first = inside.carry(form)
    ours = {(change.at, change.name): change.digest for change in first}
    assert set(verdicts(inside.carry(form)).values()) == {ChangeOutcome.PRESENT}
    assert set(verdicts(inside.carry(form, ours=ours)).values()) == {ChangeOutcome.PRESENT}
    # Nothing of the work stays behind.
    assert not list((inside.tmp / "inside").glob("*.git"))


def test_what_our_receipt_lists_is_not_unpacked_again(inside: Inside, work: Work) -> None:
    form = inside.form(work)
    ours = {(change.at, change.name): change.digest for change in inside.carry(form)}
    gone = replace(form, source=Memory())
    assert set(verdicts(inside.carry(gone, ours=ours)).values()) == {ChangeOutcome.PRESENT}


def test_a_branch_moves_forward(inside: Inside, work: Work) -> None:
    inside.carry(inside.form(work))
    old, new = work.oid("HEAD"), work.commit("second", "x")
    form = inside.form(work)
    plan = inside.destination().plan(form)
    assert [(c.previous, c.digest, c.outcome) for c in plan if c.name == "refs/heads/main"] == [
        (old, new, ChangeOutcome.MOVED)
    ]
    done = inside.carry(form)
    assert verdicts(done) == {"refs/heads/main": ChangeOutcome.WRITTEN, "HEAD": ChangeOutcome.WRITTEN}
    assert refs(inside.path) == {"refs/heads/main": new}


def test_rewritten_history_is_refused_and_other_refs_go_on(inside: Inside, work: Work) -> None:
    inside.carry(inside.form(work))
    old = work.oid("HEAD")
    work.git("commit", "--quiet", "--amend", "--message", "rewritten")
    work.git("branch", "other")
    form = inside.form(work)
    for changes in (inside.destination().plan(form), inside.carry(form)):
        found = {change.name: change for change in changes}
        assert found["refs/heads/main"].outcome is ChangeOutcome.REFUSED
        assert "fast-forward" in found["refs/heads/main"].reason
        assert found["HEAD"].outcome is ChangeOutcome.REFUSED
        assert found["refs/heads/other"].outcome in (ChangeOutcome.WRITE, ChangeOutcome.WRITTEN)
    assert refs(inside.path)["refs/heads/main"] == old


def test_an_older_state_does_not_move_a_branch_back(inside: Inside, work: Work) -> None:
    old = inside.form(work)
    new = work.commit("second", "x")
    inside.carry(inside.form(work))
    assert verdicts(inside.carry(old))["refs/heads/main"] is ChangeOutcome.REFUSED
    assert refs(inside.path)["refs/heads/main"] == new


def test_a_tag_never_moves(inside: Inside, work: Work) -> None:
    work.git("tag", "v1")
    inside.carry(inside.form(work))
    old = work.oid("v1")
    work.commit("second", "x")
    work.git("tag", "--force", "v1")
    done = inside.carry(inside.form(work))
    assert verdicts(done)["refs/tags/v1"] is ChangeOutcome.REFUSED
    assert verdicts(done)["refs/heads/main"] is ChangeOutcome.WRITTEN
    assert refs(inside.path)["refs/tags/v1"] == old


def test_a_restore_moves_nothing(inside: Inside, work: Work) -> None:
    inside.carry(inside.form(work))
    work.commit("second", "x")
    work.git("branch", "new")
    done = verdicts(inside.carry(inside.form(work), add_only=True))
    assert done["refs/heads/main"] is ChangeOutcome.REFUSED
    assert done["refs/heads/new"] is ChangeOutcome.WRITTEN


def test_refs_that_only_the_destination_has_stay_and_are_reported(inside: Inside, work: Work) -> None:
    inside.carry(inside.form(work))
    git("update-ref", "refs/heads/theirs", work.oid("HEAD"), cwd=inside.path)
    work.commit("second", "x")
    done = inside.carry(inside.form(work))
    assert "refs/heads/theirs" in refs(inside.path)
    foreign = inside.root / "catalog/deep/foreign.git"
    git("init", "--quiet", "--bare", str(foreign), cwd=inside.path)
    (inside.root / "catalog/stray").write_text("no repository")
    (inside.root / "elsewhere").mkdir()
    destination = inside.destination()
    assert list(destination.contents(())) == [
        Listed("catalog/deep/foreign"),
        Listed("catalog", "stray"),
        *(Listed(AT, name, oid) for name, oid in refs(inside.path).items()),
    ]
    assert destination.address(AT, "refs/heads/theirs") == work.oid("HEAD~")
    assert destination.address(AT, "refs/heads/none") == ""
    assert State.EXTRA not in states(destination, done).values()


def test_a_folder_in_the_way_of_a_ref_is_refused(inside: Inside, work: Work) -> None:
    work.git("branch", "a")
    work.git("branch", "b/c")
    inside.carry(inside.form(work))
    work.git("branch", "-D", "a", "b/c")
    work.git("branch", "a/x")
    work.git("branch", "b")
    done = verdicts(inside.carry(inside.form(work)))
    assert done["refs/heads/a/x"] is done["refs/heads/b"] is ChangeOutcome.REFUSED
    assert done["refs/heads/main"] is ChangeOutcome.PRESENT


def test_an_empty_repository_arrives(inside: Inside, tmp_path: Path) -> None:
    form = inside.form(Work(tmp_path / "empty"), "refs/heads/*")
    done = inside.carry(form)
    assert verdicts(done) == {"": ChangeOutcome.WRITTEN}
    assert refs(inside.path) == {}
    assert verdicts(inside.carry(form)) == {"": ChangeOutcome.PRESENT}
    assert states(inside.destination(), done) == {"": State.GOOD}


def test_more_refs_than_one_push_takes(inside: Inside, work: Work) -> None:
    count = cases(BATCH + 50, 2000)
    work.many_refs(count)
    form = inside.form(work)
    done = inside.carry(form)
    assert len(done) == count + 2
    assert set(verdicts(done).values()) == {ChangeOutcome.WRITTEN}
    assert refs(inside.path) == work.refs()
    assert set(states(inside.destination(), done).values()) == {State.GOOD}


def test_a_server_that_chooses_its_head_gets_it_first(
    inside: Inside, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    class Server(FolderPlace):
        """Chooses its default branch while it processes the first push, some time after that."""

        first_is_head = True

        def settle(self) -> None:
            seen.append(list((self.look() or Listing()).refs))

    monkeypatch.setattr("airgap.destinations.git.FolderPlace", Server)
    for name in ("a", "b", "z"):
        work.git("branch", name)
    assert set(verdicts(inside.carry(inside.form(work))).values()) == {ChangeOutcome.WRITTEN}
    work.commit("second", "x")
    work.git("branch", "later")
    inside.carry(inside.form(work))
    assert seen == [["refs/heads/main"]]
    assert refs(inside.path) == work.refs()


def test_a_head_that_the_server_may_still_move_is_not_claimed(
    inside: Inside, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy(FolderPlace):
        """Does not end processing the push."""

        def look(self, *, to_write: bool = True) -> Listing | None:
            found = super().look(to_write=to_write)
            return None if found is None else replace(found, unsettled=True)

    monkeypatch.setattr("airgap.destinations.git.FolderPlace", Busy)
    done = verdicts(inside.carry(inside.form(work)))
    assert done == {"refs/heads/main": ChangeOutcome.WRITTEN, "HEAD": ChangeOutcome.UNCONFIRMED}


def test_ids_of_another_kind_have_no_place_there(inside: Inside, work: Work, tmp_path: Path) -> None:
    inside.carry(inside.form(work))
    other = Work(tmp_path / "sha256", object_format="sha256")
    other.commit()
    with pytest.raises(UpstreamError, match="git-object-format"):
        inside.destination().plan(inside.form(other))


def test_the_head_follows(inside: Inside, work: Work) -> None:
    inside.carry(inside.form(work))
    work.git("switch", "--quiet", "--create", "develop")
    work.commit("second", "x")
    form = inside.form(work)
    plan = inside.destination().plan(form)
    assert verdicts(plan)["HEAD"] is ChangeOutcome.MOVED
    assert verdicts(inside.carry(form))["HEAD"] is ChangeOutcome.WRITTEN
    assert git("symbolic-ref", "HEAD", cwd=inside.path).strip() == "refs/heads/develop"


def test_sha256(inside: Inside, tmp_path: Path) -> None:
    work = Work(tmp_path / "sha256", object_format="sha256")
    work.commit()
    done = inside.carry(inside.form(work))
    assert set(verdicts(done).values()) == {ChangeOutcome.WRITTEN}
    assert refs(inside.path) == work.refs()


def test_what_changed_since_the_plan_is_left_alone(inside: Inside, work: Work) -> None:
    inside.carry(inside.form(work))
    new = work.commit("second", "x")
    form = inside.form(work)
    destination = inside.destination()
    plan = destination.plan(form)
    assert destination.transfer([form]) == {}
    git("fetch", "--quiet", work.path, f"{new}:refs/heads/tmp", cwd=inside.path)
    git("update-ref", "-d", "refs/heads/main", cwd=inside.path)
    (main,) = [c for c in destination.publish(form, plan) if c.name == "refs/heads/main"]
    assert main.outcome is ChangeOutcome.FAILED
    assert "changed since the plan" in main.reason


# --- content that is not what it says ------------------------------------------------------------


class Flipped(Memory):
    """A source with one flipped byte in each bundle."""

    def __init__(self, form: Refs, where: float) -> None:
        super().__init__()
        for descriptor in (*form.bundles, *form.lfs):
            data = bytearray(form.source.open(descriptor).read())
            if descriptor in form.bundles or not form.bundles:
                data[int((len(data) - 1) * where)] ^= 1
            self._blobs[descriptor.digest] = bytes(data)


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_a_flipped_byte_keeps_everything_out(inside: Inside, work: Work, where: float) -> None:
    form = inside.form(work)
    damaged = replace(form, source=Flipped(form, where))
    destination = inside.destination()
    plan = destination.plan(damaged)
    failed = destination.transfer([damaged])
    assert isinstance(failed["thing"], IntegrityError)
    assert not inside.path.exists()
    with pytest.raises(IntegrityError):
        destination.publish(damaged, plan)
    assert set(verdicts(inside.carry(form)).values()) == {ChangeOutcome.WRITTEN}


def test_a_bundle_of_other_refs_is_refused(inside: Inside, work: Work) -> None:
    form = inside.form(work)
    lying = replace(form, refs={"refs/heads/main": "b" * 40})
    destination = inside.destination()
    destination.plan(lying)
    assert isinstance(destination.transfer([lying])["thing"], IntegrityError)


def test_a_delta_builds_on_what_is_there(inside: Inside, work: Work) -> None:
    store = Memory()
    first = inside.form(work, store=store)
    inside.carry(first)
    new = work.commit("second", "x")
    form = inside.form(work, store=store)
    assert form.bundles[0] == first.bundles[0]
    delta = replace(form, source=Without(store, form.bundles[0]))
    omitted = {form.bundles[0].digest}
    # It is read whether everything is there before anything is sent.
    destination = inside.destination(omitted=omitted)
    assert destination.omitted(delta, destination.plan(delta)) == [(form.bundles[0], True)]
    # Somebody moved on inside: what the delta builds on is in the history.
    git("branch", "theirs", "main", cwd=inside.path)
    assert set(verdicts(inside.carry(delta, omitted=omitted)).values()) == {ChangeOutcome.WRITTEN}
    assert refs(inside.path) == {"refs/heads/main": new, "refs/heads/theirs": first.refs["refs/heads/main"]}
    assert not list((inside.tmp / "inside").glob("*.git"))


@pytest.mark.parametrize("there", ["nothing", "another history"])
def test_a_delta_without_what_it_builds_on_is_refused(inside: Inside, work: Work, tmp_path: Path, there: str) -> None:
    store = Memory()
    inside.form(work, store=store)
    if there == "another history":
        other = Work(tmp_path / "other")
        other.commit("else", "else\n")
        inside.carry(inside.form(other))
    before = refs(inside.path) if there != "nothing" else {}
    work.commit("second", "x")
    form = inside.form(work, store=store)
    delta = replace(form, source=Without(store, form.bundles[0]))
    destination = inside.destination(omitted={form.bundles[0].digest})
    # Nor does a plan of refs that would move stop the question: what is missing has to be known.
    assert destination.omitted(delta, destination.plan(delta)) == [(form.bundles[0], False)]
    error = destination.transfer([delta])["thing"]
    assert error.code == "omitted-missing"
    assert (refs(inside.path) if there != "nothing" else {}) == before
    # Nor is an increment taken for a whole repository, where nothing says that something of it is inside.
    alone = replace(form, bundles=form.bundles[1:])
    assert inside.destination().transfer([alone])["thing"].code == "git-prerequisite"


def test_a_delta_with_a_hole_in_it_is_refused(inside: Inside, work: Work) -> None:
    """Of three bundles the second is left out, too, but what it has never arrived."""
    store = Memory()
    first = inside.form(work, store=store)
    inside.carry(first)
    work.commit("second", "x")
    inside.form(work, store=store)
    work.commit("third", "y")
    form = inside.form(work, store=store)
    omitted = {one.digest for one in form.bundles[:2]}
    delta = replace(form, source=Without(store, *form.bundles[:2]))
    destination = inside.destination(omitted=omitted)
    assert [there for _, there in destination.omitted(delta, [])] == [False, False]
    assert destination.transfer([delta])["thing"].code == "omitted-missing"
    assert refs(inside.path) == first.refs


class Without(Memory):
    """A store that lacks blobs."""

    def __init__(self, store: Memory, *lacking: Descriptor) -> None:
        super().__init__()
        self._store, self._lacking = store, lacking

    def has(self, descriptor: Descriptor) -> bool:
        return descriptor not in self._lacking and self._store.has(descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        assert descriptor not in self._lacking
        return self._store.open(descriptor, offset)


# --- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "original",
    ["example.org/../../etc", "example.org/.git", "example.org/a.git/b", "example.org/A.GIT/b", "example.org/a\\b",
     "example.org//b", "example.org/a\nb"],
)  # fmt: skip
def test_places_that_are_none(inside: Inside, work: Work, original: str) -> None:
    form = replace(inside.form(work), original=original)
    with pytest.raises(InputError):
        inside.destination().plan(form)
    assert not inside.root.exists()


def test_what_no_key_matches_is_an_input_error(inside: Inside, work: Work) -> None:
    with pytest.raises(InputError, match="no-mapping"):
        inside.destination().plan(replace(inside.form(work), original="other.org/x"))


def test_two_items_with_one_place_are_an_input_error(inside: Inside, work: Work) -> None:
    form = inside.form(work)
    destination = inside.destination()
    destination.plan(form)
    with pytest.raises(InputError, match="git-collision"):
        destination.plan(replace(form, item="other", original="example.org/Thing"))


def test_without_organizations_names_stay(inside: Inside, work: Work, tmp_path: Path) -> None:
    config = GitConfig(url=str(inside.root), organizations={})
    destination = GitDestination(config, Client(zone="gap"), tmp_path / "inside", Run(Silent()))
    (change, _) = destination.plan(inside.form(work))
    assert change.at == "example.org/thing"


def test_something_else_in_the_place_is_refused(inside: Inside, work: Work) -> None:
    inside.path.mkdir(parents=True)
    (inside.path / "precious").write_text("x")
    with pytest.raises(UpstreamError, match="git-not-a-repository"):
        inside.destination().plan(inside.form(work))
    assert (inside.path / "precious").exists()


def test_a_link_in_the_place_is_refused(inside: Inside, work: Work, tmp_path: Path) -> None:
    git("init", "--quiet", "--bare", tmp_path / "victim.git", cwd=tmp_path)
    inside.path.parent.mkdir(parents=True)
    inside.path.symlink_to(tmp_path / "victim.git")
    with pytest.raises(UpstreamError, match="git-not-a-repository"):
        inside.destination().plan(inside.form(work))


# --- audit ---------------------------------------------------------------------------------------


def test_audit_finds_what_is_missing_and_changed(inside: Inside, work: Work) -> None:
    work.git("branch", "gone")
    work.git("branch", "moved")
    done = inside.carry(inside.form(work))
    new = work.commit("second", "x")
    git("fetch", "--quiet", work.path, f"+{new}:refs/heads/moved", cwd=inside.path)
    git("update-ref", "-d", "refs/heads/gone", cwd=inside.path)
    found = states(inside.destination(), done)
    assert found["refs/heads/gone"] is State.MISSING
    assert found["refs/heads/moved"] is State.CHANGED
    assert found["refs/heads/main"] is State.GOOD


def test_audit_finds_damaged_and_missing_objects(inside: Inside, work: Work) -> None:
    work.commit("big", os.urandom(5000))
    done = inside.carry(inside.form(work))
    (pack,) = (inside.path / "objects/pack").glob("*.pack")
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    assert states(inside.destination(), done)["refs/heads/main"] is not State.GOOD
    pack.unlink()
    assert states(inside.destination(), done)["refs/heads/main"] is not State.GOOD


def test_audit_finds_a_repository_that_is_gone(inside: Inside, work: Work) -> None:
    done = inside.carry(inside.form(work))
    inside.path.rename(inside.tmp / "away")
    assert set(states(inside.destination(), done).values()) == {State.MISSING}


# --- LFS -----------------------------------------------------------------------------------------


def lfs_line(content: bytes) -> str:
    return f"lfs/{hashlib.sha256(content).hexdigest()}"


def test_lfs_objects_arrive_and_git_lfs_finds_them(inside: Inside, work: Work, tmp_path: Path) -> None:
    content = b"weights" * 10_000
    work.lfs("weights.bin", content)
    form = inside.form(work, lfs=True)
    done = inside.carry(form)
    assert verdicts(done)[lfs_line(content)] is ChangeOutcome.WRITTEN
    assert set(verdicts(inside.carry(form)).values()) == {ChangeOutcome.PRESENT}
    git("clone", "--quiet", f"file://{inside.path}", tmp_path / "clone", cwd=tmp_path)
    git("lfs", "install", "--local", cwd=tmp_path / "clone")
    git("lfs", "pull", cwd=tmp_path / "clone")
    assert (tmp_path / "clone" / "weights.bin").read_bytes() == content
    assert set(states(inside.destination(), done).values()) == {State.GOOD}


@pytest.mark.parametrize("change", ["lacking", "more"])
def test_lfs_objects_are_exactly_those_that_the_refs_reach(inside: Inside, work: Work, change: str) -> None:
    work.lfs("weights.bin", b"w" * 1000)
    form = inside.form(work, lfs=True)
    store = form.source
    assert isinstance(store, Memory)
    more = store.add(form.lfs[0].media_type, b"nobody asked for this")
    evil = replace(form, lfs=() if change == "lacking" else (*form.lfs, more))
    destination = inside.destination()
    destination.plan(evil)
    error = destination.transfer([evil])["thing"]
    said = "is not carried" if change == "lacking" else "is carried, but no ref reaches it"
    assert (error.code, said in error.what) == ("git-wrong-ref", True)
    assert not inside.path.exists() or refs(inside.path) == {}


def test_damaged_lfs_objects_are_refused_and_leave_nothing(inside: Inside, work: Work) -> None:
    content = b"weights" * 1000
    work.lfs("weights.bin", content)
    form = inside.form(work, lfs=True)
    store = Memory()
    for descriptor in (*form.bundles, *form.lfs):
        store._blobs[descriptor.digest] = form.source.open(descriptor).read()
    store._blobs[form.lfs[0].digest] = content.replace(b"w", b"v", 1)
    bad = replace(form, source=store)
    destination = inside.destination()
    plan = destination.plan(bad)
    assert isinstance(destination.transfer([bad])["thing"], IntegrityError)
    assert [x for x in (inside.path / "lfs").rglob("*") if x.is_file()] == []
    # And refs whose LFS objects are not there are not pushed.
    with pytest.raises(UpstreamError, match="lfs-not-kept"):
        destination.publish(bad, plan)
    assert refs(inside.path) == {}


def test_audit_finds_damaged_and_missing_lfs_objects(inside: Inside, work: Work) -> None:
    content = b"weights" * 1000
    work.lfs("weights.bin", content)
    form = inside.form(work, lfs=True)
    done = inside.carry(form)
    (path,) = [x for x in (inside.path / "lfs").rglob("*") if x.is_file()]
    path.chmod(0o644)
    path.write_bytes(content[:-1] + b"!")
    assert states(inside.destination(), done)[lfs_line(content)] is State.CHANGED
    path.unlink()
    assert states(inside.destination(), done)[lfs_line(content)] is State.MISSING
    # The next import mends it.
    assert verdicts(inside.carry(form))[lfs_line(content)] is ChangeOutcome.WRITTEN


def test_a_server_that_is_down_behind_its_proxy_is_not_taken_for_one_without_an_api() -> None:
    server = Scripted(Answer(502, b"<html>nginx</html>", {"Content-Type": "text/html"}))
    http = Client({}, zone="gap", retries=Retries(attempts=2, base=0, jitter=0))
    with pytest.raises(UnreachableError, match="502"):
        GiteaApi(http, server.url, None).there()
    server.stop()


@pytest.mark.parametrize("name", [".github", "-x", "a..b", "a.", "c++", "a.wiki"])
def test_names_that_forges_have_are_taken(inside: Inside, work: Work, name: str) -> None:
    done = inside.carry(replace(inside.form(work), original=f"example.org/{name}"))
    assert set(verdicts(done).values()) == {ChangeOutcome.WRITTEN}
    assert refs(inside.root / f"catalog/{name}.git") == work.refs()
    assert set(states(inside.destination(), done).values()) == {State.GOOD}
