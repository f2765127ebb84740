"""Git over HTTP with the real `git http-backend` and LFS: as a source, and as a destination without an API."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from airgap.base.errors import AirgapError, IntegrityError, NotFoundError, UpstreamError
from airgap.base.progress import Silent
from airgap.content.finding import State
from airgap.content.forms import Change, ChangeOutcome, Refs
from airgap.content.item import Item
from airgap.destinations.base import Run
from airgap.destinations.git import GitDestination
from airgap.kinds.git.packer import GitPacker
from airgap.kinds.git.request import GitRequest
from airgap.net.config import Credentials, HostConfig
from airgap.net.http import Client, Retries
from airgap.resources.sovereign import GitConfig
from airgap.store.memory import Memory
from tests.parts.fixtures import MakeProxy, StartGitServer
from tests.parts.git_http import GitServer
from tests.worlds.git_sources import Work, git, publish, refs
from tests.worlds.old_git import old_history

pytestmark = [pytest.mark.e2e, pytest.mark.part("git", "git-lfs")]

CONTENT = b"weights of a model" * 20_000
QUICK = Retries(attempts=3, base=0.01, longest=0.02, jitter=0)


def client(server: GitServer, tmp_path: Path, *, gap: bool = False) -> Client:
    """A client with the server's credentials in a file."""
    credentials = None
    if server.username:
        (tmp_path / "pw").write_text(server.password + "\n")
        (tmp_path / "pw").chmod(0o600)
        credentials = Credentials(username=server.username, password_file=tmp_path / "pw")
    hosts = {server.host: HostConfig(credentials, plain_http=True)}
    return Client(hosts, zone="gap" if gap else "connected", retries=QUICK)


def pack(kind: GitPacker, url: str, *, lfs: bool = False) -> tuple[Item, Refs]:
    """Locks and packs a repository."""
    item = kind.resolve(GitRequest(url=url, name="thing", lfs=lfs))
    store = Memory()
    root = kind.pack(item, store)
    assert kind.check(item, root, store) == []
    return item, kind.form(item, root, store)


def place(server: GitServer, tmp_path: Path, name: str = "inside") -> GitDestination:
    """The server as a destination, as a new process would make it."""
    made = client(server, tmp_path, gap=True)
    host = made.hosts[server.host]
    config = GitConfig(url=server.url, organizations={"example.org": "catalog"}, host=host)
    return GitDestination(config, made, tmp_path / name, Run(Silent(), jobs=2))


def carry(destination: GitDestination, form: Refs) -> list[Change]:
    """The whole way, which must go well until publishing."""
    plan = destination.plan(form)
    assert destination.transfer([form]) == {}
    return list(destination.publish(form, plan))


def outcomes(changes: Sequence[Change]) -> dict[str, ChangeOutcome]:
    return {change.name: change.outcome for change in changes}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "source")
    made.commit()
    made.git("tag", "-a", "v1", "-m", "one")
    return made


@pytest.fixture(params=["open", "password"])
def server(request: pytest.FixtureRequest, start_git_http: StartGitServer) -> GitServer:
    if request.param == "open":
        return start_git_http()
    return start_git_http(username="me", password="pass word: äöü")


@pytest.fixture
def kind(server: GitServer, tmp_path: Path) -> GitPacker:
    return GitPacker(tmp_path / "outside", client(server, tmp_path), Silent())


# --- as a source ---------------------------------------------------------------------------------


def test_a_repository_with_lfs_is_packed(server: GitServer, kind: GitPacker, work: Work) -> None:
    work.lfs("weights.bin", CONTENT)
    url = publish(work, server, "org/thing")
    item, form = pack(kind, url, lfs=True)
    assert item.refs == work.refs()
    assert item.head == "refs/heads/main"
    assert [layer.digest.hex for layer in form.lfs] == [hashlib.sha256(CONTENT).hexdigest()]
    assert form.original == f"{server.host}/org/thing"


def test_an_empty_repository(server: GitServer, kind: GitPacker) -> None:
    item, form = pack(kind, server.new_repo("empty"))
    assert (dict(item.refs), form.bundles) == ({}, ())


def test_only_what_is_new_is_fetched(server: GitServer, kind: GitPacker, work: Work) -> None:
    url = publish(work, server, "thing")
    pack(kind, url)
    server.requests.clear()
    pack(kind, url)
    # Nothing moved: the refs were listed for the lock, and nothing was fetched.
    assert [path for method, path in server.requests if method == "POST"] == ["/thing.git/git-upload-pack"]


def test_a_missing_repository(server: GitServer, kind: GitPacker) -> None:
    with pytest.raises(NotFoundError) as caught:
        kind.resolve(GitRequest(url=f"{server.url}/none.git", name="x"))
    assert caught.value.code == "git-not-found"


