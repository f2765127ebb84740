"""The part of Gitea's API that an import needs: check that a repository exists and is writable, create it, set HEAD.

Source: /api/swagger of Gitea 1.23, and the actual answers of 1.23.8, which the end-to-end tests check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airgap.base.errors import InputError, NotFoundError, UnreachableError, UpstreamError
from airgap.content.names import repository_complaint
from airgap.net.http import Auth, Client, RequestBody, Response

PER_PAGE = 50
"""Repositories of a page: what Gitea allows by default."""
MAX_PAGES = 10_000
"""Pages of one list."""
WAITS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between checks of `empty`, which Gitea updates some time after the push."""
SHA256_GITEA, SHA256_GIT = (1, 22), (2, 42)
"""The first versions that have repositories with SHA-256 ids. Gitea asks its git."""
_NUMBER = re.compile(r"v?(\d{1,9})\.(\d{1,9})")
_AGENT = re.compile(rb"agent=git/(\d{1,9})\.(\d{1,9})")
_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")


@dataclass(frozen=True, slots=True)
class Repo:
    """The API's description of a repository."""

    empty: bool
    default_branch: str
    has_actions: bool
    problem: str
    """Why it is not writable; `""` if it is writable."""
    object_format: str = ""
    """`sha1` or `sha256`, `""` before Gitea 1.22, which has `sha1` alone."""


def check_name(at: str) -> tuple[str, str]:
    """Organization and repository of a place. Raises `InputError` (`bad-place`) if Gitea does not allow it."""
    organization, _, name = at.partition("/")
    complaint = repository_complaint(name)
    if not _NAME.match(organization) or "/" in name:
        complaint = "expected two parts, organization/name"
    if complaint:
        raise InputError("bad-place", f"{at!r} can be no repository in Gitea: {complaint}")
    return organization, name


