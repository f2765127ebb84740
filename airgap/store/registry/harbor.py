"""`Harbor`: what Harbor's own API says about projects, names and accessories. It writes nothing, and deletes
only what an approved prune plan lists.

`/v2` hides what a project policy blocks, has no list of repositories for a robot, and does not tell a missing project
from a missing right. Source: /api/v2.0 of Harbor, and the actual answers of Harbor 2.15.2.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, NotFoundError, RaceError, UpstreamError
from airgap.net.credentials import Login
from airgap.net.faults import server_words
from airgap.net.http import SUCCESS, Client, Fixed, Response
from airgap.net.origin import redact

API = "api/v2.0"
PAGE = 100
"""Entries of a page. Harbor answers 422 to a larger number."""
MAX_LISTED = 200_000
"""Entries of a list that are kept in memory."""
MAX_LISTINGS = 3
"""Times that a list is read while others write: what is pushed meanwhile moves entries to another page."""
BLOCKING = {
    "prevent_vul": "Prevent vulnerable images from running",
    "enable_content_trust_cosign": "Cosign",
    "enable_content_trust": "Notation",
}
"""Settings of a project that forbid reading images, as Harbor's page names them."""
JSON = "application/json"

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class System:
    """What Harbor says of itself. Without a login that it accepts, `version` is `""`."""

    version: str
    read_only: bool
    creators: str
    """Who may create projects: `everyone` or `adminonly`; `""` if it does not say."""


@dataclass(frozen=True, slots=True)
class HarborProject:
    """A project. `proxy` is true for a cache of another registry, which refuses pushes."""

    name: str
    proxy: bool
    blocking: tuple[str, ...]
    """The settings that forbid reading images, as Harbor's page names them."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Bytes used in a project, and how many it may use: -1 without a limit."""

    used: int
    limit: int

    @property
    def room(self) -> int | None:
        """Bytes left; `None` without a limit."""
        return None if self.limit < 0 else max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Accessory:
    """A manifest that is attached to an artifact. `kind` is Harbor's: `signature.cosign`, `subject.accessory`, …"""

    digest: Digest
    kind: str


@dataclass(frozen=True, slots=True)
class HarborArtifact:
    """A manifest or index. Harbor lists accessories, and untagged children of indexes, only below others."""

    repository: str
    """With the project, as `/v2` has it."""
    digest: Digest
    tags: frozenset[str]
    immutable: frozenset[str]
    """Those of `tags` that may not be moved."""
    children: frozenset[Digest]
    accessories: tuple[Accessory, ...]


