"""`Upload`: one blob into one repository, by mount, in one request, or in pieces.

Source: OCI distribution-spec v1.1.1, "Pushing blobs". Neither Harbor nor Distribution 2.8 resumes an upload: after a
failure the session is gone, and everything starts again at POST.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO, cast

from airgap.base.digest import CHUNK
from airgap.base.errors import DigestRefusedError, UpstreamError
from airgap.base.streams import read_limited
from airgap.content.graph import Descriptor, Opener, PutResult, check_bytes
from airgap.content.verified import verified
from airgap.net.backoff import Backoff
from airgap.net.faults import TransportError
from airgap.net.http import RequestBody
from airgap.store.registry.client import PUSH, RegistryClient, stored_as

COMMIT_SECONDS = 300.0
"""Seconds that a registry may be silent after the last byte: object storage copies the blob to its place meanwhile."""
CANCEL_SECONDS = 5.0
"""Seconds to wait for the answer to a cancelled upload. Cancelling is optional, and also happens after Ctrl-C."""
FALLBACK_CHUNK = 1 << 20
"""Bytes of a piece after a 413: the default limit of nginx."""
OCTETS = "application/octet-stream"
GONE = frozenset({404, 416})
"""The session is unknown: after a failure, Harbor and Distribution 2.8 have forgotten it."""


class Upload:
    """Uploads one blob to one repository; used once."""

    def __init__(self, client: RegistryClient, path: str, descriptor: Descriptor, opener: Opener) -> None:
        self._client = client
        self._path = path
        self._blob = descriptor
        self._opener = opener
        self._auth = client.auth(path, PUSH)
        self._session = ""
        """The URL of the open upload session."""

    def run(self, sources: Sequence[str], present: Callable[[], bool]) -> PutResult:
        """Mounts the blob from one of `sources`, else uploads it, with retries where they can help.

        `present` tells whether the blob is there: the registry may have stored it although its answer was lost.
        """
        if self._mount(sources):
            return PutResult.MOUNTED
        backoff = Backoff(self._client.http.retries)
        while True:
            try:
                self._once()
            except UpstreamError as error:
                self._cancel()
                if self._in_pieces_next(error):
                    continue
                wait = backoff.after() if _restartable(error) else None
                if wait is None:
                    raise
                self._client.http.pause(wait, error.what)
                if present():
                    return PutResult.WRITTEN
            except BaseException:
                self._cancel()
                raise
            else:
                return PutResult.WRITTEN

    def _mount(self, sources: Sequence[str]) -> bool:
        """True if the registry mounted the blob from another of its repositories; a 202 is an open session."""
        for source in sources:
            url = self._client.url(self._path, f"blobs/uploads/?mount={self._blob.digest}&from={source}")
            others = [source] if source != self._path else []
            auth = self._client.auth(self._path, PUSH, *others)
            answer = self._client.call("POST", url, auth, expect=None, idempotent=True)
            if answer.status == 201:
                return True
            if answer.status == 202:
                self._follow(answer.url, answer.headers.get("Location"))
                return False
            # Registries answer in many ways for a missing or forbidden source. Continue: the upload reports the real
            # problem.
        return False

    def _once(self) -> None:
        if not self._session:
            url = self._client.url(self._path, "blobs/uploads/")
            answer = self._client.call("POST", url, self._auth, expect=(202,), idempotent=True)
            self._follow(answer.url, answer.headers.get("Location"))
        chunk = self._client.chunk_size
        if chunk and self._blob.size > chunk:
            with verified(self._opener(0), self._blob) as stream:
                self._send_pieces(stream, chunk)
            body = RequestBody.of(b"")
        else:
            body = self._body()
        self._commit(body)

    def _body(self) -> RequestBody:
        """The complete blob; a small one is verified in memory before anything is sent."""
        if self._blob.size > CHUNK:
            return RequestBody(self._blob.size, lambda: verified(self._opener(0), self._blob))
        with self._opener(0) as stream:
            data = read_limited(stream, self._blob.size + 1)
        check_bytes(self._blob, data)
        return RequestBody.of(data)

    def _send_pieces(self, stream: BinaryIO, chunk: int) -> None:
        position = 0
        while position < self._blob.size:
            size = min(chunk, self._blob.size - position)
            part = RequestBody(size, _once(stream))
            headers = {
                "Content-Type": OCTETS,
                "Content-Range": f"{position}-{position + size - 1}",
            }
            # Only one attempt: the part's bytes come from a stream that cannot go back.
            answer = self._client.call("PATCH", self._session, self._auth, headers=headers, body=part, attempts=1)
            self._follow(answer.url, answer.headers.get("Location"))
            position += size

    def _commit(self, body: RequestBody) -> None:
        joint = "&" if "?" in self._session else "?"
        answer = self._client.call(
            "PUT",
            f"{self._session}{joint}digest={self._blob.digest}",
            self._auth,
            headers={"Content-Type": OCTETS},
            body=body,
            expect=(201, 204),
            idempotent=False,
            read_timeout=COMMIT_SECONDS,
        )
        self._session = ""
        stored_as(answer, self._blob)

    def _follow(self, url: str, location: str | None) -> None:
        """Always keep the last Location, with its query: `_state` in it is the session."""
        if not location:
            raise UpstreamError(
                "bad-location",
                f"{self._client.host}/{self._path}: the upload answer has no Location",
                side=self._client.http.side,
            )
        self._session = self._client.http.resolve(url, location, "upload Location")

    def _cancel(self) -> None:
        """Tells the registry to drop the open session; it may have done so already."""
        session, self._session = self._session, ""
        if session:
            with suppress(UpstreamError):
                self._client.call(
                    "DELETE",
                    session,
                    self._auth,
                    expect=None,
                    attempts=1,
                    read_timeout=CANCEL_SECONDS,
                )

    def _in_pieces_next(self, error: UpstreamError) -> bool:
        """After a 413 for one large request: makes later uploads to this registry use pieces; false if pointless."""
        chunk = self._client.chunk_size
        if error.status != 413 or chunk or self._blob.size <= FALLBACK_CHUNK:
            return False
        self._client.chunk_size = FALLBACK_CHUNK
        return True


def _restartable(error: UpstreamError) -> bool:
    """True if a new session can succeed where the last one failed."""
    if isinstance(error, TransportError):
        return error.repeatable
    return error.status in GONE or error.status >= 500 or isinstance(error, DigestRefusedError)


def _once(stream: BinaryIO) -> Callable[[], BinaryIO]:
    """Opens the next part of `stream`, only once: after a 401 in the middle, its bytes are consumed, but not sent."""
    parts = [_Part(stream)]

    def open_part() -> BinaryIO:
        if not parts:
            raise TransportError(
                "connection-lost",
                "the registry refused part of an upload; the upload starts again",
            )
        return cast("BinaryIO", parts.pop())

    return open_part


class _Part(io.RawIOBase):
    """A view of a stream that stays open when the view is closed; its reader stops by size."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        return count
