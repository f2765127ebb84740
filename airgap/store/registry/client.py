"""`RegistryClient`: one registry, its addresses, its login, and its basic requests.

Source: OCI distribution-spec v1.1.1.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airgap.base.digest import Digest
from airgap.base.errors import InputError, UnreachableError, UpstreamError
from airgap.base.strict_json import parse_json
from airgap.content.graph import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MAX_NODE,
    NODE_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    descriptor_from,
)
from airgap.content.reference import DOCKER_HUB, DOCKER_HUB_ENDPOINT, check_repository, known_as
from airgap.net.auth import DOWN, ScopedAuth, TokenRealm
from airgap.net.config import HostConfig
from airgap.net.credentials import docker_login, login_of
from airgap.net.http import SUCCESS, Client, RequestBody, Response
from airgap.net.origin import Origin, redact
from airgap.net.plain import is_plain_loopback
from airgap.store.registry.errors import refusal
from airgap.store.registry.harbor import Harbor

ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
"""Always all types: Harbor and Distribution answer 404 for content whose type is not listed."""
MAX_PAGES = 10_000
"""Pages of one list: a registry that always names a next page must not cause an endless loop."""
REPOSITORIES_PER_PAGE = 1000
"""The requested page size of the catalog; registries may return fewer. Distribution refuses more."""
MAX_REPOSITORIES = 1_000_000
"""Repositories of one registry."""
MAX_IDLE = 10
"""Pages in a row without a new entry: a registry may skip what an account may not see."""
NEEDED = frozenset({"core", "database", "redis", "registry"})
"""The parts of Harbor without which it has no content."""
PULL, PUSH, DELETE = "pull", "pull,push", "pull,delete"


class RegistryClient:
    """A registry. Thread-safe; its repositories share connections, tokens and what was learnt about it.

    `host` is `host[:port]` or a URL. `docker_config` is docker's config.json; it supplies the login if the host's
    configuration has none. `chunk_size` (bytes) uploads blobs in pieces, for proxies that limit a request's size. With
    0, a blob is sent in one piece, and in pieces only after a refusal with 413.
    """

    def __init__(self, host: str, http: Client, *, docker_config: Path | None = None, chunk_size: int = 0) -> None:
        self.http = http
        self.chunk_size = chunk_size
        name, config, base = self._locate(host, http)
        self.host = name
        origin = Origin.of(base)
        self.api = f"{origin}/v2"
        self.prefix = "".join(f"{part}/" for part in urlsplit(base).path.split("/")[2:] if part)
        """The path in front of every repository name at a mirror."""
        asked = name if not config.mirror else origin.netloc
        login = login_of(config.credentials) or docker_login(docker_config, asked)
        self.authority = TokenRealm(http, f"{self.api}/", login)
        self.harbor = Harbor(http, str(origin), login, self.authority.who)
        """Harbor's own API, if the registry is a Harbor: ask `there` first."""
        self.has_referrers: bool | None = None
        """Whether it has the referrers API; `None` while unknown."""
        self._busy: set[tuple[str, Digest]] = set()
        self._turns = threading.Condition()
        self.fallback_lock = threading.Lock()
        """Held while a fallback index of referrers is read, changed and written."""

    @staticmethod
    def _locate(host: str, http: Client) -> tuple[str, HostConfig, str]:
        """Name, configuration and base URL (`…/v2[/prefix]`)."""
        url = host if "://" in host else f"https://{host}"
        origin = Origin.of(url)
        if "://" in host and urlsplit(url).path.strip("/"):
            raise InputError("bad-url", f"{redact(host)}: a registry address must not have a path", f"use {origin}")
        name = origin.netloc
        config = next((http.hosts[one] for one in known_as(name) if one in http.hosts), None) or http.host(origin)
        if "://" not in host and (config.plain_http or (not config.mirror and is_plain_loopback(origin, config))):
            origin = Origin.of(f"http://{host}")
            name = host.lower()
        if config.mirror:
            return name, config, _mirror(config, http)
        if name == DOCKER_HUB:
            origin = Origin.of(f"https://{DOCKER_HUB_ENDPOINT}")
            http.alias(origin, config)
        return name, config, f"{origin}/v2"

    def repository_path(self, repository: str) -> str:
        """The repository's name at this registry (or its mirror)."""
        return self.prefix + check_repository(repository, self.host, self.host)

    def url(self, path: str, rest: str) -> str:
        """The URL of `rest` in the repository `path` (with its prefix)."""
        return f"{self.api}/{path}/{rest}"

    def auth(self, path: str, actions: str, *sources: str) -> ScopedAuth:
        """The authentication for `actions` in `path`, and for pulls from `sources` (for mounts)."""
        scopes = [f"repository:{path}:{actions}"]
        return self.authority.scoped(*scopes, *(f"repository:{each}:pull" for each in sources))

    def call(
        self,
        method: str,
        url: str,
        auth: ScopedAuth,
        *,
        expect: Collection[int] | None = SUCCESS,
        headers: Mapping[str, str] | None = None,
        body: RequestBody | None = None,
        **more: Any,
    ) -> Response:
        """One request, with errors explained for registries; see `Client.request`.

        Raises `UnreachableError` if not only this request fails: then the registry is not waited for again.
        """
        try:
            return self.http.request(
                method,
                url,
                auth=auth,
                expect=expect,
                headers=headers,
                body=body,
                explain=self.explain,
                **more,
            )
        except UpstreamError as error:
            if error.status < 500 or isinstance(error, UnreachableError):
                raise
            self.check_up(error)
            raise

    def check_up(self, error: UpstreamError) -> None:
        """Raises `UnreachableError` if the registry is down as a whole, and not only for the request of `error`.

        It is down if its first page fails too, or if Harbor says that a part of it does not work without which it has
        no content.
        """
        parts: list[str] = []
        try:
            answer = self.http.request("GET", f"{self.api}/", expect=None, attempts=1)
            why = f"GET {redact(self.api)}/: got {answer.status}" if answer.status >= 500 else ""
        except UpstreamError as other:
            why = str(other.what)
        if not why and self.harbor.there():
            parts = [part for part in self.harbor.sick() if part in NEEDED]
            why = f"Harbor says that it does not work: {', '.join(parts)}" if parts else ""
        if why:
            what, hint = f"{error.what}; {why}", DOWN if not parts else "see the logs of these parts, and restart them"
            raise UnreachableError("unreachable", what, hint, error.status, side=self.http.side) from error

    def explain(self, response: Response) -> UpstreamError:
        """The error for an unexpected answer."""
        return refusal(response, self.authority.who)

    def pages(self, url: str, auth: ScopedAuth, found: Sized, first: Response | None = None) -> Iterator[Response]:
        """The answers of a paged list, following `Link` headers (RFC 8288).

        The caller adds what a page lists to `found`. Raises `UpstreamError` (`endless-list`) beyond `MAX_PAGES`, and
        after `MAX_IDLE` pages in a row that added nothing.
        """
        answer = first or self.call("GET", url, auth)
        size = idle = 0
        for _ in range(MAX_PAGES):
            yield answer
            idle = idle + 1 if len(found) == size else 0
            size = len(found)
            if idle == MAX_IDLE:
                raise UpstreamError(
                    "endless-list", f"{redact(url)}: {idle} pages in a row list nothing new", side=self.http.side
                )
            link = answer.headers.get("Link") or ""
            target, _, parameters = link.partition(">")
            if not target.startswith("<") or "next" not in parameters:
                return
            url = self.http.resolve(url, target[1:], "next page")
            answer = self.call("GET", url, auth)
        raise UpstreamError("endless-list", f"{redact(url)}: more than {MAX_PAGES} pages", side=self.http.side)

    def catalog(self) -> Iterator[str]:
        """The names of all repositories, in the registry's order, page by page.

        An account often may not ask that: then the error is a refusal. Raises `UpstreamError` (`bad-catalog`,
        `endless-list`).
        """
        auth = self.authority.scoped("registry:catalog:*")
        found: set[str] = set()
        for page in self.pages(f"{self.api}/_catalog?n={REPOSITORIES_PER_PAGE}", auth, found):
            document = page.json()
            names = document.get("repositories", ...) if isinstance(document, dict) else ...
            names = [] if names is None else names
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                what = f"GET {redact(page.url)}: not a list of repositories"
                raise UpstreamError("bad-catalog", what, side=self.http.side)
            new = [name for name in dict.fromkeys(names) if name not in found]
            found.update(new)
            if len(found) > MAX_REPOSITORIES:
                what = f"GET {redact(page.url)}: more than {MAX_REPOSITORIES} repositories"
                raise UpstreamError("endless-list", what, side=self.http.side)
            yield from new

    def manifest(self, path: str, wanted: str) -> tuple[Descriptor, bytes]:
        """A manifest or index by tag or digest: its descriptor, computed from its bytes, and the bytes.

        Raises `NotFoundError`, or `UpstreamError` (`digest-differs`, `not-a-manifest`, `answer-too-large`).
        """
        url = self.url(path, f"manifests/{wanted}")
        answer = self.call("GET", url, self.auth(path, PULL), headers={"Accept": ACCEPT}, limit=MAX_NODE)
        digest = Digest.of(answer.data)
        said = answer.headers.get("Docker-Content-Digest") or ""
        for name, value in (("asked for", wanted), ("Docker-Content-Digest", said)):
            if value.startswith("sha256:") and value != digest:
                raise UpstreamError(
                    "digest-differs", f"GET {redact(url)}: got {digest}, {name} {value[:80]}", side=self.http.side
                )
        return Descriptor(media_type(answer), digest, len(answer.data)), answer.data

    @contextmanager
    def alone(self, path: str, digest: Digest) -> Iterator[bool]:
        """Lets only one thread at a time upload a blob to a repository; yields true to threads that had to wait.

        This saves the bytes. Besides, Distribution 2.8 does not support it: while a second upload of a blob ends, the
        first one's link to it can be read as empty, and a manifest that names the blob is refused.
        """
        key = (path, digest)
        with self._turns:
            waited = key in self._busy
            while key in self._busy:
                self._turns.wait()
            self._busy.add(key)
        try:
            yield waited
        finally:
            with self._turns:
                self._busy.discard(key)
                self._turns.notify_all()