def test_wrong_credentials(start_git_http: StartGitServer, tmp_path: Path, work: Work) -> None:
    server = start_git_http(username="me", password="right")
    url = publish(work, server, "thing")
    right = client(server, tmp_path)
    (tmp_path / "pw").write_text("wr0ng-secret")
    for one in (right, Client({}, zone="connected")):
        with pytest.raises(UpstreamError) as caught:
            GitPacker(tmp_path / "outside", one, Silent()).resolve(GitRequest(url=url, name="x"))
        assert caught.value.code == "git-unauthorized"
        assert "wr0ng-secret" not in f"{caught.value} {caught.value.hint}"


def test_shallow_and_filtered_sources_over_http(git_http: GitServer, tmp_path: Path, work: Work) -> None:
    work.commit("second", "x")
    source = f"file://{work.path}"
    work.git("config", "uploadpack.allowFilter", "true")
    shallow, part = git_http.path("shallow"), git_http.path("part")
    git("clone", "--quiet", "--bare", "--depth=1", source, shallow, cwd=tmp_path)
    git("clone", "--quiet", "--bare", "--filter=blob:none", source, part, cwd=tmp_path)
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    for name in ("shallow", "part"):
        item = kind.resolve(GitRequest(url=f"{git_http.url}/{name}.git", name=name))
        for _ in range(2):
            with pytest.raises(AirgapError) as caught:
                kind.pack(item, Memory())
            assert name == "part" or caught.value.code == "git-incomplete"


def test_moved_since_lock(git_http: GitServer, tmp_path: Path, work: Work) -> None:
    url = publish(work, git_http, "thing")
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    item = kind.resolve(GitRequest(url=url, name="thing", refs=("refs/heads/main",)))
    old = work.oid("HEAD")
    work.git("commit", "--quiet", "--amend", "--message", "rewritten")
    work.git("push", "--quiet", "--force", url, "main", ":refs/tags/v1")
    git("gc", "--quiet", "--prune=now", cwd=git_http.path("thing"))
    with pytest.raises(UpstreamError) as caught:
        kind.pack(item, Memory())
    assert caught.value.code == "git-moved"
    assert old in caught.value.what
    assert work.oid("HEAD") in caught.value.what


def test_lfs_objects_that_lie(server: GitServer, kind: GitPacker, work: Work) -> None:
    work.lfs("weights.bin", CONTENT)
    url = publish(work, server, "thing")
    oid = hashlib.sha256(CONTENT).hexdigest()
    item = kind.resolve(GitRequest(url=url, name="thing", lfs=True))
    server.object_path(oid).write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(IntegrityError):
        kind.pack(item, Memory())
    server.object_path(oid).unlink()
    with pytest.raises(NotFoundError, match="lfs-missing"):
        kind.pack(item, Memory())


def test_lfsconfig_says_where_the_objects_are(server: GitServer, kind: GitPacker, work: Work) -> None:
    work.lfs("weights.bin", CONTENT)
    publish(work, server, "objects")
    work.commit(".lfsconfig", f"[lfs]\n\turl = {server.url}/objects.git/info/lfs\n")
    url = publish(work, server, "thing")
    server.requests.clear()
    pack(kind, url, lfs=True)
    assert ("POST", "/objects.git/info/lfs/objects/batch") in server.requests


def test_a_cut_lfs_download_goes_on(git_http: GitServer, fault_proxy: MakeProxy, tmp_path: Path, work: Work) -> None:
    work.lfs("weights.bin", CONTENT)
    url = publish(work, git_http, "thing")
    proxy = fault_proxy(git_http.url)
    kind = GitPacker(tmp_path / "outside", Client({}, zone="connected", retries=QUICK), Silent())
    proxied = url.replace(git_http.url, proxy.url)
    proxy.fault("GET", "/info/lfs/objects/", times=1, cut_at=0.5)
    item = kind.resolve(GitRequest(url=proxied, name="thing", lfs=True))
    store = Memory()
    assert kind.check(item, kind.pack(item, store), store) == []
    assert sum(rule.used for rule in proxy.rules) == 1


# --- as a destination ----------------------------------------------------------------------------


