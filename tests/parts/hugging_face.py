"""An endpoint of the Hugging Face Hub's shape, which its real client can use as HF_ENDPOINT.

It serves folders as model repositories: small files from itself, LFS files by a redirect to a
second server under another host name, as the Hub sends clients to its CDN. The CDN notes every
credential that leaks to it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.parts.process import LOOPBACK
from tests.parts.web import PIECE, Handler, Server, send_file

# The Hub keeps binary files in LFS; by size is close enough, and makes small tests possible.
LFS_BYTES = 1_000_000
LFS_SUFFIXES = (".safetensors", ".bin", ".onnx", ".gguf")
PAGE = 1000
DATE = "2026-01-01T00:00:00.000Z"
SIGNATURE = "Signature=test&Expires=4102444800"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a commit: `oid` is Git's blob id, `sha256` is empty when it is not in LFS."""

    path: Path
    size: int
    oid: str
    sha256: str = ""
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        """What the Hub calls its content."""
        return self.sha256 or self.oid


@dataclass(slots=True)
class HubRepo:
    """A model repository: commits, and the names that point at them."""

    commits: dict[str, dict[str, HubFile]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    licence: str = "apache-2.0"
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit id names."""
        found = self.refs.get(revision) or self.tags.get(revision) or revision
        return found if found in self.commits else None


def git_blob_id(data: bytes) -> str:
    """Git's SHA-1 name of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def describe(path: Path) -> HubFile:
    """What the Hub would say about a file."""
    size = path.stat().st_size
    if size < LFS_BYTES and path.suffix not in LFS_SUFFIXES:
        return HubFile(path, size, git_blob_id(path.read_bytes()))
    hasher = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(PIECE):
            hasher.update(piece)
    digest = hasher.hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
    return HubFile(path, size, git_blob_id(pointer.encode()), digest, len(pointer))


class HuggingFace:
    """The endpoint at `url`; `cdn_url` is where LFS files come from.

    `tokens` are the tokens that are known, `allowed` those that may read gated repositories.
    """

    def __init__(self) -> None:
        """Start both servers, without any repository."""
        self.repos: dict[str, HubRepo] = {}
        self.tokens: set[str] = set()
        self.allowed: set[str] = set()
        self.page = PAGE
        self.objects: dict[str, Path] = {}
        self.requests: list[tuple[str, str]] = []
        self.cdn_requests: list[tuple[str, str]] = []
        self.leaked: list[str] = []
        self.lock = threading.Lock()
        self._server = Server(type("HubHandler", (_Hub,), {"hub": self}))
        self._cdn = Server(type("CdnHandler", (_Cdn,), {"hub": self}))
        self.url, self.host = self._server.url, self._server.host
        # Another name for loopback: a client that looks at host names sees another host.
        self.cdn_url = self._cdn.url.replace(LOOPBACK, "localhost")

    def publish(
        self,
        repo: str,
        folder: Path,
        *,
        branch: str = "main",
        tag: str = "",
        licence: str = "apache-2.0",
        gated: bool = False,
    ) -> str:
        """Make the folder's files a new commit on a branch; gives the commit's id.

        The files are served from where they are, so a later commit wants a folder of its own.
        """
        files = {
            path.relative_to(folder).as_posix(): describe(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }
        content = json.dumps({name: each.oid for name, each in files.items()})
        commit = hashlib.sha1(f"{repo}\n{content}".encode()).hexdigest()
        made = self.repos.setdefault(repo, HubRepo())
        made.commits[commit] = files
        made.refs[branch] = commit
        made.licence, made.gated = licence, gated
        if tag:
            made.tags[tag] = commit
        self.objects.update((each.sha256, each.path) for each in files.values() if each.sha256)
        return commit

    def stop(self) -> None:
        """Stop both servers."""
        self._server.stop()
        self._cdn.stop()


API = re.compile(r"/api/models/(.+?)(?:/(revision|tree|paths-info|refs)(?:/([^/]+)(?:/(.*))?)?)?")
RESOLVE = re.compile(r"/(.+?)/resolve/([^/]+)/(.+)")


class _Files(Handler):
    """What both servers do with a file: whole or from a position, HEAD or GET."""

    hub: HuggingFace

    def do_GET(self) -> None:
        raise NotImplementedError

    def do_HEAD(self) -> None:
        self.do_GET()

    def file(self, path: Path, headers: Mapping[str, str]) -> None:
        """Answer with a file's bytes."""
        size = path.stat().st_size
        start, end = 0, size
        given = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if given:
            start = int(given[1])
            end = min(size, int(given[2]) + 1) if given[2] else size
            if start >= size:
                self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
                return
        self.send_response(206 if given else 200)
        if given:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        for name, value in {"Accept-Ranges": "bytes", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command != "HEAD":
            send_file(self, path, start, end)


class _Cdn(_Files):
    def do_GET(self) -> None:
        """An LFS object by its digest, for whoever brings the signature of the redirect."""
        path, _, query = self.path.partition("?")
        digest = path.removeprefix("/objects/")
        with self.hub.lock:
            self.hub.cdn_requests.append((self.command, self.path))
            if "Authorization" in self.headers:
                self.hub.leaked.append(self.headers["Authorization"])
        if query != SIGNATURE:
            self.answer(403)
        elif digest not in self.hub.objects:
            self.answer(404)
        else:
            self.file(self.hub.objects[digest], {"ETag": f'"{digest}"'})


class _Hub(_Files):
    def do_GET(self) -> None:
        """The API, and files."""
        self._route("")

    def do_POST(self) -> None:
        """paths-info, which takes a form."""
        self._route(b"".join(self.body()).decode())

    def _route(self, form: str) -> None:
        with self.hub.lock:
            self.hub.requests.append((self.command, self.path))
        path, _, query = self.path.partition("?")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens | self.hub.allowed:
            self._error(401, "", "Invalid credentials in Authorization header")
        elif found := API.fullmatch(path):
            self._api(found, urllib.parse.parse_qs(form or query), token)
        elif found := RESOLVE.fullmatch(path):
            repo, revision, name = map(urllib.parse.unquote, found.groups())
            self._resolve(repo, revision, name, token)
        else:
            self._error(404, "", "Not found")

    def _error(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message, "Content-Type": "application/json"}
        if code:
            headers["X-Error-Code"] = code
        self.answer(status, json.dumps({"error": message}).encode(), headers)

    def _json(self, value: object, **headers: str) -> None:
        body = json.dumps(value).encode()
        self.answer(200, body, {"Content-Type": "application/json; charset=utf-8", **headers})

    def _no_repo(self, token: str) -> None:
        """Strangers are not told whether it exists."""
        if token:
            self._error(404, "RepoNotFound", "Repository not found")
        else:
            self._error(401, "RepoNotFound", "Invalid username or password.")

    # --- API -----------------------------------------------------------------------------------

    def _api(self, found: re.Match[str], query: dict[str, list[str]], token: str) -> None:
        name, what, revision, rest = (urllib.parse.unquote(each or "") for each in found.groups())
        repo = self.hub.repos.get(name)
        if repo is None:
            self._no_repo(token)
            return
        if what == "refs":
            self._json(_refs(repo))
            return
        commit = repo.commit(revision or "main")
        if commit is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what == "tree":
            self._tree(repo.commits[commit], rest, query)
        elif what == "paths-info":
            files = repo.commits[commit]
            wanted = [path for path in query.get("paths", []) if path in files]
            self._json([_entry(path, files[path]) for path in wanted])
        else:
            self._json(_info(name, repo, commit, blobs="blobs" in query))

    def _tree(self, files: dict[str, HubFile], folder: str, query: dict[str, list[str]]) -> None:
        below = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, each in files.items():
            if not path.startswith(below):
                continue
            parts = path.removeprefix(below).split("/")
            for depth in range(1, len(parts)):
                name = below + "/".join(parts[:depth])
                oid = hashlib.sha1(name.encode()).hexdigest()
                entries[name] = {"type": "directory", "path": name, "oid": oid, "size": 0}
            entries[path] = _entry(path, each)
        if query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
            entries = {n: each for n, each in entries.items() if "/" not in n.removeprefix(below)}
        start = int(query.get("cursor", ["0"])[0])
        page = list(entries.values())[start : start + self.hub.page]
        more = {}
        if start + self.hub.page < len(entries):
            following = {key: values[0] for key, values in query.items()}
            following["cursor"] = str(start + self.hub.page)
            path = self.path.partition("?")[0]
            link = f"http://{self.headers['Host']}{path}?{urllib.parse.urlencode(following)}"
            more["Link"] = f'<{link}>; rel="next"'
        self._json(page, **more)

    # --- files ---------------------------------------------------------------------------------

    def _resolve(self, name: str, revision: str, path: str, token: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._no_repo(token)
            return
        if repo.gated and token not in self.hub.allowed:
            message = f"Access to model {name} is restricted."
            self._error(403 if token else 401, "GatedRepo", message)
            return
        commit = repo.commit(revision)
        if commit is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        each = repo.commits[commit].get(path)
        if each is None:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{each.etag}"'}
        if not each.sha256:
            self.file(each.path, headers)
            return
        headers["X-Linked-Size"] = str(each.size)
        headers["X-Linked-ETag"] = f'"{each.sha256}"'
        headers["Location"] = f"{self.hub.cdn_url}/objects/{each.sha256}?{SIGNATURE}"
        self.answer(302, b"Found. Redirecting", headers)


def _refs(repo: HubRepo) -> dict[str, Any]:
    def listed(names: dict[str, str], kind: str) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in names.items()]

    return {
        "branches": listed(repo.refs, "heads"),
        "tags": listed(repo.tags, "tags"),
        "converts": [],
    }


def _entry(path: str, each: HubFile) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "file", "path": path, "size": each.size, "oid": each.oid}
    if each.sha256:
        made["lfs"] = {"oid": each.sha256, "size": each.size, "pointerSize": each.pointer_size}
    return made


def _info(name: str, repo: HubRepo, commit: str, *, blobs: bool) -> dict[str, Any]:
    siblings = []
    for path, each in repo.commits[commit].items():
        sibling: dict[str, Any] = {"rfilename": path}
        if blobs:
            sibling |= {"size": each.size, "blobId": each.oid}
            if each.sha256:
                lfs = {"sha256": each.sha256, "size": each.size, "pointerSize": each.pointer_size}
                sibling["lfs"] = lfs
        siblings.append(sibling)
    return {
        "_id": hashlib.sha1(name.encode()).hexdigest()[:24],
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0],
        "sha": commit,
        "lastModified": DATE,
        "createdAt": DATE,
        "private": False,
        "gated": "auto" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [f"license:{repo.licence}"],
        "cardData": {"license": repo.licence},
        "siblings": siblings,
    }
