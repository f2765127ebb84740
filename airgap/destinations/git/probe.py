"""Whether a Git server would take an import: its login, organizations and rights. Only reads.

Source: /api/swagger of Gitea 1.23, git's smart HTTP protocol, and the actual answers of Gitea 1.23.8.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from airgap.base.errors import UpstreamError
from airgap.base.probe import Probes
from airgap.net.http import Auth, Client, Response
from airgap.resources.sovereign import GitConfig

_SCOPES = (
    "an importer's token needs write:repository and read:organization (write:organization to create organizations)"
)
_MAX_REQUIRED = 200


def probe_git(found: Probes, config: GitConfig, client: Client, auth: Auth | None, names: Iterable[str]) -> None:
    """Looks at everything that an import needs of a Git server; `names` are the organizations."""
    _GitProbe(found, config, client, auth).run(sorted(set(names)))


class _GitProbe:
    def __init__(self, found: Probes, config: GitConfig, client: Client, auth: Auth | None) -> None:
        self._found = found
        self._config = config
        self._client = client
        self._auth = auth

    def run(self, names: list[str]) -> None:
        version = self._version()
        if not version:
            said = "a Git server without the API of Gitea: repositories must exist, and rights show only with a push"
            self._found.unknown("service", said)
            return
        self._found.ok("service", f"Gitea {version}")
        who = self._login()
        if who is None:
            return
        self._organizations(names, who)

    def _version(self) -> str:
        answer = self._get("/version", auth=False)
        document = _object(answer)
        if answer.status in (401, 403) and document.get("message"):
            return "(it requires a login)"
        return str(document.get("version") or "")[:40] if answer.status == 200 else ""

    def _login(self) -> str | None:
        """The account's name; `""` if the token may not read it, `None` if the login is wrong."""
        if self._auth is None:
            error = UpstreamError(
                "unauthorized",
                "git has no credentials, and an import cannot push without",
                "add credentials to git in the Sovereign resource",
                side="destination",
            )
            self._found.problem("login", error)
            return None
        answer = self._get("/user")
        if answer.status == 401:
            what = "the server refuses the credentials: wrong, expired or revoked"
            hint = "create a token in Gitea (Settings, Applications), and put it into the file of git.credentials"
            self._found.problem("login", UpstreamError("git-unauthorized", what, hint, 401, side="destination"))
            return None
        if answer.status == 200:
            who = str(_object(answer).get("login") or "")[:100]
            self._found.ok("login", f"accepted: user {who}")
            return who
        self._found.ok("login", "accepted")
        return ""

    def _organizations(self, names: list[str], who: str) -> None:
        unseen, good, tried = list[str](), list[str](), set[bool]()
        for name in names:
            answer = self._get(f"/orgs/{quote(name)}")
            if answer.status == 404:
                self._missing(name)
            elif answer.status == 403:
                unseen.append(name)
            elif answer.status == 200 and self._may_create(name, who):
                good.append(name)
                tried.add(self._may_push(name))
        if unseen:
            required = _required(answer := self._get(f"/orgs/{quote(unseen[0])}"))
            said = f"the token may not read organizations ({required or answer.status}): {', '.join(unseen)}"
            self._found.unknown("organizations", said, f"give it the scope read:organization; {_SCOPES}")
        if good:
            self._found.ok("organizations", f"there: {', '.join(good)}")
        if good and True not in tried and not self._found.broken:
            said = "there is no repository yet with which the right to push can be tried"
            self._found.unknown("rights", said, _SCOPES)

    def _missing(self, name: str) -> None:
        what = f"organization {name}"
        if self._config.create:
            self._found.ok(what, "missing; an import creates it (create: true)")
            return
        error = UpstreamError(
            "git-no-organization",
            f"organization {name} is missing, or hidden from this account",
            "correct git.organizations, or create it in Gitea (+, New Organization) and add the account to it; to let "
            "imports create organizations, add `create: true` to git",
            404,
            side="destination",
        )
        self._found.problem(what, error)

    def _may_create(self, name: str, who: str) -> bool:
        """False if the account may certainly not make repositories in the organization."""
        if not who:
            return True
        rights = self._get(f"/users/{quote(who)}/orgs/{quote(name)}/permissions")
        may = _object(rights).get("can_create_repository")
        if rights.status == 200 and may is False:
            what = f"user {who} may not create repositories in organization {name}"
            hint = "add the account to a team there that may create repositories (Gitea: organization, Teams)"
            self._found.problem(f"organization {name}", UpstreamError("git-no-rights", what, hint, side="destination"))
            return False
        return True

    def _may_push(self, name: str) -> bool:
        """Tries the right to push in one repository, by reading the refs as a push does. True if there is one."""
        answer = self._get(f"/orgs/{quote(name)}/repos?limit=1")
        listed = answer.json() if answer.status == 200 else []
        one = listed[0] if isinstance(listed, list) and listed else None
        at = str(one.get("full_name") or "") if isinstance(one, dict) else ""
        if answer.status == 403:
            said = f"the token may not list repositories ({_required(answer) or answer.status})"
            self._found.unknown("rights", said, _SCOPES)
        if not at:
            return False
        # Only of a repository that exists: for another name, a server may create one.
        url = f"{self._config.url}/{quote(at)}.git/info/refs?service=git-receive-pack"
        status = self._client.request("GET", url, auth=self._auth, expect=None, follow=False).status
        if status in (401, 403):
            what = f"the account may not push to {at} (got {status})"
            hint = f"give the account write access there; {_SCOPES}"
            self._found.problem("rights", UpstreamError("git-no-rights", what, hint, status, side="destination"))
        elif status == 200:
            self._found.ok("rights", f"may push (tried with {at})")
        return True

    def _get(self, path: str, *, auth: bool = True) -> Response:
        url = f"{self._config.url}/api/v1{path}"
        headers = {"Accept": "application/json"}
        given = self._auth if auth else None
        return self._client.request("GET", url, headers=headers, auth=given, expect=None, follow=False)


def _object(answer: Response) -> dict[str, Any]:
    """The answer as an object; an empty one for anything else."""
    try:
        document = answer.json()
    except UpstreamError:
        return {}
    return document if isinstance(document, dict) else {}


def _required(answer: Response) -> str:
    """What Gitea says a token lacks."""
    return str(_object(answer).get("message") or "")[:_MAX_REQUIRED]
