"""A small HTTP server that answers as Harbor 2.15 was seen to answer where clients stumble.

The real one needs a cluster of services that can't run here. It keeps everything in memory:

    harbor = HarborDouble(users={"robot$import": "secret"})
    harbor.project("p1", quota=1 << 20)
    … requests to harbor.url …
    assert harbor.projects["p1"].repositories["x"].tags["v1"] == digest

What is modelled: token quirks, the empty challenge of a missing project, cookies that bring 403, no
resume of uploads, `POST ?digest=` ignored, immutable tags, quota, proxy-cache projects, read-only
mode, 412 for reading under a policy, Accept that must match, referrers without pages, and the API of
`tests.parts.harbor_api`. With `core_down` nginx answers for everything, with `registry_down` core does for content.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.parts.harbor_handler import HarborHandler
from tests.parts.harbor_state import Project, Token
from tests.parts.tls import Certificate
from tests.parts.web import Server

# (user, project, action) → whether it is allowed; "" is anonymous. Actions are `push` and `pull` of a repository, and
# those of the API (`artifact:list`): each is a right of its own.
Rights = Callable[[str, str, str], bool]


class HarborDouble:
    """The server; its state may be read and changed while it runs."""

    def __init__(self, users: dict[str, str] | None = None, certificate: Certificate | None = None) -> None:
        """Start it."""
        self.users = users or {}
        self.projects: dict[str, Project] = {}
        self.rights: Rights = lambda user, project, action: bool(user)
        self.admins: set[str] = set()
        # Robots whose time is up, or that somebody disabled: they are answered as a wrong password is.
        self.expired: set[str] = set()
        self.read_only = False
        self.core_down = False
        self.registry_down = False
        self.token_seconds = 1800
        self.tokens: dict[str, Token] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[tuple[str, str, int]] = []
        # Called with the method and path of each request before it is handled.
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.lock = threading.Lock()
        self._server = Server(type("Bound", (HarborHandler,), {"harbor": self}), certificate)
        self.url, self.host = self._server.url, self._server.host

    def project(self, name: str, **what: Any) -> Project:
        """Make a project."""
        return self.projects.setdefault(name, Project(**what))

    def knows(self, user: str, password: str) -> bool:
        """Whether this login is good."""
        return self.users.get(user) == password and user not in self.expired

    def only(self, *actions: str) -> None:
        """Gives robots these rights in every project, and no others."""
        self.rights = lambda user, project, action: bool(user) and action in actions

    def count(self, method: str, path: str = "") -> int:
        """How many requests of this method had a path that matches."""
        with self.lock:
            return sum(each[0] == method and bool(re.search(path, each[1])) for each in self.requests)

    def expire_tokens(self) -> None:
        """As if half an hour had passed."""
        self.tokens.clear()

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def issue(self, user: str, scopes: list[str]) -> str:
        """A token: a JWT in form, known here by its text."""
        access: list[dict[str, Any]] = []
        for scope in scopes:
            _, _, rest = scope.partition(":")
            name, _, wanted = rest.rpartition(":")
            project = name.split("/")[0]
            known = project in self.projects
            actions = [one for one in wanted.split(",") if known and self.rights(user, project, one)]
            access.append({"type": "repository", "name": name, "actions": actions})
        claims = {"sub": user, "jti": uuid.uuid4().hex, "access": access}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        token = f"eyJhbGciOiJSUzI1NiJ9.{body}.c2ln"
        projects = frozenset(entry["name"].split("/")[0] for entry in access if entry["actions"])
        self.tokens[token] = Token(user, projects, time.monotonic() + self.token_seconds)
        return token
