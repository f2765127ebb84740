"""The Hugging Face Hub: which files a repository has at a commit, and their bytes.

One request of its API is used, so there is no library for it: `huggingface-hub` keeps an answer of any size in memory,
and asks with proxies and certificates of its own. Source: Hub API, "GET /api/models/{repo_id}/revision/{revision}".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, NotFoundError, UpstreamError
from airgap.base.json_fields import MAX_NUMBER, plain_complaint
from airgap.base.strict_json import parse_json
from airgap.content.graph import Opener
from airgap.net.http import Auth, Client, Response

MAX_FILES = 100_000
"""Files of a repository. The Hub recommends fewer than that."""
MAX_PATH = 1024
MAX_LICENCE = 255

_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_BLOB = re.compile(r"(?:[0-9a-f]{40})?\Z")
_KNOWN = frozenset({200, 400, 401, 403, 404})


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a commit: its path, and the digest and size in bytes that LFS gives; for others the Git blob id."""

    path: str
    lfs: Digest | None
    size: int
    blob: str


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository at a commit."""

    commit: str
    licence: str
    files: tuple[HubFile, ...]


@dataclass(frozen=True, slots=True)
class Hub:
    """An endpoint of the Hub, with one login for all requests."""

    http: Client
    endpoint: str
    auth: Auth | None

    def model(self, repo: str, revision: str) -> HubModel:
        """The files of a repository. Raises `NotFoundError`, `UpstreamError`."""
        url = f"{self.endpoint.rstrip('/')}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
        answer = self.http.request("GET", url, auth=self.auth, expect=_KNOWN)
        if answer.status != 200:
            raise self._refused(answer, repo, revision)
        return read_model(answer.data, repo)

    def opener(self, repo: str, commit: str, path: str) -> Opener:
        """Opens a file of a commit. The Hub answers with a redirect to its CDN, which gets no token."""
        url = f"{self.endpoint.rstrip('/')}/{repo}/resolve/{commit}/{quote(path)}"

        def explain(answer: Response) -> UpstreamError:
            error = answer.error()
            if answer.status not in (401, 403):
                return error
            return error.with_hint(
                f"accept the licence of {repo} in a browser, and set credentials.tokenFile in Upstreams"
            )

        return lambda offset: self.http.open_stream(url, offset, auth=self.auth, explain=explain)

    def _refused(self, answer: Response, repo: str, revision: str) -> UpstreamError:
        """The Hub says in a header what is missing, and with 401 also that a repository does not exist."""
        code = answer.headers.get("X-Error-Code") or ""
        if code == "GatedRepo":
            return UpstreamError(
                "model-gated",
                f"{repo}: the licence must be accepted first",
                f"accept it at {self.endpoint}/{repo}, and set credentials.tokenFile in Upstreams",
                answer.status,
                side="origin",
            )
        if code == "RevisionNotFound":
            return NotFoundError("no-revision", f"{repo}: no revision {revision!r:.200}", side="origin")
        said = answer.headers.get("X-Error-Message") or ""
        if code == "RepoNotFound" or (answer.status == 401 and "Invalid credentials" not in said):
            return NotFoundError(
                "no-model",
                f"{repo}: not found, or this account may not read it",
                "check the name; a private repository needs credentials.tokenFile in Upstreams",
                side="origin",
            )
        refused = answer.status in (401, 403)
        return answer.error("check the token in credentials.tokenFile in Upstreams" if refused else "")


def read_model(data: bytes, repo: str) -> HubModel:
    """An answer of the API. Raises `UpstreamError` (`bad-hub-answer`)."""

    def bad(what: str) -> AirgapError:
        return UpstreamError("bad-hub-answer", f"{repo}: {what}", side="origin")

    document = parse_json(data, "the Hub's answer", bad)
    if not isinstance(document, dict):
        raise bad("the Hub's answer is not an object")
    commit, files = document.get("sha"), document.get("siblings")
    if not isinstance(commit, str) or not _COMMIT.match(commit):
        raise bad("the Hub names no commit")
    if not isinstance(files, list) or len(files) > MAX_FILES:
        raise bad(f"the Hub lists no files, or more than {MAX_FILES}")
    return HubModel(commit, _licence(document.get("cardData"), bad), tuple(_file(one, bad) for one in files))


def _licence(card: Any, bad: Callable[[str], AirgapError]) -> str:
    """The licence in the model card; a list of several counts as none."""
    found = card.get("license") if isinstance(card, dict) else None
    if not isinstance(found, str) or not found:
        return ""
    if wrong := plain_complaint(found, MAX_LICENCE):
        raise bad(f"license: {wrong}")
    return found


def _file(value: Any, bad: Callable[[str], AirgapError]) -> HubFile:
    if not isinstance(value, dict):
        raise bad("an entry of the list of files is not an object")
    path, blob, lfs = value.get("rfilename"), value.get("blobId") or "", value.get("lfs")
    if not isinstance(path, str) or plain_complaint(path, MAX_PATH):
        raise bad(f"got the path {path!r:.200}, expected a plain text of at most {MAX_PATH} characters")
    if not isinstance(blob, str) or not _BLOB.match(blob):
        raise bad(f"{path}: got the Git blob {blob!r:.80}, expected 40 hex digits")
    if lfs is None:
        return HubFile(path, None, 0, blob)
    size = lfs.get("size") if isinstance(lfs, Mapping) else None
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_NUMBER:
        raise bad(f"{path}: got the size {size!r:.80}, expected a number of bytes")
    try:
        return HubFile(path, Digest(f"sha256:{lfs.get('sha256')!s:.80}"), size, blob)
    except AirgapError as error:
        raise bad(f"{path}: {error.what}") from error
