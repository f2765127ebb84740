"""The HTTP server: sockets, threads, time limits and TLS around `answers`. See ADR 0019 on http.server.

What http.server lacks is here: a limit on connections, on the bytes and the time of a request's head, on the time of
each piece that is sent; TLS handshakes outside the loop that accepts; no look-up of host names.
"""

from __future__ import annotations

import http.server
import io
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from airgap.base.digest import CHUNK
from airgap.base.errors import AirgapError
from airgap.content.verified import verified
from airgap.serving.answers import Asked, Reply, answer, refusal
from airgap.serving.catalog import Catalog

MAX_CONNECTIONS = 64
"""Connections at once, each of which has a thread: others wait. containerd uses three to six a node."""
MAX_HEAD = 32 << 10
"""Bytes of a request line with its headers: names, digests and tokens have less than 4 KiB."""
HEAD_SECONDS = 30.0
"""Seconds until a request's head must be there, since the one before: also for a connection that is idle."""
SEND_SECONDS = 60.0
"""Seconds in which a client takes a piece of 1 MiB, and a TLS handshake ends."""
LINGER_SECONDS = 2.0
"""Seconds for a client that still sends a body which nobody reads, so that it sees the answer."""
MAX_LINGER = 1 << 20
STOP_SECONDS = 5.0
"""Seconds for the threads to end when the server stops."""
POLL = 0.2
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
"""The name of a header (RFC 9110, section 5.1): without it, `Content-Length : 5` is no `Content-Length` here."""


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One request that was answered: for the log."""

    client: str
    method: str
    target: str
    status: int
    bytes: int
    seconds: float
    fault: str = ""
    """Why the answer was cut, or what is wrong with what is served."""


OnAccess = Callable[[AccessLine], None]


class TooLongError(Exception):
    """The head of a request is too long."""


class _Timed(io.RawIOBase):
    """The reading side of a connection: limits the bytes and the time of one request's head.

    A connection that waits for its next request gives its place to others when they are `crowded`.
    """

    def __init__(self, connection: socket.socket, crowded: threading.Event) -> None:
        super().__init__()
        self._connection, self._crowded = connection, crowded
        self.begin()

    def begin(self) -> None:
        """The next request may begin."""
        self._until, self._left = time.monotonic() + HEAD_SECONDS, MAX_HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise TooLongError
        is_idle = self._left == MAX_HEAD
        while (left := self._until - time.monotonic()) > 0:
            self._connection.settimeout(min(left, POLL) if is_idle else left)
            try:
                count = self._connection.recv_into(memoryview(buffer)[: self._left])
            except TimeoutError:
                if is_idle and self._crowded.is_set():
                    raise
                continue
            self._left -= count
            return count
        raise TimeoutError


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "airgap"
    sys_version = ""
    timeout = SEND_SECONDS
    disable_nagle_algorithm = True
    default_request_version = "HTTP/1.0"
    server: RegistryServer

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(SEND_SECONDS)
            self.request.do_handshake()
        super().setup()
        self.rfile.close()
        self._timed = _Timed(self.connection, self.server.crowded)
        self.rfile = io.BufferedReader(self._timed, 8192)
        self.command, self.path, self.request_version = "", "", self.default_request_version

    def handle_one_request(self) -> None:
        """As in http.server, with limits."""
        self._timed.begin()
        try:
            super().handle_one_request()
        except TooLongError:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def handle_expect_100(self) -> bool:
        """No body is wanted: the answer follows at once."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself, in the form of the distribution-spec."""
        self.close_connection = True
        self._send(refusal(int(code), "UNSUPPORTED", HTTPStatus(code).phrase), time.monotonic())
        self._linger()

    def _answer(self) -> None:
        began = time.monotonic()
        if self.headers.defects or not all(_FIELD.match(name) for name in self.headers):
            # Another program may see a body here. What it takes for the body would be the next request.
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        has_body = "transfer-encoding" in headers or self.headers.get_all("content-length", ["0"]) != ["0"]
        if has_body:
            self.close_connection = True  # nobody reads it
        self._send(answer(self.server.catalog, Asked(self.command, self.path, headers)), began)
        if has_body:
            self._linger()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def _send(self, made: Reply, began: float) -> None:
        length = made.length if made.blob is not None else len(made.body)
        self.close_connection |= self.server.crowded.is_set()
        sent, fault = 0, made.fault
        try:
            self.connection.settimeout(SEND_SECONDS)
            self.send_response_only(made.status)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("X-Content-Type-Options", "nosniff")
            for name, value in {**made.headers, "Content-Length": str(length)}.items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                for piece in self._pieces(made):
                    self.connection.settimeout(SEND_SECONDS)
                    self.connection.sendall(piece)
                    sent += len(piece)
                if sent < length:
                    self.close_connection, fault = True, "the server stops, or the blob ends early"
        except AirgapError as error:
            # The length was promised: without its end, no client takes the blob for whole.
            self.close_connection, fault = True, str(error)
        except OSError as error:
            self.close_connection, fault = True, f"the client is gone: {error.strerror or type(error).__name__}"
        seconds = time.monotonic() - began
        client = str(self.client_address[0])
        self.server.on_access(AccessLine(client, self.command or "", self.path, made.status, sent, seconds, fault))

    def _pieces(self, made: Reply) -> Any:
        """The bytes to send. The last byte of a blob is sent only when all of the blob was hashed, and is right."""
        if made.blob is None:
            yield made.body
            return
        blob, left = made.blob, made.length
        reaches_end = made.first + left == blob.size
        source = self.server.catalog.source
        stream = verified(source.open(blob), blob) if reaches_end else source.open(blob, made.first)
        skip = made.first if reaches_end else 0
        buffer = memoryview(bytearray(min(CHUNK, max(blob.size, 1))))
        with stream:
            while left or (reaches_end and not blob.size):
                count = stream.readinto(buffer[: left + skip])  # type: ignore[attr-defined]
                if not count or self.server.stopping.is_set():
                    return
                piece = buffer[min(skip, count) : count]
                skip -= min(skip, count)
                left -= len(piece)
                if piece:
                    yield piece

    def _linger(self) -> None:
        """Takes some of a body that nobody reads: a connection that is closed before is reset at the client."""
        with suppress(OSError, ValueError):
            self.connection.shutdown(socket.SHUT_WR)
            until, left = time.monotonic() + LINGER_SECONDS, MAX_LINGER
            while left > 0 and (wait := until - time.monotonic()) > 0:
                self.connection.settimeout(wait)
                piece = self.connection.recv(64 << 10)
                if not piece:
                    return
                left -= len(piece)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: `AccessLine` says it."""


class RegistryServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A read-only registry at an address. `serve` answers until `KeyboardInterrupt`."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        catalog: Catalog,
        on_access: OnAccess,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listens. Raises `OSError`."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.catalog, self._heard, self._tls = catalog, on_access, tls
        self.stopping = threading.Event()
        self.crowded = threading.Event()
        """Set while a connection waits for a place: then no other is kept for a next request."""
        self.requests = 0
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def on_access(self, access: AccessLine) -> None:
        """Passes a request on, one at a time."""
        with self._lock:
            self.requests += 1
            self._heard(access)

    def serve(self) -> None:
        """Answers until `KeyboardInterrupt`; then closes all connections, and waits for their threads."""
        try:
            self.serve_forever(POLL)
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """Closes everything. Safe to call twice."""
        self.stopping.set()
        self.server_close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + STOP_SECONDS
        while self._open and time.monotonic() < until:
            time.sleep(0.01)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection when there is room for one; until then, nothing is accepted."""
        while not self._slots.acquire(timeout=POLL):
            self.crowded.set()
            if self.stopping.is_set():
                self.shutdown_request(request)
                return
        self.crowded.clear()
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, in its thread."""
        connection = request
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            with self._lock:
                self._open.discard(request)
                self._open.add(connection)
            super().process_request_thread(connection, client_address)
        except OSError:
            self.shutdown_request(connection)
        finally:
            with self._lock:
                self._open.discard(request)
                self._open.discard(connection)
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off is no fault of this server; a bug is one, and does not end it."""
        import sys

        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.on_access(AccessLine(str(client_address[0]), "", "", 0, 0, 0.0, f"bug: {error!r}"))
