"""A proxy on real sockets that breaks the connection to any HTTP server in the ways that rules say.

    proxy = FaultProxy(registry.url)
    proxy.fault("GET", r"/blobs/", times=1, cut_at=0.95)
    … use proxy.url in place of registry.url …
    assert proxy.served("/blobs/") < size + 16 * MiB

Rules are tried in order; the first that matches and is not used up is applied, the rest of the
traffic passes as it is. Bodies stream both ways in pieces, and connections are kept alive. The Host
header passes unchanged, so that an upstream's absolute Locations lead back to the proxy.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.parts.web import PIECE, Handler, Server

UPSTREAM_SECONDS = 60
SETTLE_SECONDS = 2
"""How long a count waits for requests on their way: one that is stalled on purpose is not waited for."""
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
# They describe one connection, and each side of the proxy has its own.
HOP_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request; several things may happen to one."""

    # Instead of an answer from upstream:
    refuse: bool = False  # close without a word
    status: int = 0  # answer this, without asking upstream
    retry_after: str = ""
    body: bytes = b""  # the body of `status`
    headers: Mapping[str, str] = field(default_factory=dict)
    # To the request:
    cut_request_after: int | None = None  # hang up after that many bytes of its body
    ignore_range: bool = False  # upstream does not learn of Range: answers 200 and the whole
    # To the answer:
    delay: float = 0.0  # seconds before it
    gate: threading.Event | None = None  # none before this is set, or the upstream's patience is over
    cut_after: int | None = None  # hang up after that many bytes of its body
    cut_at: float | None = None  # the same as a fraction of it
    lost_answer: bool = False  # upstream does the work, and the client never hears of it
    length_delta: int = 0  # Content-Length says this much more or less than the truth
    flip_at: int | None = None  # one bit of the body's byte at this position is flipped
    replace: bytes | None = None  # another body, of its own length, in place of upstream's
    stall_after: int | None = None  # send nothing for `stall` seconds after that many bytes
    stall: float = 30.0
    bytes_per_second: int = 0  # a slow line


@dataclass(slots=True)
class Rule:
    """A fault for the requests that match; `used` counts how often it was applied."""

    method: re.Pattern[str]
    path: re.Pattern[str]
    fault: Fault
    times: int | None
    skip: int
    seen: int = 0
    used: int = 0

    def matches(self, method: str, path: str) -> bool:
        """Whether it applies to this request; counts the ones it sees."""
        if not self.method.fullmatch(method) or not self.path.search(path):
            return False
        if self.times is not None and self.used >= self.times:
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        self.used += 1
        return True


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came, secrets left out, with the status it was given (0: none)."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    applied: Fault | None


class FaultProxy:
    """The proxy: `url` and `host` take the place of the upstream's."""

    def __init__(self, upstream: str, *, ca_file: Path | None = None) -> None:
        """Start in front of an http or https base; ca_file verifies the latter."""
        parts = urllib.parse.urlsplit(upstream)
        self.upstream_host = parts.netloc
        self.context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.sent: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.busy = 0
        self.idle = threading.Condition(self.lock)
        self._server = Server(type("ProxyHandler", (_Handler,), {"proxy": self}))
        self.url, self.host = self._server.url, self._server.host

    def fault(
        self,
        method: str = ".*",
        path: str = "",
        *,
        times: int | None = None,
        skip: int = 0,
        **what: object,
    ) -> Rule:
        """Add a rule: the method matches wholly, the path (with its query) anywhere.

        `skip` lets that many matching requests pass first, `times` is how often it is applied
        (always when None), and the rest are the fields of Fault.
        """
        fault = replace(Fault(), **what)  # type: ignore[arg-type]  # checked by the dataclass
        rule = Rule(re.compile(method), re.compile(path), fault, times, skip)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget rules, requests and counts."""
        with self.lock:
            self.rules.clear()
            self.requests.clear()
            self.sent.clear()
            self.received.clear()

    def served(self, path: str = "") -> int:
        """Bytes of bodies sent to clients for paths that match."""
        return self._sum(self.sent, path)

    def taken(self, path: str = "") -> int:
        """Bytes of bodies received from clients for paths that match."""
        return self._sum(self.received, path)

    def count(self, method: str = ".*", path: str = "") -> int:
        """How many requests matched."""
        with self.settled():
            seen = list(self.requests)
        return sum(bool(re.fullmatch(method, each.method) and re.search(path, each.path)) for each in seen)

    @contextlib.contextmanager
    def settled(self) -> Iterator[None]:
        """The counts, once the requests whose answers a client has read are counted to the end."""
        with self.idle:
            self.idle.wait_for(lambda: not self.busy, SETTLE_SECONDS)
            yield

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """One request on its way."""
        with self.idle:
            self.busy += 1
        try:
            yield
        finally:
            with self.idle:
                self.busy -= 1
                self.idle.notify_all()

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def choose(self, method: str, path: str) -> Fault | None:
        """The fault for this request."""
        with self.lock:
            for rule in self.rules:
                if rule.matches(method, path):
                    return rule.fault
        return None

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the upstream."""
        if self.context:
            return http.client.HTTPSConnection(self.upstream_host, timeout=UPSTREAM_SECONDS, context=self.context)
        return http.client.HTTPConnection(self.upstream_host, timeout=UPSTREAM_SECONDS)

    def _sum(self, counts: Counter[str], path: str) -> int:
        with self.settled():
            return sum(size for name, size in counts.items() if re.search(path, name))


class _HangUpError(Exception):
    """The connection to the client is to be closed now."""