class Harbor:
    """The API at `origin` (`https://host[:port]`), asked with the login of the registry. Thread-safe.

    Every method but `there` and `sick` raises `UpstreamError`: `no-rights` names the permission that the account lacks.
    """

    def __init__(self, http: Client, origin: str, login: Login | None, who: str) -> None:
        self._http = http
        self._url = f"{origin}/{API}"
        self._auth = None if login is None else Fixed(login.header)
        self._who = who
        self._there: bool | None = None
        self._lock = threading.Lock()

    def there(self) -> bool:
        """True if the registry is a Harbor. Asked once, without a login: then no password goes to another service.

        A path that is not the API's gets a web page with 200 from Harbor, too. No answer counts as no Harbor for now.
        """
        with self._lock:
            if self._there is None:
                try:
                    answer = self._http.request("GET", f"{self._url}/systeminfo", expect=None, attempts=1)
                    if answer.status >= 500:
                        return False
                    document = answer.json() if answer.status == 200 and answer.content_type == JSON else None
                except UpstreamError:
                    return False
                self._there = isinstance(document, dict) and isinstance(document.get("auth_mode"), str)
            return self._there

    def sick(self) -> Sequence[str]:
        """The names of its parts that do not work, by its own account (`registry`, `database`); empty if it is silent.

        The status of the answer is 200 even then.
        """
        try:
            answer = self._http.request("GET", f"{self._url}/health", expect=(200,), attempts=1)
            parts = answer.json().get("components") or []
            return [str(one["name"]) for one in parts if one.get("status") != "healthy"]
        except (UpstreamError, AttributeError, KeyError, TypeError):
            return []

    def system(self) -> System:
        """What it says of itself to this account."""
        found = self._document("systeminfo", "")
        restriction = found.get("project_creation_restriction")
        return System(
            str(found.get("harbor_version") or ""),
            found.get("read_only") is True,
            restriction if isinstance(restriction, str) else "",
        )

    # projects

    def has_project(self, name: str) -> bool:
        """True if the project exists. Any account that can log in may ask this, whatever its rights are."""
        url = f"{self._url}/projects?{urlencode({'project_name': name})}"
        answer = self._http.request("HEAD", url, auth=self._auth, expect=None, headers=_HEADERS)
        if answer.status not in (200, 404):
            raise self._refused(answer, "")
        return answer.status == 200

    def project(self, name: str) -> HarborProject:
        """A project. Needs project:read."""
        found = self._document(f"projects/{quote(name, safe='')}", "project:read")
        metadata = found.get("metadata")
        on = [key for key in BLOCKING if isinstance(metadata, dict) and metadata.get(key) == "true"]
        proxy = isinstance(found.get("registry_id"), int) and found["registry_id"] > 0
        return HarborProject(name, proxy, tuple(BLOCKING[key] for key in on))

    def quota(self, name: str) -> Quota:
        """How much of a project's storage is used. Needs project:read."""
        path = f"projects/{quote(name, safe='')}/summary"
        found = self._document(path, "project:read").get("quota") or {}
        try:
            used, limit = found["used"]["storage"], found["hard"]["storage"]
            if not (isinstance(used, int) and isinstance(limit, int)):
                raise TypeError
        except (KeyError, TypeError) as error:
            raise self._unexpected(path, "no numbers of bytes") from error
        return Quota(used, limit)

    # names

    def repositories(self, project: str) -> list[str]:
        """The repositories of a project, each with the project's name. Needs repository:list."""
        path = f"projects/{quote(project, safe='')}/repositories"
        return sorted(self._listed(path, {}, "repository:list", lambda one: _text(one, "name"), lambda one: one))

    def artifacts(self, project: str) -> list[HarborArtifact]:
        """Everything in a project, in one list. Needs artifact:list, tag:list and accessory:list."""
        path = f"projects/{quote(project, safe='')}/artifacts"
        needs = "artifact:list, tag:list and accessory:list"
        return self._listed(path, _WITH, needs, _artifact, lambda one: (one.repository, one.digest))

    def size(self, project: str) -> int:
        """The number of entries of `artifacts`. Needs artifact:list."""
        path = f"projects/{quote(project, safe='')}/artifacts"
        return self._page(path, self._get(f"{path}?page_size=1", "artifact:list"))[1]

    def artifact(self, repository: str, wanted: str) -> HarborArtifact:
        """What a tag or digest names in a repository. Needs artifact:read. Raises `NotFoundError`."""
        path = _artifact_path(repository, wanted)
        found = self._document(f"{path}?{urlencode(_WITH)}", "artifact:read")
        return self._read(path, found, lambda one: _artifact({"repository_name": repository, **one}))

    # deleting

    def delete_tag(self, repository: str, digest: Digest, tag: str) -> None:
        """Deletes a tag; the artifact stays. Needs tag:delete. Raises `UpstreamError` (`immutable-tag`, …)."""
        path = f"{_artifact_path(repository, digest)}/tags/{quote(tag, safe='')}"
        self._ask("DELETE", path, "tag:delete", (200, 404))

    def delete_artifact(self, repository: str, digest: Digest) -> bool:
        """Deletes an artifact, and everything attached to it. False if an index needs it. Needs artifact:delete."""
        answer = self._ask("DELETE", _artifact_path(repository, digest), "artifact:delete", (200, 404, 412))
        return answer.status != 412

    # requests

    def _document(self, path: str, needs: str) -> dict[str, Any]:
        found = self._get(path, needs).json()
        if not isinstance(found, dict):
            raise self._unexpected(path, f"{type(found).__name__}, expected an object")
        return found

    def _listed(
        self,
        path: str,
        query: Mapping[str, str],
        needs: str,
        read: Callable[[Any], _Entry],
        key: Callable[[_Entry], object],
    ) -> list[_Entry]:
        """All pages of a list, each entry once. Raises `RaceError` if others write all the time."""
        for _ in range(MAX_LISTINGS):
            found = dict[object, _Entry]()
            page, total = 0, 1
            while PAGE * page < total:
                page += 1
                asked = urlencode({**query, "page": page, "page_size": PAGE})
                entries, total = self._page(path, self._get(f"{path}?{asked}", needs))
                for entry in entries:
                    made = self._read(path, entry, read)
                    found[key(made)] = made
            if len(found) == total:
                return list(found.values())
        what = f"GET {redact(self._url)}/{path}: the list changed while it was read, {MAX_LISTINGS} times"
        hint = "another client pushes here: run the same command again"
        raise RaceError("changed-meanwhile", what, hint, side=self._http.side)

    def _page(self, path: str, answer: Response) -> tuple[list[Any], int]:
        """The entries of a page, and the number of entries that the whole list has."""
        entries, said = answer.json(), answer.headers.get("X-Total-Count") or ""
        if not isinstance(entries, list) or len(entries) > PAGE or not (said.isascii() and said.isdigit()):
            raise self._unexpected(path, f"no list of at most {PAGE} entries with its length")
        if len(said) > len(str(MAX_LISTED)) or int(said) > MAX_LISTED:
            what = f"GET {redact(self._url)}/{path}: more than {MAX_LISTED} entries"
            raise UpstreamError("endless-list", what, side=self._http.side)
        return entries, int(said)

    def _get(self, path: str, needs: str) -> Response:
        return self._ask("GET", path, needs, SUCCESS)

    def _ask(self, method: str, path: str, needs: str, expect: Collection[int]) -> Response:
        """Sends a request for which the account `needs` a permission."""
        return self._http.request(
            method,
            f"{self._url}/{path}",
            auth=self._auth,
            headers=_HEADERS,
            expect=expect,
            explain=lambda answer: self._refused(answer, needs),
        )

    def _read(self, path: str, entry: Any, read: Callable[[Any], _Entry]) -> _Entry:
        try:
            return read(entry)
        except (AirgapError, KeyError, TypeError, AttributeError) as error:
            raise self._unexpected(path, "an entry of another shape") from error

    def _unexpected(self, path: str, got: str) -> UpstreamError:
        what = f"GET {redact(self._url)}/{path.partition('?')[0]}: got {got}"
        return UpstreamError("unexpected-answer", what, "check the version of this Harbor", side=self._http.side)

    def _refused(self, answer: Response, needs: str) -> UpstreamError:
        words = server_words(answer.data, answer.content_type)
        what = f"{answer.method} {redact(answer.url)}: got {answer.status}" + (f": {words}" if words else "")
        if answer.status == 404:
            return NotFoundError("not-found", what, status=404, side=answer.side)
        if answer.status == 412 and "immutable" in words.lower():
            hint = "exempt the tag from the project's rule for immutable tags, or leave it there"
            return UpstreamError("immutable-tag", what, hint, 412, side=answer.side)
        if answer.status == 401:
            hint = "check the user name and the password, and that the account is neither expired nor disabled"
            return UpstreamError("login-failed", f"{what}: {self._who}", hint, 401, side=answer.side)
        if answer.status == 403:
            # A project that does not exist is answered so, too, except to an administrator.
            hint = f"give {self._who} the permission {needs or 'to read'} in this project"
            return UpstreamError("no-rights", what, hint, 403, side=answer.side)
        return answer.error()


_HEADERS = {"Accept": JSON, "X-Is-Resource-Name": "true"}
"""A project may be named `123`: without the second header, Harbor takes that for a number of its own."""
_WITH = {"with_tag": "true", "with_accessory": "true", "with_immutable_status": "true"}


def _artifact_path(repository: str, wanted: str) -> str:
    project, _, name = repository.partition("/")
    # nginx decodes a path once before Harbor reads it.
    path = f"projects/{quote(project, safe='')}/repositories/{quote(quote(name, safe=''), safe='')}"
    return f"{path}/artifacts/{quote(wanted, safe='')}"


def _artifact(entry: Any) -> HarborArtifact:
    tags = entry.get("tags") or []
    return HarborArtifact(
        _text(entry, "repository_name"),
        Digest(_text(entry, "digest")),
        frozenset(_text(tag, "name") for tag in tags),
        frozenset(_text(tag, "name") for tag in tags if tag.get("immutable") is True),
        frozenset(Digest(_text(one, "child_digest")) for one in entry.get("references") or []),
        tuple(Accessory(Digest(_text(one, "digest")), _text(one, "type")) for one in entry.get("accessories") or []),
    )


def _text(entry: Any, key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value
