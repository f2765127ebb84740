"""A running Gitea with an administrator, tokens and organisations."""

from __future__ import annotations

import getpass
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from partslib import cache
from partslib.catalogue import BY_NAME
from tests.parts.need import require_part
from tests.parts.process import LOOPBACK, Process, answers_http, free_ports, retry_on_race

ADMIN = "sovereign-admin"
PASSWORD = "correct-horse-battery"
# Gitea refuses root; this user exists everywhere and owns nothing else here.
UNPRIVILEGED = "nobody"
ALL_SCOPES = ("write:organization", "write:repository", "write:user", "write:admin")

APP_INI = """\
APP_NAME = test
RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {folder}/work
[server]
PROTOCOL = http
HTTP_ADDR = {address}
HTTP_PORT = {port}
ROOT_URL = {url}/
STATIC_ROOT_PATH = {static}
LFS_START_SERVER = true
LFS_JWT_SECRET = {secret}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/work/gitea.db
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
INTERNAL_TOKEN = {token}
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[oauth2]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
[cron]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[session]
PROVIDER = memory
[log]
MODE = console
LEVEL = Info
{more}
"""


class Gitea:
    """The service at `url`; `username` and `password` are the administrator's."""

    def __init__(self, folder: Path, *, more_ini: str = "") -> None:
        """Start it in a folder that others can reach; more_ini is put at the end of app.ini."""
        program = require_part("gitea")
        self.folder = folder
        self.username, self.password = ADMIN, PASSWORD
        self._user = pwd.getpwnam(UNPRIVILEGED).pw_uid if os.geteuid() == 0 else None
        self._static, self._program = self._reachable(program)
        self._more = more_ini
        work = folder / "work"
        work.mkdir()
        if self._user is not None:
            os.chown(work, self._user, self._user)
        retry_on_race(self._start)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (self.username, self.password)

    def stop(self) -> None:
        """Stop it."""
        self._session.close()
        self._process.stop()

    def log(self) -> str:
        """The end of its log."""
        return self._process.log()

    def api(self, method: str, path: str, json: Any = None, token: str = "") -> Any:
        """Call /api/v1 as the administrator, or with a token; gives the answer's JSON."""
        url = f"{self.url}/api/v1{path}"
        if token:
            headers = {"Authorization": f"token {token}"}
            answer = requests.request(method, url, json=json, headers=headers, timeout=30)
        else:
            answer = self._session.request(method, url, json=json, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def token(self, scopes: Sequence[str] = ALL_SCOPES, user: str = "") -> str:
        """A new token with these scopes, of the administrator or of a user made by new_user."""
        name, password = (user, PASSWORD) if user else (self.username, self.password)
        answer = requests.post(
            f"{self.url}/api/v1/users/{name}/tokens",
            json={"name": secrets.token_hex(6), "scopes": list(scopes)},
            auth=(name, password),
            timeout=30,
        )
        answer.raise_for_status()
        return str(answer.json()["sha1"])

    def new_org(self, name: str = "") -> str:
        """A new organisation, owned by the administrator; gives its name."""
        org = name or f"org-{secrets.token_hex(4)}"
        self.api("POST", "/orgs", {"username": org})
        return org

    def new_repo(self, org: str, name: str, **more: Any) -> str:
        """A new repository in an organisation; gives its URL for Git."""
        self.api("POST", f"/orgs/{org}/repos", {"name": name, "private": True, **more})
        return self.git_url(org, name)

    def new_user(self, name: str = "") -> str:
        """A new ordinary user, whose password is that of the administrator."""
        user = name or f"user-{secrets.token_hex(4)}"
        email = f"{user}@example.org"
        body = {"username": user, "email": email, "password": PASSWORD}
        self.api("POST", "/admin/users", {**body, "must_change_password": False})
        return user

    def git_url(self, org: str, name: str) -> str:
        """Where Git finds a repository."""
        return f"{self.url}/{org}/{name}.git"

    def git_env(self, token: str) -> dict[str, str]:
        """Environment that gives Git and git-lfs a token for this server only."""
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: token {token}",
            "GIT_TERMINAL_PROMPT": "0",
        }

    def _reachable(self, program: Path) -> tuple[Path, Path]:
        """Static folder and program, where the user that runs them can read them.

        Root's cache is closed to others, so they are linked (or copied) into our folder.
        """
        home = cache.place(BY_NAME["gitea"])
        if self._user is None:
            return home, program
        static = self.folder / "static"
        shutil.copytree(home, static, copy_function=_link_or_copy)
        return static, static / program.name

    def _start(self) -> None:
        self.url = f"http://{LOOPBACK}:{free_ports(1)[0]}"
        ini = self.folder / "work" / "app.ini"
        ini.write_text(self._ini())
        if self._user is not None:  # it adds to its own configuration
            os.chown(ini, self._user, self._user)
        env = {"HOME": str(self.folder / "work"), "GITEA_WORK_DIR": str(self.folder / "work")}
        argv = [str(self._program), "-c", str(ini)]
        self._process = Process(
            [*argv, "web"],
            log=self.folder / "gitea.log",
            env=env,
            cwd=self.folder,
            user=self._user,
            grace=3,
        )
        self._process.wait_ready(lambda: answers_http(f"{self.url}/api/healthz"))
        make_admin = (
            *(*argv, "admin", "user", "create", "--admin", "--must-change-password=false"),
            *("--username", ADMIN, "--password", PASSWORD, "--email", "admin@example.org"),
        )
        subprocess.run(
            make_admin,
            env={**os.environ, **env},
            cwd=self.folder,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            check=True,
            capture_output=True,
        )

    def _ini(self) -> str:
        # It must equal the user that runs it, or Gitea refuses to start.
        user = getpass.getuser() if self._user is None else UNPRIVILEGED
        # Signed by nobody: Gitea only wants it to look like a token of its own making.
        return APP_INI.format(
            user=user,
            folder=self.folder,
            address=LOOPBACK,
            port=self.url.rpartition(":")[2],
            url=self.url,
            static=self._static,
            secret=secrets.token_urlsafe(32),
            token=secrets.token_urlsafe(64),
            more=self._more,
        )


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
