"""`Client`: every HTTP request that airgap itself makes goes through here.

It uses urllib3's pools directly instead of requests. A small blob costs 0.28 ms through a pool and 0.63 ms through a
`requests.Session` (1,500 GETs of 8 KiB on loopback), which would be half of the time of a pull of many small blobs.
Besides, the extras of requests would have to be switched off: `~/.netrc`, cookies, proxies from the environment and its
own redirects.

Guarantees: no cookies, no netrc; `Authorization` goes only to the origin of the first URL; `resolve_hop` checks every
redirect; a body is repeated only by opening it again; content is never decoded; all faults are `UpstreamError`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import urllib3

from airgap.base.errors import UpstreamError
from airgap.base.throttle import FREE, Throttle
from airgap.net.backoff import Backoff, Retries
from airgap.net.body import RequestBody
from airgap.net.config import HostConfig
from airgap.net.faults import LIBRARY_FAULTS, TransportError, transport_error
from airgap.net.origin import SIDES, Origin, Zone, redact, resolve_hop
from airgap.net.plain import check_secret
from airgap.net.pools import Pools, Timeouts
from airgap.net.response import MAX_ANSWER, Response
from airgap.net.stream import open_resuming

__all__ = ["Auth", "Client", "Fixed", "RequestBody", "Response", "Retries", "Timeouts"]

MAX_HOPS = 5
"""Redirects that are followed: a registry with object storage needs one, a mirror of it two."""
SUCCESS = range(200, 300)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({429, 503})
"""The server did not process the request, so any request may be repeated."""
REPEATED = frozenset({408, 429, 500, 502, 503, 504})
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""RFC 9110, 9.2.2."""


class Auth(Protocol):
    """The authentication at one service. Thread-safe."""

    def authorization(self) -> str:
        """The value of the `Authorization` header; `""` for none."""

    def refused(self, response: Response) -> bool:
        """Called after a 401. True if a repetition makes sense, because `authorization()` returns a new value."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """An `Auth` with a constant value: `Bearer …`, `token …` or `Basic …`."""

    value: str = field(repr=False)

    def authorization(self) -> str:
        """The constant value."""
        return self.value

    def refused(self, response: Response) -> bool:
        """False: there is no other value to try."""
        return False


Explain = Callable[[Response], UpstreamError]
"""Explains an unexpected answer: a service knows its own messages better than HTTP does."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request as the caller made it, the same for every attempt and hop."""

    method: str
    url: str
    origin: Origin
    headers: Mapping[str, str]
    body: RequestBody | None
    auth: Auth | None
    follow: bool
    read_timeout: float | None
    request_id: str


_TIMEOUTS, _RETRIES, _PLAIN = Timeouts(), Retries(), HostConfig()


def _with_allowed(hosts: Mapping[str, HostConfig]) -> dict[str, HostConfig]:
    """`hosts`, and the hosts that they allow (token server, object storage): reached alike, without credentials."""
    made = dict(hosts)
    for config in hosts.values():
        for name in config.allowed_hosts:
            key = name.rpartition("://")[2].rstrip("/").lower()
            made.setdefault(key, HostConfig(ca_file=config.ca_file, plain_http=config.plain_http))
    return made


