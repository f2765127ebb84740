"""Proof that the Git servers are real: clones, pushes, LFS, tokens, refusals."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import requests

from tests.parts.fixtures import StartGitServer
from tests.parts.git_http import GitServer
from tests.parts.gitea import Gitea
from tests.parts.need import require_part

pytestmark = pytest.mark.e2e
IDENTITY = {
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
}
# Over Git's http.postBuffer of 1 MiB, so that the push comes in chunks.
BIG = 3 << 20


def git(cwd: Path, *args: str, env: dict[str, str] | None = None) -> str:
    """Run git without the machine's own configuration."""
    own = {"HOME": str(cwd.parent), **IDENTITY, **(env or {})}
    done = subprocess.run(
        ["git", *args],
        cwd=cwd,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_repository(folder: Path) -> Path:
    """A repository with a branch, a tag, a big file and an LFS file."""
    require_part("git-lfs")
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "lfs", "install", "--local")
    git(folder, "lfs", "track", "*.bin")
    (folder / "readme").write_text("hello\n")
    (folder / "big").write_bytes(os.urandom(BIG))
    (folder / "weights.bin").write_bytes(os.urandom(100_000))
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "tag", "-a", "v1", "-m", "v1")
    return folder


def round_trip(url: str, tmp_path: Path, env: dict[str, str]) -> None:
    """Push everything, clone it, compare."""
    source = make_repository(tmp_path / "source")
    git(source, "push", "-q", url, "main", "v1", env=env)
    git(tmp_path, "clone", "-q", url, "copy", env=env)
    copy = tmp_path / "copy"
    git(copy, "lfs", "install", "--local")
    git(copy, "lfs", "pull", url, env=env)
    assert git(copy, "rev-parse", "main", "v1") == git(source, "rev-parse", "main", "v1")
    for name in ("big", "weights.bin"):
        assert (copy / name).read_bytes() == (source / name).read_bytes()


def test_git_http(git_http: GitServer, tmp_path: Path) -> None:
    round_trip(git_http.new_repo("team/project"), tmp_path, git_http.client_env())
    assert len(list(git_http.objects.iterdir())) == 1


def test_git_http_with_credentials(start_git_http: StartGitServer, tmp_path: Path) -> None:
    server = start_git_http(username="me", password="secret")
    url = server.new_repo("project")
    round_trip(url, tmp_path, server.client_env())
    assert requests.get(f"{url}/info/refs?service=git-upload-pack", timeout=10).status_code == 401


def test_lfs_refuses_wrong_content(git_http: GitServer) -> None:
    url = git_http.new_repo("project") + "/info/lfs/objects/" + "0" * 64
    assert requests.put(url, data=b"not that", timeout=10).status_code == 422
    assert list(git_http.objects.iterdir()) == []
    assert requests.get(url, timeout=10).status_code == 404


def test_gitea(gitea: Gitea, tmp_path: Path) -> None:
    org = gitea.new_org()
    token = gitea.token(["write:organization", "write:repository"])
    gitea.api("POST", f"/orgs/{org}/repos", {"name": "project", "private": True}, token=token)
    round_trip(gitea.git_url(org, "project"), tmp_path, gitea.git_env(token))
    with pytest.raises(requests.HTTPError, match="401"):
        gitea.api("GET", "/user", token="0" * 40)


def test_gitea_scopes(gitea: Gitea) -> None:
    org = gitea.new_org()
    readonly = gitea.token(["read:repository"])
    stranger = gitea.token(user=gitea.new_user())
    for token in (readonly, stranger):
        with pytest.raises(requests.HTTPError, match="403"):
            gitea.api("POST", f"/orgs/{org}/repos", {"name": "x"}, token=token)
