"""Git repositories into a real Gitea, with LFS and its API."""

from __future__ import annotations

import dataclasses
import secrets
import subprocess
from pathlib import Path

import pytest
import requests

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.finding import State
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.destinations.base import Run
from airgap.destinations.git import GitDestination, push
from airgap.kinds.git.packer import GitPacker
from airgap.kinds.git.request import GitRequest
from airgap.net.config import Credentials, HostConfig
from airgap.net.http import Client
from airgap.resources.sovereign import GitConfig
from airgap.store.memory import Memory
from tests.parts.gitea import Gitea
from tests.worlds.effort import cases
from tests.worlds.git_sources import Work, git
from tests.worlds.old_git import old_history

pytestmark = [pytest.mark.e2e, pytest.mark.part("git", "git-lfs", "gitea")]

CONTENT = b"weights of a model" * 20_000
IMPORTER = ("write:organization", "write:repository")


class Sovereign:
    """A Gitea, an organization of the test's own, and an importer with the least rights that are enough."""

    def __init__(self, gitea: Gitea, tmp_path: Path, scopes: tuple[str, ...] = IMPORTER) -> None:
        self.gitea = gitea
        self.tmp = tmp_path
        self.create = True
        self.org = f"org-{secrets.token_hex(4)}"
        self.places = {"example.org": self.org}
        self.rewrites: tuple[str, ...] = ()
        self.omitted: frozenset[Digest] = frozenset()
        self.store = Memory()
        self.secret = gitea.token(scopes)
        (tmp_path / "token").write_text(self.secret + "\n")
        (tmp_path / "token").chmod(0o600)
        self.kind = GitPacker(tmp_path / "outside", Client(zone="connected"), Silent())

    def destination(self, credentials: Credentials | None = None) -> GitDestination:
        """As a new process would make it."""
        host = HostConfig(credentials or Credentials(token_file=self.tmp / "token"))
        client = Client({self.gitea.url.removeprefix("http://"): host}, zone="gap")
        config = GitConfig(url=self.gitea.url, organizations=self.places, create=self.create, host=host)
        run = Run(Silent(), jobs=2, rewrites=self.rewrites, omitted=self.omitted)
        return GitDestination(config, client, self.tmp / "inside", run)

    def form(self, work: Work, *names: str, lfs: bool = False) -> Refs:
        """A repository, locked and packed, after what was packed before."""
        wanted = names or ("refs/heads/*", "refs/tags/*")
        request = GitRequest(url=str(work.path), name="thing", refs=wanted, lfs=lfs)
        item = self.kind.resolve(request)
        root = self.kind.pack(item, self.store)
        self.store.publish({item.name: root})
        return dataclasses.replace(self.kind.form(item, root, self.store), original="example.org/thing")

    def carry(self, form: Refs) -> list[Change]:
        """The whole way, which must go well until publishing."""
        destination = self.destination()
        plan = destination.plan(form)
        assert destination.transfer([form]) == {}
        return list(destination.publish(form, plan))

    def refs(self, name: str = "thing") -> dict[str, str]:
        """What a client sees."""
        url = self.gitea.git_url(self.org, name)
        lines = git("ls-remote", url, cwd=self.tmp, env=self.gitea.git_env(self.secret))
        found = dict(line.split("\t")[::-1] for line in lines.splitlines())
        return {name: oid for name, oid in found.items() if not name.endswith("^{}")}

    def head(self, name: str = "thing") -> str:
        """What HEAD names for a client."""
        url = self.gitea.git_url(self.org, name)
        lines = git("ls-remote", "--symref", url, "HEAD", cwd=self.tmp, env=self.gitea.git_env(self.secret))
        return lines.partition("\t")[0].removeprefix("ref: ")

    def repo(self, name: str = "thing") -> dict[str, object]:
        """What the API says."""
        return dict(self.gitea.api("GET", f"/repos/{self.org}/{name}"))


@pytest.fixture
def inside(gitea: Gitea, tmp_path: Path) -> Sovereign:
    return Sovereign(gitea, tmp_path)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "source")
    made.commit()
    return made


def outcomes(changes: list[Change]) -> dict[str, ChangeOutcome]:
    return {change.name: change.outcome for change in changes}