def test_everything_arrives(server: GitServer, kind: GitPacker, work: Work, tmp_path: Path) -> None:
    work.lfs("weights.bin", CONTENT)
    _, form = pack(kind, publish(work, server, "up"), lfs=True)
    form = dataclasses.replace(form, original="example.org/thing")
    server.object_path(hashlib.sha256(CONTENT).hexdigest()).unlink()
    server.new_repo("catalog/thing")
    server.requests.clear()
    destination = place(server, tmp_path)
    done = carry(destination, form)
    assert set(outcomes(done).values()) == {ChangeOutcome.WRITTEN}
    assert refs(server.path("catalog/thing")) == work.refs()
    # Objects before refs.
    paths = [path for method, path in server.requests if method in ("PUT", "POST")]
    upload = next(n for n, path in enumerate(paths) if path.endswith(form.lfs[0].digest.hex))
    push = next(n for n, path in enumerate(paths) if path.endswith("git-receive-pack"))
    assert upload < push
    env = server.client_env()
    clone = tmp_path / "clone"
    git("clone", "--quiet", f"{server.url}/catalog/thing.git", clone, cwd=tmp_path, env=env)
    git("lfs", "install", "--local", cwd=clone)
    git("lfs", "pull", cwd=clone, env=env)
    assert (clone / "weights.bin").read_bytes() == CONTENT
    assert {one.state for one in place(server, tmp_path).inspect(done, deep=True)} == {State.GOOD}
    assert set(outcomes(carry(place(server, tmp_path), form)).values()) == {ChangeOutcome.PRESENT}


def test_a_plain_server_makes_no_repositories(git_http: GitServer, work: Work, tmp_path: Path) -> None:
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    _, form = pack(kind, publish(work, git_http, "up"))
    form = dataclasses.replace(form, original="example.org/thing")
    with pytest.raises(NotFoundError) as caught:
        place(git_http, tmp_path).plan(form)
    assert "create it there first" in caught.value.hint


def test_audit_over_http(git_http: GitServer, work: Work, tmp_path: Path) -> None:
    work.lfs("weights.bin", CONTENT)
    work.git("branch", "gone")
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    _, form = pack(kind, publish(work, git_http, "up"), lfs=True)
    form = dataclasses.replace(form, original="example.org/thing")
    git_http.new_repo("catalog/thing")
    done = carry(place(git_http, tmp_path), form)
    path = git_http.path("catalog/thing")
    git("update-ref", "-d", "refs/heads/gone", cwd=path)
    git("update-ref", "refs/heads/extra", "refs/heads/main", cwd=path)
    stored = git_http.object_path(form.lfs[0].digest.hex)
    stored.write_bytes(CONTENT[:-1] + b"!")
    destination = place(git_http, tmp_path)
    found = {one.name: one.state for one in destination.inspect(done, deep=False)}
    assert found["refs/heads/gone"] is State.MISSING
    # A plain server cannot list its repositories, which is said. What receipts list is looked at all the same.
    problem, *listed = destination.contents(["catalog/thing"])
    assert problem.problem is not None
    assert problem.problem.code == "cannot-list"
    assert {one.name for one in listed} >= {"refs/heads/main", "refs/heads/extra"}
    assert found["refs/heads/main"] is State.GOOD
    assert found[f"lfs/{form.lfs[0].digest.hex}"] is State.CHANGED


def test_a_ref_that_the_server_refuses_does_not_stop_the_others(
    git_http: GitServer, work: Work, tmp_path: Path
) -> None:
    work.many_refs(20)
    work.git("branch", "protected")
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    _, form = pack(kind, publish(work, git_http, "up"))
    form = dataclasses.replace(form, original="example.org/thing")
    git_http.new_repo("catalog/thing")
    hook = git_http.path("catalog/thing") / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nif grep -q protected; then echo branch is protected >&2; exit 1; fi\n")
    hook.chmod(0o755)
    done = carry(place(git_http, tmp_path), form)
    failed = {change.name: change for change in done if change.outcome is ChangeOutcome.FAILED}
    assert list(failed) == ["refs/heads/protected"]
    assert "branch is protected" in failed["refs/heads/protected"].reason
    assert len(refs(git_http.path("catalog/thing"))) == len(work.refs()) - 1
    hook.unlink()
    assert ChangeOutcome.FAILED not in outcomes(carry(place(git_http, tmp_path), form)).values()
    assert refs(git_http.path("catalog/thing")) == work.refs()


def test_a_server_that_checks_more_strictly_is_told_what_to_allow(
    git_http: GitServer, work: Work, tmp_path: Path
) -> None:
    old_history(work)
    _, form = pack(GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent()), publish(work, git_http, "up"))
    git_http.new_repo("catalog/thing")
    git("config", "receive.fsckObjects", "true", cwd=git_http.path("catalog/thing"))
    done = carry(place(git_http, tmp_path), dataclasses.replace(form, original="example.org/thing"))
    [error] = [change.error for change in done if change.name == "refs/heads/main"]
    assert error is not None
    assert (error.code, "set receive.fsck." in error.hint) == ("git-rejected", True)


