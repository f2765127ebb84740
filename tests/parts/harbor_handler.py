"""The answers of `HarborDouble`: see there. Each is as the real Harbor's was seen."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
import urllib.parse
import uuid
from typing import TYPE_CHECKING

from tests.parts.harbor_api import API, HTML, HarborApi
from tests.parts.harbor_state import Project, Repository, Token
from tests.parts.images import INDEX, digest_of
from tests.parts.web import Handler

if TYPE_CHECKING:
    from tests.parts.harbor_double import HarborDouble

MAX_MANIFEST = 4 << 20
# What is still read of a body that was refused before the connection is closed.
LINGER = 1 << 20
NGINX = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
PATH = re.compile(r"/v2/([^?]+?)/(blobs|manifests|tags|referrers)/(.*)")


class _AnsweredError(Exception):
    """The answer was sent."""


class HarborHandler(Handler):
    harbor: HarborDouble

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        self.harbor.before(self.command, self.path)
        with contextlib.suppress(_AnsweredError):
            if self.harbor.core_down:
                self._drained(502, NGINX, {"Content-Type": "text/html", "Server": "nginx"})
            self._route()

    def _drained(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Answers for a part that is down: what was sent is read and thrown away."""
        for _ in self.body():
            pass
        self.reply(status, body, headers)

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Answer with what every answer of Harbor has; ends the handling."""
        with self.harbor.lock:
            self.harbor.requests.append((self.command, self.path, status))
        common = {"Set-Cookie": "sid=abc; Path=/; HttpOnly"}
        if "X-Request-Id" in self.headers:
            common["X-Request-Id"] = self.headers["X-Request-Id"]
        self.answer(status, body, common | (headers or {}))
        raise _AnsweredError

    def refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        """An error in Harbor's form. What of the body was not read ends the connection."""
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        try:
            self.reply(status, body, {"Content-Type": "application/json", **(headers or {})})
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        if not int(self.headers.get("Content-Length") or 0):
            return
        self.wfile.flush()
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.rfile.read(min(LINGER, int(self.headers["Content-Length"])))
        except OSError:
            pass

    # --- who asks --------------------------------------------------------------------------

    def _route(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        if url.path == "/service/token":
            self._token()
        if "Cookie" in self.headers and self.command not in ("GET", "HEAD"):
            self.refuse(403, "FORBIDDEN", "CSRF token not found in request")
        if url.path.startswith(API):
            HarborApi(self, self.query).serve(url.path)
        if not url.path.startswith("/v2/"):
            self.reply(200, HTML, {"Content-Type": "text/html"})
        token = self._authenticate()
        if url.path == "/v2/":
            self.reply(200) if token else self._challenge("")
        if url.path == "/v2/_catalog":
            if token is None or token.user not in self.harbor.admins:
                self._basic_challenge("unauthorized to list catalog")
            names = [f"{name}/{at}" for name, project in self.harbor.projects.items() for at in project.repositories]
            self.reply_json({"repositories": sorted(names)})
        match = PATH.fullmatch(url.path)
        name = match[1] if match else ""
        if match is None or name != name.lower():
            empty = {"Www-Authenticate": ""}
            self.refuse(401, "UNAUTHORIZED", "un-recognized request", empty)
        else:
            self._repository(name, match[2], match[3], token)

    def _token(self) -> None:
        given, scopes = self.basic(), self.query.get("scope", [])
        user = given[0] if given and self.harbor.knows(*given) else ""
        if given and not user and not scopes:
            self.refuse(401, "UNAUTHORIZED", "unauthorized")
        # A wrong password with a scope gets a token that allows nothing.
        token = self.harbor.issue(user, scopes) if user or not given else self.harbor.issue("", scopes)
        self.reply_json({"token": token, "expires_in": self.harbor.token_seconds})

    def reply_json(self, document: object) -> None:
        """A document as JSON."""
        self.reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _authenticate(self) -> Token | None:
        header = self.headers.get("Authorization", "")
        if not header:
            return None
        given = self.basic()
        if given and self.harbor.knows(*given):
            return Token(given[0], frozenset(self.harbor.projects), time.monotonic() + 60)
        token = self.harbor.tokens.get(header.removeprefix("Bearer "))
        if token is None or token.until < time.monotonic():
            self._basic_challenge("unauthorized")
        return token

    def _basic_challenge(self, message: str) -> None:
        self.refuse(401, "UNAUTHORIZED", message, {"Www-Authenticate": 'Basic realm="harbor"'})

    def _challenge(self, scope: str) -> None:
        realm = f"{self.harbor.url.split('://')[0]}://{self.headers['Host']}/service/token"
        value = f'Bearer realm="{realm}",service="harbor-registry"'
        value += f',scope="{scope}"' if scope else ""
        self.refuse(401, "UNAUTHORIZED", "unauthorized", {"Www-Authenticate": value})

    def _allowed(self, name: str, action: str, token: Token | None) -> Project:
        mine = name.partition("/")[0]
        project = self.harbor.projects.get(mine)
        if project is None:
            words = f"project {mine} not found: project {mine} not found"
            self.refuse(401, "UNAUTHORIZED", words, {"Www-Authenticate": ""})
            raise AssertionError
        if token is None and not self.harbor.rights("", mine, action):
            self._challenge(f"repository:{name}:pull,push")
        user = token.user if token else ""
        if token and (mine not in token.projects or not self.harbor.rights(user, mine, action)):
            words = f"unauthorized to access repository: {name}, action: {action}"
            self._basic_challenge(words)
        return project

    # --- repositories ----------------------------------------------------------------------

    def _repository(self, name: str, kind: str, rest: str, token: Token | None) -> None:
        writes = self.command not in ("GET", "HEAD")
        project = self._allowed(name, "push" if writes else "pull", token)
        if writes and self.harbor.read_only:
            words = "The system is in read only mode. Any modification is prohibited."
            self.refuse(403, "DENIED", words)
        if writes and project.proxy:
            words = f"denied: can not push artifact to a proxy project: {name.partition('/')[0]}"
            self.refuse(403, "DENIED", words)
        if self.harbor.registry_down and kind != "tags":
            self._drained(502)
        with self.harbor.lock:
            repository = project.repositories.setdefault(name.partition("/")[2], Repository())
        if kind == "blobs" and rest.startswith("uploads/"):
            self._upload(project, repository, name, rest.removeprefix("uploads/"), token)
        elif kind == "blobs":
            self._blob(repository, rest)
        elif kind == "manifests" and writes:
            self._put_manifest(project, repository, rest)
        elif kind == "manifests":
            self._manifest(project, repository, rest)
        elif kind == "tags":
            self.reply_json({"name": name, "tags": sorted(repository.tags) or None})
        else:
            self._referrers(repository, rest)

    def _blob(self, repository: Repository, digest: str) -> None:
        data = repository.blobs.get(digest)
        if data is None:
            self.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted is None:
            self.reply(200, data, headers)
        elif int(wanted[1]) >= len(data):
            self.reply(416)
        else:
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.reply(206, data[start:], headers)

    def _upload(self, project: Project, repository: Repository, name: str, rest: str, token: Token | None) -> None:
        if self.command == "POST":
            self._start(project, repository, name, token)
        key = f"{rest}:{self.query.get('_state', [''])[0]}"
        if self.command == "DELETE":
            self.reply(204 if self.harbor.uploads.pop(key, None) is not None else 404)
        session = self.harbor.uploads.pop(key, None)  # comes back only when all goes well
        if session is None:
            self.refuse(404, "BLOB_UPLOAD_INVALID", "blob upload invalid")
            return
        if self.command == "PUT":
            self._check_quota(project, len(session) + int(self.headers.get("Content-Length") or 0))
        try:
            for piece in self.body():
                session += piece  # whatever Content-Range says
        except ConnectionError:
            self.close_connection = True
            raise _AnsweredError from None
        if self.command == "PATCH":
            self._continue(name, rest, session)
        digest = self.query.get("digest", [""])[0]
        if digest_of(bytes(session)) != digest:
            self.refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        repository.blobs[digest] = bytes(session)
        self.reply(201, b"", {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _start(self, project: Project, repository: Repository, name: str, token: Token | None) -> None:
        if 0 <= project.quota < project.used:
            self.refuse(
                403,
                "DENIED",
                "subtracting 0 B of storage resource, which when updated to current usage of …",
            )
        digest, source = self.query.get("mount", [""])[0], self.query.get("from", [""])[0]
        if digest and source:
            there = self._allowed(source, "pull", token)
            data = there.repositories.get(source.partition("/")[2], Repository()).blobs.get(digest)
            if data is not None:
                self._check_quota(project, 0 if digest in repository.blobs else len(data))
                repository.blobs[digest] = data
                self.reply(201, b"", {"Docker-Content-Digest": digest})
        for _ in self.body():
            pass  # POST ?digest= with a body is taken for an ordinary start
        self._continue(name, uuid.uuid4().hex, bytearray())

    def _continue(self, name: str, upload: str, session: bytearray) -> None:
        state = uuid.uuid4().hex
        self.harbor.uploads[f"{upload}:{state}"] = session
        scheme = self.harbor.url.split("://")[0]
        where = f"{scheme}://{self.headers['Host']}/v2/{name}/blobs/uploads/{upload}?_state={state}"
        self.reply(202, b"", {"Location": where, "Range": f"0-{max(len(session) - 1, 0)}"})

    def _check_quota(self, project: Project, more: int) -> None:
        if project.quota >= 0 and more and project.used + more > project.quota:
            words = (
                f"adding {more} B of storage resource, which when updated to current usage of "
                f"{project.used} B will exceed the configured upper limit of {project.quota} B."
            )
            self.refuse(403, "DENIED", words)

    # --- manifests -------------------------------------------------------------------------

    def _manifest(self, project: Project, repository: Repository, wanted: str) -> None:
        digest = repository.tags.get(wanted, wanted)
        kind, data = repository.manifests.get(digest, ("", b""))
        if not kind or kind not in self.headers.get("Accept", ""):
            self.refuse(404, "NOT_FOUND", f"artifact {wanted} not found")
        if project.policy:
            words = "current image without vulnerability scanning cannot be pulled"
            self.refuse(412, "PROJECTPOLICYVIOLATION", words)
        self.reply(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def _put_manifest(self, project: Project, repository: Repository, name: str) -> None:
        data = b"".join(self.body())
        digest = digest_of(data)
        if len(data) > MAX_MANIFEST or len(name) > 128:
            self.reply(400, b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}')
        if name in project.immutable and name in repository.tags:
            self.reply_error(
                412,
                "PRECONDITION",
                f"Failed to process request due to 'a:{name}' configured as immutable.",
            )
        document = json.loads(data)
        children = document.get("manifests") or [document["config"], *document["layers"]]
        known = {**repository.blobs, **repository.manifests}
        if any(child["digest"] not in known for child in children):
            self.reply_error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        if digest not in repository.manifests:
            self._check_quota(project, len(data))
        repository.manifests[digest] = (self.headers["Content-Type"], data)
        if not name.startswith("sha256:"):
            repository.tags[name] = digest
        headers = {"Docker-Content-Digest": digest, "Location": f"{self.path}"}
        if "subject" in document:
            headers["OCI-Subject"] = document["subject"]["digest"]
        self.reply(201, b"", headers)

    def reply_error(self, status: int, code: str, message: str) -> None:
        """An error after the whole body was read: the connection lives on."""
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.reply(status, body, {"Content-Type": "application/json"})

    def _referrers(self, repository: Repository, subject: str) -> None:
        found = []
        for digest, (kind, data) in sorted(repository.manifests.items()):
            document = json.loads(data)
            if (document.get("subject") or {}).get("digest") != subject:
                continue
            entry = {"mediaType": kind, "digest": digest, "size": len(data)}
            entry["artifactType"] = document.get("artifactType") or document["config"]["mediaType"]
            found.append(entry)
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        self.reply(200, json.dumps(value).encode(), {"Content-Type": INDEX})