def test_everything_arrives_in_a_new_private_repository(inside: Sovereign, work: Work) -> None:
    work.git("tag", "-a", "v1", "-m", "one")
    work.git("tag", "-a", "nested", "-m", "two", "v1")
    work.git("update-ref", "refs/notes/x", "HEAD")
    work.git("update-ref", "refs/heads/feature/\U0001f469\u200d\U0001f4bb", "HEAD")
    old_history(work)
    work.git("reset", "--quiet", "--hard")
    work.lfs("weights.bin", CONTENT)
    work.git("switch", "--quiet", "--create", "develop")
    work.commit(".gitea/workflows/run.yaml", "on: push\njobs: {}\n")
    form = inside.form(work, "refs/*", lfs=True)
    plan = inside.destination().plan(form)
    assert {change.outcome for change in plan} == {ChangeOutcome.WRITE}
    done = inside.carry(form)
    assert set(outcomes(done).values()) == {ChangeOutcome.WRITTEN}
    found = inside.refs()
    assert found.pop("HEAD") == work.oid("develop")
    assert found == work.refs()
    repo = inside.repo()
    assert (repo["private"], repo["default_branch"], repo["has_actions"]) == (
        True,
        "develop",
        False,
    )
    clone = inside.tmp / "clone"
    env = inside.gitea.git_env(inside.secret)
    git(
        "clone",
        "--quiet",
        inside.gitea.git_url(inside.org, "thing"),
        clone,
        cwd=inside.tmp,
        env=env,
    )
    git("lfs", "install", "--local", cwd=clone)
    git("lfs", "pull", cwd=clone, env=env)
    assert (clone / "weights.bin").read_bytes() == CONTENT
    again = inside.carry(form)
    assert set(outcomes(again).values()) == {ChangeOutcome.PRESENT}
    findings = inside.destination().inspect(again, deep=True)
    assert {finding.state for finding in findings} == {State.GOOD}
    assert {finding.name for finding in findings} == {change.name for change in done}


def test_with_user_name_and_password(inside: Sovereign, work: Work) -> None:
    (inside.tmp / "pw").write_text(inside.gitea.password)
    (inside.tmp / "pw").chmod(0o600)
    credentials = Credentials(username=inside.gitea.username, password_file=inside.tmp / "pw")
    form = inside.form(work)
    destination = inside.destination(credentials)
    plan = destination.plan(form)
    assert destination.transfer([form]) == {}
    done = destination.publish(form, plan)
    assert set(outcomes(list(done)).values()) == {ChangeOutcome.WRITTEN}


def test_an_empty_repository(inside: Sovereign, tmp_path: Path) -> None:
    form = inside.form(Work(tmp_path / "empty"))
    done = inside.carry(form)
    assert outcomes(done) == {"": ChangeOutcome.WRITTEN}
    assert inside.repo()["empty"] is True
    assert [one.state for one in inside.destination().inspect(done, deep=True)] == [State.GOOD]


