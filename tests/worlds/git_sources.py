"""Git repositories for tests, made by the real git and git-lfs with fixed names and times."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.parts.git_http import GitServer

ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2026-11-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "C",
    "GIT_COMMITTER_EMAIL": "c@example.org",
    "GIT_COMMITTER_DATE": "2026-11-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "0",
}


class Work:
    """A repository with a work tree at `path`."""

    def __init__(self, path: Path, *, object_format: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", f"--object-format={object_format}")

    def git(self, *args: str | Path, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
        """Runs git here; gives its stdout."""
        return git(*args, cwd=self.path, env=env, stdin=stdin)

    def commit(self, name: str = "file", content: str | bytes = "text\n") -> str:
        """Writes a file and commits it; gives the commit's id."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", f"change {name}")
        return self.oid("HEAD")

    def oid(self, name: str) -> str:
        """The object id of a name, unpeeled."""
        return self.git("rev-parse", name).strip()

    def refs(self) -> dict[str, str]:
        """All refs, unpeeled."""
        return refs(self.path)

    def lfs(self, name: str, content: bytes) -> str:
        """Commits a file that LFS keeps; gives the commit's id."""
        self.git("lfs", "install", "--local")
        self.git("lfs", "track", name)
        return self.commit(name, content)

    def many_refs(self, count: int, prefix: str = "refs/heads/many/") -> None:
        """Makes that many refs to HEAD."""
        oid = self.oid("HEAD")
        lines = "".join(f"create {prefix}{number:05} {oid}\n" for number in range(count))
        self.git("update-ref", "--stdin", stdin=lines)


def git(*args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """Runs git; gives its stdout, or fails with what it said."""
    done = subprocess.run(
        ["git", *map(str, args)],
        cwd=cwd,
        env={**os.environ, **ENVIRONMENT, **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"git {args}: {done.stderr}"
    return done.stdout


def refs(path: Path) -> dict[str, str]:
    """All refs of a repository, unpeeled."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=path).splitlines()
    return dict(line.split(" ") for line in lines)


def publish(work: Work, server: GitServer, name: str) -> str:
    """Pushes everything of a work tree to a new repository on the server; gives its URL."""
    url = server.new_repo(name)
    env = server.client_env()
    # The hook of git-lfs takes 30 ms a ref; objects are pushed below.
    work.git("push", "--quiet", "--no-verify", url, "refs/*:refs/*", env=env)
    if (work.path / ".git" / "lfs" / "objects").exists():
        work.git("config", "remote.up.url", url)
        work.git("lfs", "push", "--all", "up", "main", env=env)
    return url