class GiteaApi:
    """The API below `url` (the address of Gitea itself). Thread-safe."""

    def __init__(self, client: Client, url: str, auth: Auth | None, *, create: bool = False) -> None:
        """With `create`, organizations that are missing are created together with a repository."""
        self._client = client
        self._url = f"{url}/api/v1"
        self._auth = auth
        self._create_missing = create
        self._found: set[str] = set()
        self._version: tuple[int, ...] = ()

    def there(self) -> bool:
        """True if the server is a Gitea. The request has no login, because that would need one more permission.

        A Gitea that requires a login answers so in JSON; a plain Git server does not.
        """
        answer = self._client.request("GET", f"{self._url}/version", expect=None, follow=False)
        if answer.status >= 500:
            # Not taken for a plain Git server, which has no API, until it can answer.
            hint = "the Git server is down behind its proxy: start it, then run the same command again"
            raise UnreachableError("unreachable", answer.error().what, hint, answer.status, side="destination")
        if answer.status not in (200, 401, 403) or answer.content_type != "application/json":
            return False
        document = answer.json()
        if not isinstance(document, dict):
            return False
        found = _NUMBER.match(str(document.get("version", "")))
        self._version = tuple(map(int, found.groups())) if found else ()
        return bool(document.get("version") or document.get("message"))

    def repo(self, at: str) -> Repo | None:
        """The repository, or `None` if it is missing or hidden from this account (Gitea answers the same).

        Raises `UpstreamError` (`git-redirected`) for a renamed repository: Git would write into the other repository.
        """
        answer = self._call("GET", f"/repos/{at}", None, (200, 301, 302, 307, 308, 404))
        if answer.status == 404:
            return None
        document = answer.json() if answer.status == 200 else {}
        if not isinstance(document, dict):
            what = f"{at}: got {type(document).__name__} from the server's API, expected an object"
            raise UpstreamError("unexpected-answer", what, "check that git.url is that of Gitea", side="destination")
        found = str(document.get("full_name", answer.headers.get("Location") or "another one"))
        if found.casefold() != at.casefold():
            raise UpstreamError(
                "git-redirected",
                f"{at}: renamed at the destination: got {found}, expected {at}",
                "rename it back, or map the item to its new place",
                answer.status,
                side="destination",
            )
        return read_repo(document)

    def check_organization(self, name: str) -> None:
        """Checks that an organization exists or may be created. Each is asked for once.

        Raises `UpstreamError` (`git-no-organization`). A token without read:organization cannot ask: then it counts as
        existing, and `create` will tell.
        """
        if name not in self._found and not self._create_missing and self.organization(name) is False:
            raise self._no_organization(name, "", 404)
        self._found.add(name)

    def organization(self, name: str) -> bool | None:
        """True if the organization exists and is visible to this account; `None` if the account may not ask."""
        status = self._call("GET", f"/orgs/{name}", None, (200, 403, 404)).status
        return {200: True, 404: False}.get(status)

    def check_new(self, at: str, object_format: str) -> None:
        """Checks whether a missing repository could be created, as far as nothing has to be created to learn it.

        Raises `UpstreamError` (`git-no-organization`, `git-object-format`), `InputError` (`bad-place`).
        """
        self.check_organization(check_name(at)[0])
        if object_format == "sha1":
            return
        gitea, git = self._version, self._git_version()
        if (gitea and gitea < SHA256_GITEA) or (git and git < SHA256_GIT):
            raise _no_sha256(at, f"it is Gitea {_spelt(gitea)} with git {_spelt(git)}")

    def _git_version(self) -> tuple[int, ...]:
        """The version of the server's git, as it greets clients of any repository; empty if none can be seen."""
        answer = self._call("GET", "/repos/search?limit=1", None, (200, 401, 403))
        document = answer.json() if answer.status == 200 else {}
        data = document.get("data") if isinstance(document, dict) else None
        at = data[0].get("full_name") if isinstance(data, list) and data and isinstance(data[0], dict) else None
        if not isinstance(at, str) or not re.fullmatch(r"[\w.-]+/[\w.-]+", at, re.ASCII):
            return ()
        greeting = self._client.request(
            "GET",
            f"{self._url.removesuffix('/api/v1')}/{at}.git/info/refs?service=git-upload-pack",
            headers={"Git-Protocol": "version=2"},
            auth=self._auth,
            expect=None,
            follow=False,
        )
        found = _AGENT.search(greeting.data) if greeting.status == 200 else None
        return tuple(map(int, found.groups())) if found else ()

    def create(self, at: str, branch: str, object_format: str) -> None:
        """Creates a private repository, and its organization if that is missing, allowed (`create`) and permitted."""
        organization, name = check_name(at)
        body: dict[str, Any] = {"name": name, "private": True, "auto_init": False}
        if branch:
            body["default_branch"] = branch
        if object_format != "sha1":
            body["object_format_name"] = object_format
        answer = self._create(organization, body)
        if answer.status == 404:
            if not self._create_missing:
                raise self._no_organization(organization, "", 404)
            self._create_organization(organization)
            answer = self._create(organization, body)
        if answer.status == 409 and self.repo(at) is None:
            raise UpstreamError(
                "git-no-rights",
                f"{at}: exists, but this account may not write to it",
                "give this account write access to it",
                409,
                side="destination",
            )
        if object_format != "sha1" and "object format" in _message(answer):
            raise _no_sha256(at, f"it answers: {_message(answer)}")
        if answer.status not in (201, 409):
            raise self._refused(answer, f"creating {at}")

    def _create(self, organization: str, body: dict[str, Any]) -> Response:
        # 500 is an answer here (a creation limit of 0, a git without sha256), and a retry would not change it.
        statuses = (201, 403, 404, 409, 422, 500)
        return self._call("POST", f"/orgs/{organization}/repos", body, statuses)

    def _create_organization(self, name: str) -> None:
        body = {"username": name, "visibility": "private"}
        answer = self._call("POST", "/orgs", body, (201, 403, 422))
        if answer.status == 201:
            return
        raise self._no_organization(name, f", and cannot be created: {_message(answer)}", answer.status)

    def _no_organization(self, name: str, why: str, status: int) -> UpstreamError:
        if self._create_missing:
            hint = "create it in Gitea (no user may have that name), or let this account create organizations"
        else:
            hint = (
                "correct git.organizations in the Sovereign resource, or create the organization in Gitea (+, New "
                "Organization) and add the account to it. If imports should create organizations: `create: true`"
            )
        what = f"organization {name}: missing at the Git server, or hidden from this account{why}"
        return UpstreamError("git-no-organization", what, hint, status, side="destination")

    def repositories(self, organization: str) -> Iterator[str]:
        """The full names of the organization's repositories that this account may see, page by page.

        None if the organization is missing, or hidden from this account: Gitea answers the same. Raises
        `UpstreamError` (`unexpected-answer`, `endless-list`).
        """
        for page in range(1, MAX_PAGES + 1):
            path = f"/orgs/{organization}/repos?limit={PER_PAGE}&page={page}"
            answer = self._call("GET", path, None, (200, 404))
            if answer.status == 404:
                return
            document = answer.json()
            names = [one.get("full_name") if isinstance(one, dict) else None for one in _list(document)]
            if not isinstance(document, list) or not all(isinstance(name, str) for name in names):
                what = f"organization {organization}: got something else from the server's API than its repositories"
                raise UpstreamError(
                    "unexpected-answer", what, "check that git.url is that of Gitea", side="destination"
                )
            if not names:
                return
            yield from map(str, names)
        what = f"organization {organization}: more than {MAX_PAGES} pages of repositories"
        raise UpstreamError("endless-list", what, side="destination")

    def actions_off(self, at: str) -> None:
        """Switches Actions off; otherwise a push would run the workflows in it. Raises `UpstreamError`."""
        answer = self._call("PATCH", f"/repos/{at}", {"has_actions": False}, (200, 403, 404))
        if answer.status != 200:
            what = f"{at}: Actions are on and cannot be switched off; they would run the pushed code"
            raise self._refused(answer, what)

    def processed(self, at: str) -> Repo | None:
        """The repository, after Gitea has processed the first push of a branch: then it is no longer `empty`.

        Gitea does that some time after the push, and then replaces the default branch in its database: by `main` or
        `master` if that is among the first branches, whatever the repository was created with. HEAD stays as it is.
        """
        repo = self.repo(at)
        for wait in WAITS:
            if repo is None or not repo.empty:
                break
            self._client.pause(wait, f"{at}: Gitea has not processed the push yet")
            repo = self.repo(at)
        return repo

    def set_default_branch(self, at: str, branch: str, others: Sequence[str]) -> None:
        """Points HEAD to a branch. `others` are the other branches of the repository.

        Until Gitea has processed the first push, it accepts any name and changes nothing. It also changes nothing if
        its database already has that name, whatever HEAD is (a repository that was created with another default branch
        and got `main` first). In that case HEAD is set to another branch first.
        """
        repo = self.processed(at)
        if repo is not None and repo.default_branch == branch:
            if not others:
                raise UpstreamError(
                    "git-head",
                    f"{at}: Gitea reports {branch} as the default branch, but HEAD names another branch",
                    "delete the repository in Gitea; the next import creates it again",
                    side="destination",
                )
            self._set_default_branch(at, others[0])
        self._set_default_branch(at, branch)

    def _set_default_branch(self, at: str, branch: str) -> None:
        answer = self._call("PATCH", f"/repos/{at}", {"default_branch": branch}, (200, 403, 404))
        if answer.status != 200:
            raise self._refused(answer, f"{at}: setting the default branch")

    def _call(self, method: str, path: str, body: Any, statuses: tuple[int, ...]) -> Response:
        data = None if body is None else RequestBody.of(json.dumps(body).encode())
        headers = {"Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        return self._client.request(
            method,
            self._url + path,
            headers=headers,
            body=data,
            auth=self._auth,
            expect=statuses,
            follow=False,
        )

    def _refused(self, answer: Response, what: str) -> UpstreamError:
        kind = NotFoundError if answer.status == 404 else UpstreamError
        hint = "the importer's token needs write:repository (and write:organization to create organizations)"
        if answer.status == 500 and not _message(answer):
            hint = "a creation limit of 0 on the server answers like this: see MAX_CREATION_LIMIT"
        return kind(
            "git-no-rights",
            f"{what}: got {answer.status}: {_message(answer) or 'no reason'}",
            hint,
            answer.status,
        )