class _Handler(Handler):
    proxy: FaultProxy

    def handle_one_request(self) -> None:
        """As the base, and a hang-up that was ordered ends the connection."""
        try:
            super().handle_one_request()
        except (_HangUpError, OSError, http.client.HTTPException):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.flush()

    def _pass_on(self) -> None:
        with self.proxy.working():
            self._handle()

    def _handle(self) -> None:
        fault = self.proxy.choose(self.command, self.path) or Fault()
        try:
            status = self._instead(fault) or self._ask(fault)
        except BaseException:
            self._record(0, fault)
            raise
        self._record(status, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on

    def _record(self, status: int, fault: Fault) -> None:
        headers = {
            name.lower(): "(left out)" if name.lower() in SECRET_HEADERS else value
            for name, value in self.headers.items()
        }
        applied = None if fault == Fault() else fault
        with self.proxy.lock:
            self.proxy.requests.append(Request(self.command, self.path, headers, status, applied))

    def _instead(self, fault: Fault) -> int:
        """The answers that need no upstream; 0 when it has to be asked."""
        if fault.refuse:
            raise _HangUpError
        if not fault.status:
            return 0
        for _ in self._request_body(fault):
            pass
        time.sleep(fault.delay)
        headers = dict(fault.headers)
        if fault.retry_after:
            headers["Retry-After"] = fault.retry_after
        self.answer(fault.status, fault.body, headers)
        return fault.status

    def _request_body(self, fault: Fault) -> Iterator[bytes]:
        total = 0
        for piece in self.body():
            limit = fault.cut_request_after
            if limit is not None and total + len(piece) > limit:
                self._count(self.proxy.received, limit - total)
                yield piece[: limit - total]
                raise _HangUpError
            total += len(piece)
            self._count(self.proxy.received, len(piece))
            yield piece

    def _ask(self, fault: Fault) -> int:
        with contextlib.closing(self.proxy.connect()) as connection:
            # An upstream that refuses a body may answer and hang up before it has all of it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._send_request(connection, fault)
            response = connection.getresponse()
            time.sleep(fault.delay)
            if fault.gate is not None:
                fault.gate.wait(UPSTREAM_SECONDS)
            if fault.lost_answer:
                raise _HangUpError
            self._relay(response, fault)
            return response.status

    def _send_request(self, connection: http.client.HTTPConnection, fault: Fault) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() in HOP_HEADERS or name.lower() == "expect":
                continue
            if fault.ignore_range and name.lower() in ("range", "if-range"):
                continue
            connection.putheader(name, value)
        if self.proxy.context:
            connection.putheader("X-Forwarded-Proto", "http")  # Locations are to lead back here
        chunked = "Transfer-Encoding" in self.headers
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for piece in self._request_body(fault):
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.send(b"0\r\n\r\n")

    def _relay(self, response: http.client.HTTPResponse, fault: Fault) -> None:
        length = response.length  # None: it ends in its own time
        if fault.replace is not None:
            length = len(fault.replace)
        bare = self.command == "HEAD" or response.status in (204, 304) or response.status < 200
        chunked = length is None and not bare
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_HEADERS and name.lower() != "content-length":
                self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif bare:
            if "Content-Length" in response.headers:
                self.send_header("Content-Length", response.headers["Content-Length"])
        else:
            self.send_header("Content-Length", str((length or 0) + fault.length_delta))
        self.end_headers()
        if not bare:
            self._relay_body(response, fault, length, chunked=chunked)

    def _relay_body(
        self,
        response: http.client.HTTPResponse,
        fault: Fault,
        length: int | None,
        *,
        chunked: bool,
    ) -> None:
        position = 0
        for piece in self._pieces(response, fault, length):
            self._before(fault, position, len(piece))
            position += len(piece)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            self._count(self.proxy.sent, len(piece))
        short = length is not None and position < length  # cut by a rule, or by upstream itself
        if short or fault.cut_after is not None or fault.length_delta > 0:
            raise _HangUpError
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        if fault.length_delta < 0:
            self.close_connection = True

    def _pieces(self, response: http.client.HTTPResponse, fault: Fault, length: int | None) -> Iterator[bytes]:
        """The body as the client gets it, split where something is to happen."""
        cut = self._cut(fault, length)
        position = 0
        rest = fault.replace
        while cut is None or position < cut:
            want = PIECE if fault.bytes_per_second == 0 else max(1, fault.bytes_per_second // 10)
            for stop in (cut, fault.stall_after):
                if stop is not None and position < stop:
                    want = min(want, stop - position)
            if rest is None:
                piece = response.read1(want)
            else:
                piece, rest = rest[:want], rest[want:]
            if not piece:
                return
            if fault.flip_at is not None and 0 <= fault.flip_at - position < len(piece):
                changed = bytearray(piece)
                changed[fault.flip_at - position] ^= 1
                piece = bytes(changed)
            yield piece
            position += len(piece)

    @staticmethod
    def _cut(fault: Fault, length: int | None) -> int | None:
        if fault.cut_at is not None:
            if length is None:
                raise ValueError("cut_at needs an answer with a length; use cut_after")
            return int(length * fault.cut_at)
        return fault.cut_after

    def _before(self, fault: Fault, position: int, size: int) -> None:
        """Wait where the fault says so, with everything until here on its way."""
        if fault.stall_after == position:
            self.wfile.flush()
            time.sleep(fault.stall)
        if fault.bytes_per_second:
            self.wfile.flush()
            time.sleep(size / fault.bytes_per_second)

    def _count(self, counts: Counter[str], size: int) -> None:
        with self.proxy.lock:
            counts[self.path] += size
