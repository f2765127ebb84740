"""What our own small HTTP servers share: threads on a free loopback port, keep-alive, streaming."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.parts.process import LOOPBACK
from tests.parts.tls import Certificate

PIECE = 1 << 18
# A client that went away must not keep a server thread, and so a test run, for ever.
IDLE_SECONDS = 60


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, quiet, with helpers for bodies and credentials."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    # Headers and a small body go out together instead of waiting for each other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base's own name)
        """Tests look at what servers record, not at stderr."""

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come: the client waits for it."""
        expected = super().handle_expect_100()
        self.wfile.flush()
        return expected

    def body(self) -> Iterator[bytes]:
        """The request's body in pieces, whether it has a length or comes in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            yield from self._chunks()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise ConnectionError("the client went away within a body")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            left = size
            while left:
                piece = self.rfile.read(min(left, PIECE))
                if not piece:
                    raise ConnectionError("the client went away within a chunk")
                left -= len(piece)
                yield piece
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """A whole answer; HEAD gets the headers of it."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def basic(self) -> tuple[str, str] | None:
        """User name and password of a Basic header, if there is one."""
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        name, _, password = base64.b64decode(value).decode().partition(":")
        return name, password


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    # Clients open many connections at once; the default of 5 would make some wait.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what many tests are about."""


class Server:
    """A handler class served on a free port by threads of this process."""

    def __init__(self, handler: type[Handler], certificate: Certificate | None = None) -> None:
        """Start serving; with a certificate, over TLS."""
        self._server = _Threads((LOOPBACK, 0), handler)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
            self._server.socket = context.wrap_socket(
                self._server.socket,
                server_side=True,
                do_handshake_on_connect=False,  # in the connection's thread, not in accept
            )
        self.port = int(self._server.server_address[1])
        self.host = f"{LOOPBACK}:{self.port}"
        self.url = f"{scheme}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; connections that are open are left to end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def send_file(handler: Handler, path: Path, start: int = 0, end: int | None = None) -> None:
    """Write the bytes [start, end) of a file as a body."""
    with path.open("rb") as source:
        source.seek(start)
        left = (path.stat().st_size if end is None else end) - start
        while left and (piece := source.read(min(left, PIECE))):
            handler.wfile.write(piece)
            left -= len(piece)