@pytest.mark.slow
def test_many_refs_in_batches(inside: Sovereign, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = cases(20, push.BATCH)
    monkeypatch.setattr(push, "BATCH", batch)
    work.many_refs(batch + 10)
    done = inside.carry(inside.form(work))
    assert set(outcomes(done).values()) == {ChangeOutcome.WRITTEN}
    found = inside.refs()
    del found["HEAD"]
    assert found == work.refs()
    # Gitea looks at pushes later, 30 refs at a time, and takes HEAD from the first branch that it sees.
    assert inside.head() == "refs/heads/main"
    repo = inside.repo()
    assert (repo["empty"], repo["default_branch"]) == (False, "main")


def test_moving_forward_and_not_back(inside: Sovereign, work: Work) -> None:
    first = inside.form(work)
    inside.carry(first)
    new = work.commit("second", "x")
    done = outcomes(inside.carry(inside.form(work)))
    assert done == {"refs/heads/main": ChangeOutcome.WRITTEN, "HEAD": ChangeOutcome.WRITTEN}
    assert outcomes(inside.carry(first))["refs/heads/main"] is ChangeOutcome.REFUSED
    assert inside.refs()["refs/heads/main"] == new


def test_a_rewritten_history_replaces_the_old_one_which_stays(inside: Sovereign, work: Work) -> None:
    work.git("tag", "v1")
    inside.carry(inside.form(work))
    old = work.oid("main")
    work.git("commit", "--quiet", "--amend", "--message", "another history")
    work.git("tag", "--force", "v1")
    form = inside.form(work)
    assert outcomes(inside.carry(form))["refs/heads/main"] is ChangeOutcome.REFUSED
    inside.rewrites = ("thing",)
    done = inside.carry(form)
    kept = {f"refs/airgap/rewritten/{old}/{name}": old for name in ("heads/main", "tags/v1")}
    assert outcomes(done) == dict.fromkeys(["refs/heads/main", "refs/tags/v1", "HEAD", *kept], ChangeOutcome.WRITTEN)
    assert inside.refs() == {"HEAD": work.oid("main"), **work.refs(), **kept}


def test_another_default_branch(inside: Sovereign, work: Work) -> None:
    inside.carry(inside.form(work))
    work.git("switch", "--quiet", "--create", "develop")
    work.commit("second", "x")
    assert outcomes(inside.carry(inside.form(work)))["HEAD"] is ChangeOutcome.WRITTEN
    assert inside.repo()["default_branch"] == "develop"


def test_the_default_branch_of_a_repository_that_was_there_empty(inside: Sovereign, work: Work) -> None:
    inside.gitea.new_org(inside.org)
    inside.gitea.new_repo(inside.org, "thing", default_branch="other")
    work.git("branch", "other")
    work.commit("second", "x")
    done = inside.carry(inside.form(work))
    assert set(outcomes(done).values()) == {ChangeOutcome.WRITTEN}, done
    assert inside.repo()["default_branch"] == "main"
    assert inside.repo()["has_actions"] is False


def test_a_head_that_the_api_cannot_move_is_reported(inside: Sovereign, work: Work) -> None:
    inside.gitea.new_org(inside.org)
    inside.gitea.new_repo(inside.org, "thing", default_branch="other")
    done = inside.carry(inside.form(work))
    assert outcomes(done) == {"refs/heads/main": ChangeOutcome.WRITTEN, "HEAD": ChangeOutcome.FAILED}
    assert "HEAD names another" in done[-1].reason


def test_a_protected_branch_fails_alone(inside: Sovereign, work: Work) -> None:
    for name in ("a", "b", "guarded", "z"):
        work.git("branch", name)
    inside.carry(inside.form(work))
    protection = {"rule_name": "guarded", "enable_push": False}
    inside.gitea.api("POST", f"/repos/{inside.org}/thing/branch_protections", protection)
    new = work.commit("second", "x")
    for name in ("a", "b", "guarded", "z"):
        work.git("branch", "--force", name, new)
    done = inside.carry(inside.form(work))
    failed = [change for change in done if change.outcome is ChangeOutcome.FAILED]
    assert [change.name for change in failed] == ["refs/heads/guarded"]
    assert "protected branch" in failed[0].reason
    found = inside.refs()
    assert {found[f"refs/heads/{name}"] for name in ("a", "b", "z", "main")} == {new}


def test_refs_of_pull_requests_are_refused_and_are_not_extra(inside: Sovereign, work: Work) -> None:
    work.git("update-ref", "refs/pull/7/head", "HEAD")
    work.git("update-ref", "refs/for/main", "HEAD")
    form = inside.form(work, "refs/heads/*", "refs/pull/*", "refs/for/*")
    done = outcomes(inside.carry(form))
    assert done["refs/pull/7/head"] is done["refs/for/main"] is ChangeOutcome.REFUSED
    assert done["refs/heads/main"] is ChangeOutcome.WRITTEN
    path = f"/repos/{inside.org}/thing"
    work.commit("topic", "x")
    body = {"branch": "topic", "content": "eA==", "message": "x", "new_branch": "topic"}
    inside.gitea.api("POST", f"{path}/contents/new", body | {"branch": "main"})
    inside.gitea.api("POST", f"{path}/pulls", {"head": "topic", "base": "main", "title": "x"})
    inside.gitea.api("POST", f"/orgs/{inside.org}/repos", {"name": "Foreign", "auto_init": True})
    listed = {(one.at, one.name) for one in inside.destination().contents([f"{inside.org}/thing"])}
    assert listed == {
        (f"{inside.org}/thing", "refs/heads/main"),
        (f"{inside.org}/thing", "refs/heads/topic"),
        (f"{inside.org}/Foreign", "refs/heads/main"),
    }


def test_audit_finds_drift(inside: Sovereign, work: Work) -> None:
    work.git("branch", "gone")
    done = inside.carry(inside.form(work))
    path = f"/repos/{inside.org}/thing"
    env = inside.gitea.git_env(inside.secret)
    work.git("push", "--quiet", inside.gitea.git_url(inside.org, "thing"), ":gone", env=env)
    body = {"content": "eA==", "message": "x", "branch": "main"}
    inside.gitea.api("POST", f"{path}/contents/new", body)
    found = {one.name: one.state for one in inside.destination().inspect(done, deep=True)}
    assert found["refs/heads/gone"] is State.MISSING
    assert found["refs/heads/main"] is State.CHANGED
    inside.gitea.api("DELETE", path)
    found = {one.name: one.state for one in inside.destination().inspect(done, deep=True)}
    assert set(found.values()) == {State.MISSING}


def test_a_delta_builds_on_what_gitea_has(inside: Sovereign, gitea: Gitea, work: Work) -> None:
    work.lfs("weights.bin", CONTENT)
    first = inside.form(work, lfs=True)
    inside.carry(first)
    work.commit("second", "x")
    work.git("tag", "-a", "v1", "-m", "one")
    form = inside.form(work, lfs=True)
    assert form.bundles[0] == first.bundles[0]
    inside.omitted = frozenset({form.bundles[0].digest, form.lfs[0].digest})
    plan = inside.destination().plan(form)
    # That an omitted blob is there is seen before anything is sent, and nothing reads it from the store.
    assert all(there for _, there in inside.destination().omitted(form, plan))
    for one in inside.omitted:
        inside.store._blobs.pop(one)
    assert set(outcomes(inside.carry(form)).values()) <= {ChangeOutcome.WRITTEN, ChangeOutcome.PRESENT}
    assert inside.refs()["refs/heads/main"] == work.oid("main")
    # A Gitea that was built anew: what the delta builds on is missing there.
    gitea.api("DELETE", f"/repos/{inside.org}/thing")
    assert not any(there for _, there in inside.destination().omitted(form, inside.destination().plan(form)))
    assert inside.destination().transfer([form])["thing"].code == "omitted-missing"
    with pytest.raises(requests.HTTPError, match="404"):
        inside.repo()


def test_missing_rights_say_so(inside: Sovereign, gitea: Gitea, work: Work) -> None:
    form = inside.form(work)
    user = gitea.new_user()
    cases = {
        "read only": gitea.token(("read:repository", "read:organization")),
        "no organizations": gitea.token(("write:repository",)),
        "somebody else": gitea.token(IMPORTER, user),
    }
    for name, token in cases.items():
        if name == "somebody else":
            gitea.new_org(inside.org)
        (inside.tmp / "token").write_text(token)
        destination = inside.destination()
        destination.plan(form)
        error = destination.transfer([form])["thing"]
        assert isinstance(error, UpstreamError), name
        assert error.code in ("git-no-rights", "git-no-organization"), name
        assert error.hint, name
        assert token not in f"{error} {error.hint}"
    (inside.tmp / "token").write_text("0" * 40)
    with pytest.raises(AirgapError) as caught:
        inside.destination().plan(form)
    assert caught.value.code == "unauthorized"


def test_a_misspelt_organization_is_refused_and_not_made(inside: Sovereign, work: Work) -> None:
    inside.create = False
    form = inside.form(work)
    with pytest.raises(UpstreamError, match="git-no-organization") as caught:
        inside.destination().plan(form)
    assert "create: true" in caught.value.hint
    error = inside.destination().transfer([form])["thing"]
    assert error.code == "git-no-organization"
    with pytest.raises(requests.HTTPError, match="404"):
        inside.gitea.api("GET", f"/orgs/{inside.org}")
    inside.gitea.new_org(inside.org)
    assert {one.outcome for one in inside.carry(form)} == {ChangeOutcome.WRITTEN}


def test_a_user_who_has_the_organizations_name(inside: Sovereign, work: Work) -> None:
    inside.gitea.new_user(inside.org)
    form = inside.form(work)
    destination = inside.destination()
    destination.plan(form)
    error = destination.transfer([form])["thing"]
    assert error.code == "git-no-organization"
    assert "already exists" in error.what


def test_a_renamed_repository_is_refused(inside: Sovereign, work: Work) -> None:
    inside.carry(inside.form(work))
    inside.gitea.api("PATCH", f"/repos/{inside.org}/thing", {"name": "renamed"})
    work.commit("second", "x")
    with pytest.raises(UpstreamError, match="git-redirected"):
        inside.destination().plan(inside.form(work))
    assert inside.refs("renamed")["refs/heads/main"] != work.oid("HEAD")


def test_an_archived_repository_is_refused(inside: Sovereign, work: Work) -> None:
    inside.carry(inside.form(work))
    inside.gitea.api("PATCH", f"/repos/{inside.org}/thing", {"archived": True})
    with pytest.raises(UpstreamError, match="archived"):
        inside.destination().plan(inside.form(work))


@pytest.mark.parametrize(
    "original",
    ["example.org/a/b", "example.org/a.wiki", "example.org/c++", "example.org/-", "example.org/" + "x" * 101],
)
def test_names_that_gitea_cannot_have(inside: Sovereign, work: Work, original: str) -> None:
    form = dataclasses.replace(inside.form(work), original=original)
    with pytest.raises(InputError, match="bad-place") as caught:
        inside.destination().plan(form)
    assert f"{original}: ORGANIZATION/NAME" in caught.value.hint


def test_a_name_that_gitea_cannot_have_gets_another(inside: Sovereign, work: Work) -> None:
    inside.places = {"example.org": "nowhere", "example.org/a.wiki": f"{inside.org}/-a..wiki-"}
    assert set(
        outcomes(inside.carry(dataclasses.replace(inside.form(work), original="example.org/a.wiki"))).values()
    ) == {ChangeOutcome.WRITTEN}
    assert inside.refs("-a..wiki-")["refs/heads/main"] == work.oid("main")


def test_sha256_where_the_server_can(inside: Sovereign, tmp_path: Path) -> None:
    other = Work(tmp_path / "other")
    other.commit()
    inside.carry(dataclasses.replace(inside.form(other), original="example.org/other"))
    work = Work(tmp_path / "sha256", object_format="sha256")
    work.commit()
    form = inside.form(work)
    destination = inside.destination()
    if subprocess.run(["git", "version"], capture_output=True, check=True).stdout.split()[2] < b"2.42":
        with pytest.raises(UpstreamError, match="git-object-format"):  # a dry run finds it, by a repository of others
            destination.plan(form)
        # Without one, the server's git is unknown until something is created.
        assert destination.transfer([form])["thing"].code == "git-object-format"
        return
    plan = destination.plan(form)
    assert destination.transfer([form]) == {}
    done = destination.publish(form, plan)
    assert set(outcomes(list(done)).values()) == {ChangeOutcome.WRITTEN}
    assert inside.refs()["refs/heads/main"] == work.oid("HEAD")


def test_two_repositories_share_an_lfs_object(inside: Sovereign, work: Work) -> None:
    work.lfs("weights.bin", CONTENT)
    form = inside.form(work, lfs=True)
    other = dataclasses.replace(form, item="other", original="example.org/other")
    for one in (form, other):
        assert set(outcomes(inside.carry(one)).values()) == {ChangeOutcome.WRITTEN}


def test_a_damaged_lfs_object_and_then_the_right_one(inside: Sovereign, work: Work) -> None:
    content = secrets.token_bytes(3 << 20)  # no other repository has it
    work.lfs("weights.bin", content)
    form = inside.form(work, lfs=True)
    store = Memory()
    for descriptor in (*form.bundles, *form.lfs):
        store._blobs[descriptor.digest] = form.source.open(descriptor).read()
    store._blobs[form.lfs[0].digest] = content[:-1] + b"!"
    bad = dataclasses.replace(form, source=store)
    destination = inside.destination()
    destination.plan(bad)
    error = destination.transfer([bad])["thing"]
    assert error.code == "digest-mismatch", error
    assert set(outcomes(inside.carry(form)).values()) == {ChangeOutcome.WRITTEN}