def entries(document: Any, where: str) -> list[Descriptor]:
    """The entries of an index that is a list and not content. Raises `UpstreamError`, `IntegrityError`."""
    found = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(found, list | None):
        raise UpstreamError("not-an-index", f"{where}: not an image index")
    return [descriptor_from(entry, where) for entry in found or []]


def stored_as(answer: Response, descriptor: Descriptor) -> Response:
    """The answer to a write. Raises `UpstreamError` (`digest-differs`) if the registry reports another digest."""
    said = answer.headers.get("Docker-Content-Digest") or descriptor.digest
    if said.startswith("sha256:") and said != descriptor.digest:
        raise UpstreamError(
            "digest-differs",
            f"PUT {redact(answer.url)}: stored as {said[:80]}, expected {descriptor.digest}",
            side=answer.side,
        )
    return answer


def media_type(answer: Response) -> str:
    """The media type of a manifest: from the answer, or from the document if the answer says only JSON.

    The two must not differ (CVE-2021-41190). Raises `UpstreamError` (`not-a-manifest`, `not-json`).
    """
    if answer.content_type == "text/html":
        answer.json()
    document = parse_json(answer.data, redact(answer.url))
    inside = document.get("mediaType") if isinstance(document, dict) else None
    outside = answer.content_type
    found = inside if outside in ("", "application/json", "text/plain") else outside
    if not isinstance(found, str) or found not in NODE_TYPES or (inside is not None and inside != found):
        raise UpstreamError(
            "not-a-manifest",
            f"GET {redact(answer.url)}: got {str(found)[:100]!r} (mediaType {str(inside)[:100]!r}), "
            "expected a manifest or index of OCI or Docker schema 2",
            "convert Docker schema 1 images at their origin",
            side=answer.side,
        )
    return found


def _mirror(config: HostConfig, http: Client) -> str:
    """The base URL of a mirror. Raises `InputError` (`bad-mirror`)."""
    parts = urlsplit(config.mirror)
    path = parts.path.rstrip("/") or "/v2"
    if not f"{path}/".startswith("/v2/") or parts.query or parts.fragment or parts.username:
        raise InputError(
            "bad-mirror",
            f"mirror {redact(config.mirror)}: expected a URL with the path /v2/…",
            f"for example {parts.scheme}://{parts.hostname}/v2{path.rstrip('/')}",
        )
    origin = Origin.of(config.mirror)
    http.alias(origin, config)
    return f"{origin}{path}"