class Client:
    """Thread-safe. `hosts` maps `host[:port]` to its configuration; other hosts use the defaults.

    `proxies` (see `airgap.net.proxies`) apply only in the connected zone. `on_retry` receives one line for people
    before each retry. `max_connections` is the number of connections kept open per host.
    `throttle` limits how fast streams are read (`open_stream`).
    """

    def __init__(
        self,
        hosts: Mapping[str, HostConfig] | None = None,
        *,
        zone: Zone,
        proxies: Mapping[str, str] | None = None,
        user_agent: str = "airgap",
        timeouts: Timeouts = _TIMEOUTS,
        retries: Retries = _RETRIES,
        on_retry: Callable[[str], None] | None = None,
        max_connections: int = 8,
        throttle: Throttle = FREE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.zone: Zone = zone
        self.side = SIDES[zone]
        self.hosts = _with_allowed(hosts or {})
        self.retries = retries
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._on_retry = on_retry
        self._sleep = sleep
        self._throttle = throttle
        self._timeouts = timeouts
        self._answered: set[Origin] = set()
        self._pools = Pools(self.host, proxies if zone == "connected" else None, timeouts, max_connections)

    def host(self, origin: Origin) -> HostConfig:
        """The configuration of `origin`: an entry with its port takes precedence over one without."""
        exact = self.hosts.get(f"{origin.host}:{origin.port}") or self.hosts.get(origin.netloc)
        return exact or self.hosts.get(origin.host) or _PLAIN

    def alias(self, origin: Origin, config: HostConfig) -> None:
        """Uses `config` for `origin` if it has no entry of its own: for a mirror, or an API under another name."""
        if self.host(origin) is _PLAIN:
            self.hosts[f"{origin.host}:{origin.port}"] = config

    def resolve(self, url: str, location: str, what: str) -> str:
        """The URL of `location` in an answer from `url`, if the zone's rules allow it: see `resolve_hop`."""
        allowed = self.host(Origin.of(url)).allowed_hosts
        return resolve_hop(url, location, what, zone=self.zone, allowed=allowed)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: RequestBody | None = None,
        expect: Collection[int] | None = SUCCESS,
        auth: Auth | None = None,
        stream: bool = False,
        idempotent: bool | None = None,
        follow: bool = True,
        attempts: int | None = None,
        read_timeout: float | None = None,
        limit: int = MAX_ANSWER,
        explain: Explain = Response.error,
    ) -> Response:
        """Sends one request, with redirects, a new token after a 401, and retries.

        `expect` are the accepted statuses, `None` for all. `idempotent` defaults by method; a request that is not
        idempotent is repeated only if the server did not process it. With `stream`, the body is left unread and the
        caller closes the response; otherwise at most `limit` bytes of it are read. `attempts` overrides the client's
        number; `explain` creates the error for an unexpected answer. Raises `NotFoundError` for 404, else
        `UpstreamError`.
        """
        origin = Origin.of(url)
        request_id = secrets.token_hex(8)
        call = _Call(method, url, origin, headers or {}, body, auth, follow, read_timeout, request_id)
        again = method in IDEMPOTENT if idempotent is None else idempotent
        backoff = Backoff(self.retries, attempts)
        while True:
            try:
                response = self._follow(call)
                if not stream or (expect is not None and response.status not in expect):
                    response.load(limit)
            except TransportError as error:
                # A fault of another request, met while reading the body to send, is not a reason to repeat this
                # request.
                mine = error.request_id == request_id and error.repeatable
                wait = backoff.after() if mine and (again or not error.sent) else None
                if wait is None:
                    raise
                self.pause(wait, error.what)
                continue
            wanted = expect is None or response.status in expect
            if wanted and (expect is not None or response.status not in REPEATED):
                return response
            repeatable = response.status in REPEATED if again else response.status in BUSY
            wait = backoff.after(response.headers.get("Retry-After")) if repeatable else None
            if wait is None:
                if wanted:
                    return response
                raise explain(response)
            self.pause(wait, explain(response).what)

    def open_stream(
        self,
        url: str,
        offset: int = 0,
        *,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        etag: str = "",
        explain: Explain = Response.error,
    ) -> BinaryIO:
        """The body of a GET from byte `offset` on, as a stream that survives broken connections.

        If the connection breaks, it requests the rest with Range (and If-Range if there is a strong `etag`), at most
        `retries.attempts` times without progress. If a server ignores Range, the first bytes are transferred again. The
        bytes are not verified: the reader must hash them. Raises the same errors as `request`, also from `read`.
        """

        def ask(start: int, validator: str) -> Response:
            wanted = dict(headers or {})
            if start:
                wanted["Range"] = f"bytes={start}-"
                if validator:
                    wanted["If-Range"] = validator
            return self.request("GET", url, headers=wanted, auth=auth, stream=True, explain=explain)

        return open_resuming(ask, offset, etag, Backoff(self.retries), self.pause, self._throttle)

    def pause(self, seconds: float, why: str) -> None:
        """Waits before the next attempt, and reports it."""
        if self._on_retry is not None:
            self._on_retry(f"{why}; trying again" + (f" in {seconds:.0f} s" if seconds >= 1 else ""))
        if seconds > 0:
            self._sleep(seconds)

    def close(self) -> None:
        """Closes all idle connections."""
        self._pools.close()

    def _follow(self, call: _Call) -> Response:
        """The answer after redirects and, once, after a refreshed authorization."""
        url, hops, refreshed = call.url, 0, False
        while True:
            response = self._send(call, url)
            home = url is call.url
            if response.status == 401 and home and call.auth is not None and not refreshed:
                response.load(MAX_ANSWER)
                if not call.auth.refused(response):
                    return response
                refreshed = True
                continue
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not call.follow or not location:
                return response
            response.discard()
            hops += 1
            if call.method not in ("GET", "HEAD") or hops > MAX_HOPS:
                code = "redirect-refused" if hops <= MAX_HOPS else "too-many-redirects"
                what = f"{call.method} {redact(call.url)}: redirected to {redact(location)}"
                raise UpstreamError(code, what, "use the address it redirects to", response.status, side=self.side)
            url = self.resolve(url, location, "redirect")

    def _send(self, call: _Call, url: str) -> Response:
        headers = {**self._headers, **call.headers}
        headers["X-Request-Id"] = call.request_id
        origin = call.origin if url is call.url else Origin.of(url)
        if origin == call.origin:
            value = call.auth.authorization() if call.auth is not None else ""
            if value:
                check_secret(origin, self.host(origin))
                headers["Authorization"] = value
        else:
            headers = {k: v for k, v in headers.items() if k.lower() not in ("authorization", "cookie")}
        pieces = None
        if call.body is not None:
            headers["Content-Length"] = str(call.body.size)
            pieces = call.body.pieces()
        elif call.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        try:
            raw = self._pools.send(origin, call.method, url, headers, pieces, self._timeout(call))
        except LIBRARY_FAULTS as error:
            known = origin in self._answered
            raise transport_error(error, call.method, url, call.request_id, self.side, known=known) from error
        finally:
            if pieces is not None:
                pieces.close()
        self._answered.add(origin)
        return Response(call.method, url, raw, call.request_id, self.side)

    def _timeout(self, call: _Call) -> urllib3.Timeout:
        read = self._timeouts.read if call.read_timeout is None else call.read_timeout
        return urllib3.Timeout(connect=self._timeouts.connect, read=read)
