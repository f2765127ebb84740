"""`Response`: an answer's headers, and its body, either complete (and limited in size) or as a stream."""

from __future__ import annotations

import http.client
from typing import Any

import urllib3

from airgap.base.errors import AirgapError, Side, UpstreamError
from airgap.base.strict_json import parse_json
from airgap.net.faults import (
    BODY_FAULTS,
    TransportError,
    server_errors,
    server_words,
    status_error,
    transport_error,
)
from airgap.net.origin import redact

MAX_ANSWER = 16 << 20
"""Bytes of an answer kept in memory: enough for the tag lists and referrers of the largest repositories."""
MAX_DRAIN = 64 << 10
"""Bytes that are read to keep a connection; reading a longer rest costs more than a new connection."""


class Response:
    """An answer to `method` `url` (the last hop). `headers` ignores case; `side` is the side that answered."""

    __slots__ = ("_data", "_raw", "headers", "method", "request_id", "side", "status", "url")

    def __init__(self, method: str, url: str, raw: urllib3.BaseHTTPResponse, request_id: str, side: Side) -> None:
        self.method = method
        self.url = url
        self.status = raw.status
        self.headers = raw.headers
        self.request_id = request_id
        self.side: Side = side
        self._raw = raw
        self._data: bytes | None = None

    def load(self, limit: int) -> bytes:
        """Reads the complete body and returns the connection to the pool.

        For an error status, the readable part of the body is enough: Distribution 2.8 announces a complete blob with
        its 416. Raises `UpstreamError` (`answer-too-large`), `TransportError`.
        """
        if self._data is None:
            pieces, left = [], limit + 1
            try:
                # Read until an empty read: only then does urllib3 report that a body was shorter than announced.
                while left > 0 and (piece := self.read(left)):
                    pieces.append(piece)
                    left -= len(piece)
            except TransportError:
                if self.status < 400:
                    raise
            if left <= 0:
                self.close()
                raise UpstreamError(
                    "answer-too-large",
                    f"{self.method} {redact(self.url)}: the answer has more than {limit} bytes",
                    status=self.status,
                    side=self.side,
                )
            self._data = b"".join(pieces)
            self._raw.release_conn()
        return self._data

    @property
    def data(self) -> bytes:
        """The body, after `load` (which `request` calls unless `stream` is set)."""
        return self._data or b""

    @property
    def content_type(self) -> str:
        """The media type, in lower case and without parameters."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON. Raises `UpstreamError` (`not-json`): a wrong URL often returns HTML with a 200."""
        try:
            if self.content_type in ("text/html", "application/xhtml+xml"):
                raise UpstreamError("not-json", "")
            return parse_json(self.data, redact(self.url))
        except AirgapError as error:
            raise UpstreamError(
                "not-json",
                f"{self.method} {redact(self.url)}: got {self.status} with "
                f"{self.content_type or 'no content type'}, expected JSON",
                "check that this is the URL of the service itself, not of its web page or a login page",
                self.status,
                side=self.side,
            ) from error

    def server_errors(self) -> list[tuple[str, str]]:
        """(code, message) pairs of an OCI error body; empty for any other body."""
        return server_errors(self.data)

    def error(self, hint: str = "") -> UpstreamError:
        """This answer as an error: `NotFoundError` for 404."""
        words = server_words(self.data, self.content_type)
        request_id = self.headers.get("X-Request-Id") or self.request_id
        return status_error(self.method, self.url, self.status, request_id[:80], words, hint=hint, side=self.side)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the body, `b""` at its end. Raises `TransportError` if the connection breaks."""
        try:
            return self._raw.read(size)
        except BODY_FAULTS as error:
            self._raw.close()
            raise transport_error(error, self.method, self.url, self.request_id, self.side) from error

    def readinto(self, buffer: memoryview) -> int:
        """Reads once into `buffer`; returns the number of bytes, 0 at the end.

        Bypasses urllib3, which would first create a bytes object: 8 % of the time of a large pull. urllib3's check for
        a body that is shorter than announced is done by `ResumingStream`.
        Raises `TransportError` if the connection breaks.
        """
        file = getattr(self._raw, "_fp", None)
        try:
            if isinstance(file, http.client.HTTPResponse):
                # The file closes itself after its last byte. urllib3 has not counted the bytes and would report them
                # all as missing.
                return 0 if file.isclosed() else file.readinto(buffer)
        except BODY_FAULTS as error:
            self._raw.close()
            raise transport_error(error, self.method, self.url, self.request_id, self.side) from error
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def discard(self) -> None:
        """Returns the connection to the pool if little is left to read, else closes it."""
        try:
            if len(self._raw.read(MAX_DRAIN)) < MAX_DRAIN:
                self._raw.release_conn()
                return
        except BODY_FAULTS:
            pass
        self._raw.close()

    def close(self) -> None:
        """Ends the response; if its body was not read to the end, the connection is closed."""
        file = getattr(self._raw, "_fp", None)
        if not (isinstance(file, http.client.HTTPResponse) and file.isclosed()):
            self._raw.close()
        self._raw.release_conn()
