"""The only place where faults of the HTTP libraries become `UpstreamError`."""

from __future__ import annotations

import http.client
import socket
import ssl

import urllib3.exceptions as lib

from airgap.base.errors import NotFoundError, Side, UnreachableError, UpstreamError
from airgap.base.strict_json import decode_json
from airgap.net.origin import redact

MAX_MESSAGE = 500
"""Characters of a server's message that are repeated: enough for Harbor's longest, but not for a page of HTML."""

_CUT = (lib.IncompleteRead, http.client.IncompleteRead)
"""The body ended before its announced length or before its last chunk."""

LIBRARY_FAULTS = (lib.HTTPError, http.client.HTTPException, OSError)
"""All exceptions of urllib3 and the socket below it. `ssl.SSLError` is an `OSError`."""

NO_SUCH_HOST = (
    "check the spelling of the name, and this machine's DNS server or /etc/hosts (`getent hosts NAME` asks them)"
)

BODY_FAULTS = (*LIBRARY_FAULTS, ValueError)
"""The same while a body is read: `http.client` takes a chunk of negative length, and reads as many bytes."""


class TransportError(UpstreamError):
    """There was no (complete) answer: unreachable, timed out, connection lost, or TLS not trusted.

    `repeatable` says whether another attempt can help; `request_id` identifies the failed request.
    """

    def __init__(
        self, code: str, what: str, hint: str = "", *, repeatable: bool = True, request_id: str = "", side: Side = ""
    ) -> None:
        super().__init__(code, what, hint, side=side)
        self.repeatable = repeatable
        self.request_id = request_id

    sent = True
    """False if the request certainly never reached the server."""


class NoConnectionError(TransportError, UnreachableError):
    """No connection could be made, so the request was not sent."""

    sent = False


class NoSuchHostError(NoConnectionError):
    """The name of the host does not resolve, and nothing has answered under it in this run."""


def transport_error(
    error: Exception, method: str, url: str, request_id: str, side: Side = "", *, known: bool = False
) -> TransportError:
    """Explains a library fault. The library's own text is not shown, because it may contain the URL's query.

    `known` is true if the host has answered before: then its name is right, and is looked up again.
    """
    where = f"{method} {redact(url)}"
    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TransportError(
            "tls-untrusted",
            f"{where}: the server's certificate is not trusted: {cause.verify_message}",
            "set caFile to the certificate of the authority that issued it",
            repeatable=False,
            request_id=request_id,
            side=side,
        )
    reason = getattr(cause, "reason", None)
    if isinstance(cause, ssl.SSLError) and reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return TransportError(
            "tls-failed",
            f"{where}: the server does not speak TLS",
            "to use plain HTTP, set plainHTTP: true in Upstreams, or an http:// address in the Sovereign resource",
            repeatable=False,
            request_id=request_id,
            side=side,
        )
    if isinstance(error, lib.ProxyError):
        return TransportError(
            "proxy-failed",
            f"{where}: the proxy failed: {_short(cause)}",
            "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
            repeatable=known or not isinstance(cause, socket.gaierror),
            request_id=request_id,
            side=side,
        )
    if isinstance(cause, socket.gaierror):
        kind = NoConnectionError if known else NoSuchHostError
        return kind(
            "unreachable",
            f"{where}: the name of the host does not resolve: {_short(cause)}",
            NO_SUCH_HOST,
            repeatable=known,
            request_id=request_id,
            side=side,
        )
    if isinstance(error, lib.NewConnectionError | lib.ConnectTimeoutError):
        return NoConnectionError(
            "unreachable",
            f"{where}: no connection: {_short(cause)}",
            "check the host name, the port and the route to it",
            request_id=request_id,
            side=side,
        )
    if isinstance(error, lib.TimeoutError) or isinstance(cause, TimeoutError):
        return TransportError(
            "timeout", f"{where}: the server sent no data for too long", request_id=request_id, side=side
        )
    return TransportError("connection-lost", f"{where}: {_short(cause)}", request_id=request_id, side=side)


def _root(error: BaseException) -> BaseException:
    """The innermost fault: urllib3 wraps by `args` and by `__cause__`."""
    for _ in range(10):
        if isinstance(error, _CUT):  # the fault below only tells how the library noticed
            break
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        inner = inner or error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error


def _short(cause: BaseException) -> str:
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, _CUT):
        return "the server closed the connection in the middle of the answer"
    if isinstance(cause, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(cause, http.client.BadStatusLine):
        return "the answer is not HTTP: another service may listen at this port"
    if isinstance(cause, http.client.HTTPException | lib.InvalidHeader):
        return "the head of the answer is too long, or is not as HTTP has it"
    return type(cause).__name__


def server_errors(data: bytes) -> list[tuple[str, str]]:
    """(code, message) pairs of an OCI error body, also Harbor's; empty for any other body.

    Source: OCI distribution-spec v1.1, "Error Codes".
    """
    try:
        errors = decode_json(data)["errors"]
        return [(str(e.get("code") or ""), _clean(str(e.get("message") or ""))) for e in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_MESSAGE]


def server_words(data: bytes, content_type: str) -> str:
    """The server's explanation of a failure, in one line; `""` for HTML and for an empty body."""
    errors = server_errors(data)
    if errors:
        return "; ".join(f"{code}: {message}" if message else code for code, message in errors)[:MAX_MESSAGE]
    if "json" in content_type:
        try:
            document = decode_json(data)
        except ValueError:
            return ""
        if isinstance(document, dict):
            said = document.get("message") or document.get("error") or document.get("details") or ""
            return _clean(said) if isinstance(said, str) else ""
    if content_type.startswith("text/plain"):
        return _clean(data.decode("utf-8", "replace")).strip()
    return ""


_CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    412: "precondition-failed",
    413: "body-too-large",
    416: "bad-range",
    429: "too-many-requests",
}
_HINTS = {
    401: "check the credentials for this host",
    413: "a proxy in front of the service limits the size of a request (nginx: client_max_body_size)",
    429: "the service limits the number of requests; log in, or wait and run the same command again",
}


def status_error(
    method: str, url: str, status: int, request_id: str, words: str = "", *, hint: str = "", side: Side = ""
) -> UpstreamError:
    """The error for an answer with an unexpected status. 404 gives `NotFoundError`."""
    code = _CODES.get(status, "upstream-failed" if status >= 500 else "unexpected-answer")
    kind = NotFoundError if status == 404 else UpstreamError
    said = f": {words}" if words else ""
    what = f"{method} {redact(url)}: got {status}{said} (X-Request-Id {request_id})"
    return kind(code, what, hint or _HINTS.get(status, ""), status, side=side)