def _list(document: Any) -> list[Any]:
    return document if isinstance(document, list) else []


def _no_sha256(at: str, why: str) -> UpstreamError:
    return UpstreamError(
        "git-object-format",
        f"{at}: this server cannot have a repository with sha256 ids: {why}",
        f"update it to Gitea {_spelt(SHA256_GITEA)} and git {_spelt(SHA256_GIT)} or later; or carry the project's "
        "repository with sha1 ids, if it has one",
        side="destination",
    )


def _spelt(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version)) or "of an unknown version"


def _message(answer: Response) -> str:
    try:
        document = answer.json()
    except UpstreamError:
        return ""
    text = str(document.get("message", "")) if isinstance(document, dict) else ""
    return "".join(char for char in text if char.isprintable())[:300]


def read_repo(document: dict[str, Any]) -> Repo:
    """A repository in an answer of the API. Fields of another type count as absent."""
    rights = document.get("permissions")
    rights = rights if isinstance(rights, dict) else {}
    problem = ""
    if document.get("archived"):
        problem = "the repository is archived"
    elif document.get("mirror"):
        problem = "the repository is a pull mirror, which is read-only"
    elif rights and not rights.get("push"):
        problem = "this account may not push to the repository"
    return Repo(
        bool(document.get("empty")),
        str(document.get("default_branch") or ""),
        bool(document.get("has_actions")),
        problem,
        str(document.get("object_format_name") or ""),
    )