def test_answers_that_get_lost_on_the_way_do_not_matter(
    git_http: GitServer, fault_proxy: MakeProxy, work: Work, tmp_path: Path
) -> None:
    work.many_refs(600)
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    _, form = pack(kind, publish(work, git_http, "up"))
    form = dataclasses.replace(form, original="example.org/thing")
    git_http.new_repo("catalog/thing")
    proxy = fault_proxy(git_http.url)
    # The server does the work, and nobody hears of it; then a body is too large for the proxy.
    proxy.fault("POST", "git-receive-pack", times=1, lost_answer=True)
    proxy.fault("POST", "git-receive-pack", times=1, status=413)
    proxy.fault("POST", "git-receive-pack", times=1, status=504)
    config = GitConfig(url=proxy.url, organizations={"example.org": "catalog"})
    http = Client({}, zone="gap", retries=QUICK)
    done = carry(GitDestination(config, http, tmp_path / "inside", Run(Silent())), form)
    assert set(outcomes(done).values()) == {ChangeOutcome.WRITTEN}
    assert [rule.used for rule in proxy.rules] == [1, 1, 1]
    assert refs(git_http.path("catalog/thing")) == work.refs()


def test_what_a_cut_line_left_undone_is_reported_and_done_by_the_next_run(
    git_http: GitServer, fault_proxy: MakeProxy, work: Work, tmp_path: Path
) -> None:
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    _, form = pack(kind, publish(work, git_http, "up"))
    form = dataclasses.replace(form, original="example.org/thing")
    git_http.new_repo("catalog/thing")
    proxy = fault_proxy(git_http.url)
    proxy.fault("POST", "git-receive-pack", refuse=True)
    config = GitConfig(url=proxy.url, organizations={"example.org": "catalog"})
    http = Client({}, zone="gap", retries=QUICK)
    done = carry(GitDestination(config, http, tmp_path / "inside", Run(Silent())), form)
    assert set(outcomes(done).values()) == {ChangeOutcome.FAILED}
    assert "git-unreachable" in done[0].reason
    proxy.rules.clear()
    done = carry(GitDestination(config, http, tmp_path / "inside", Run(Silent())), form)
    assert set(outcomes(done).values()) == {ChangeOutcome.WRITTEN}


def test_an_lfs_server_that_forgets_is_not_believed(
    git_http: GitServer, work: Work, tmp_path: Path, fault_proxy: MakeProxy
) -> None:
    work.lfs("weights.bin", CONTENT)
    kind = GitPacker(tmp_path / "outside", client(git_http, tmp_path), Silent())
    _, form = pack(kind, publish(work, git_http, "up"), lfs=True)
    form = dataclasses.replace(form, original="example.org/thing")
    git_http.object_path(form.lfs[0].digest.hex).unlink()
    git_http.new_repo("catalog/thing")
    proxy = fault_proxy(git_http.url)
    proxy.fault("PUT", "/info/lfs/", status=200)
    config = GitConfig(url=proxy.url, organizations={"example.org": "catalog"})
    http = Client({}, zone="gap", retries=QUICK)
    destination = GitDestination(config, http, tmp_path / "inside", Run(Silent()))
    destination.plan(form)
    assert destination.transfer([form])["thing"].code == "lfs-not-kept"
    assert refs(git_http.path("catalog/thing")) == {}


KILLED = """
import sys
from pathlib import Path
from airgap.destinations.git import GitDestination
from airgap.destinations.base import Run
from airgap.kinds.git.packer import GitPacker
from airgap.net.http import Client
from airgap.base.progress import Silent
from airgap.kinds.git import GitRequest
from airgap.resources.sovereign import GitConfig
from airgap.store.memory import Memory
import dataclasses

source, url, folder = sys.argv[1:]
kind = GitPacker(Path(folder) / "outside", Client(zone="connected"), Silent())
item = kind.resolve(GitRequest(url=source, name="thing", lfs=True))
store = Memory()
form = dataclasses.replace(kind.form(item, kind.pack(item, store), store), original="example.org/thing")
inside = GitDestination(
    GitConfig(url=url, organizations={"example.org": "catalog"}),
    Client(zone="gap"),
    Path(folder) / "inside",
    Run(Silent()),
)
plan = inside.plan(form)
print("planned", flush=True)
assert inside.transfer([form]) == {}
print("transferred", flush=True)
done = inside.publish(form, plan)
print("published", *{str(change.outcome) for change in done}, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("line", "after"), [("planned", 0.02), ("transferred", 0.1), ("transferred", 0.5)])
def test_a_killed_import_is_finished_by_the_same_command(
    git_http: GitServer, work: Work, tmp_path: Path, line: str, after: float
) -> None:
    work.lfs("weights.bin", CONTENT)
    work.many_refs(1000)
    url = publish(work, git_http, "up")
    git_http.new_repo("catalog/thing")
    argv = [sys.executable, "-c", KILLED, url, git_http.url, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != line:
            assert process.poll() is None
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("published")
    assert "failed" not in done.stdout
    assert refs(git_http.path("catalog/thing")) == work.refs()
