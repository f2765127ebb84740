"""`ResumingStream`: the body of a GET, resumed where the connection broke.

Source: RFC 9110, 14 (Range, Content-Range) and 13.1.5 (If-Range).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from airgap.base.digest import CHUNK
from airgap.base.errors import UpstreamError
from airgap.base.throttle import FREE, Throttle, read_throttled
from airgap.net.backoff import Backoff
from airgap.net.faults import TransportError
from airgap.net.origin import redact
from airgap.net.response import Response

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")
Ask = Callable[[int, str], Response]
"""`ask(start, validator)`: a streamed GET from byte `start` on; raises an error if it fails."""


def open_resuming(
    ask: Ask, offset: int, etag: str, backoff: Backoff, pause: Callable[[float, str], None], throttle: Throttle = FREE
) -> BinaryIO:
    """Opens the stream. On return, the first answer has arrived and was checked."""
    return cast("BinaryIO", ResumingStream(ask, offset, etag, backoff, pause, throttle))


class ResumingStream(io.RawIOBase):
    """Reads the bodies of several answers as one stream. Not thread-safe."""

    def __init__(
        self,
        ask: Ask,
        offset: int,
        etag: str,
        backoff: Backoff,
        pause: Callable[[float, str], None],
        throttle: Throttle = FREE,
    ) -> None:
        super().__init__()
        self._ask = ask
        self._throttle = throttle
        self._pause = pause
        self._backoff = backoff
        self._position = offset
        self._etag = etag if _strong(etag) else ""
        self._total: int | None = None
        """Bytes of the complete representation, once a server has reported it."""
        self._response: Response | None = self._open()

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Reads once into `buffer`, at most 1 MiB; returns the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")[:CHUNK]
        while self._response is not None and view:
            try:
                count = read_throttled(self._throttle, view, self._response.readinto)
            except TransportError as error:
                self._again(error)
                continue
            if count:
                self._position += count
                self._backoff.reset()
                return count
            if self._total is None or self._position >= self._total:
                self._end()
            else:
                # Do not accept a short body just because the library did not notice it.
                self._again(_short(self._response, self._position, self._total))
        return 0

    def close(self) -> None:
        """Ends the answer; unread bytes are not fetched."""
        if not self.closed and getattr(self, "_response", None) is not None:
            self._end()
        super().close()

    def _end(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _again(self, error: TransportError) -> None:
        """Requests the rest."""
        self._end()
        self._wait(error)
        self._response = self._open()

    def _wait(self, error: TransportError) -> None:
        """Waits as long as the back-off requires; raises `error` after too many attempts without progress."""
        wait = self._backoff.after() if error.repeatable else None
        if wait is None:
            raise error
        self._pause(wait, f"{error.what} (at byte {self._position})")

    def _open(self) -> Response | None:
        """An answer that starts at `_position`; `None` if there are no more bytes."""
        start = self._position
        if start and start == self._total:
            return None
        while True:
            try:
                response = self._ask(start, self._etag)
            except UpstreamError as error:
                # A 416 at the very end is how servers report that there are no more bytes.
                if error.status == 416 and start:
                    return None
                raise
            try:
                self._check(response, start)
            except TransportError as error:
                response.close()
                self._wait(error)
            except BaseException:
                response.close()
                raise
            else:
                return response

    def _check(self, response: Response, start: int) -> None:
        etag = response.headers.get("ETag") or ""
        if self._etag and etag and etag != self._etag:
            raise _changed(response, f"ETag {etag}, expected {self._etag}")
        if not self._etag and _strong(etag):
            self._etag = etag
        if response.status == 206:
            match = _CONTENT_RANGE.match(response.headers.get("Content-Range") or "")
            if match is None or int(match[1]) != start:
                got = response.headers.get("Content-Range")
                raise UpstreamError(
                    "bad-range",
                    f"GET {redact(response.url)}: asked for bytes from {start} on, got {got!r}",
                    status=206,
                    side=response.side,
                )
            # Without a total, only the end of this answer is certain.
            self._expect(response, int(match[2]) + 1 if match[3] == "*" else int(match[3]))
            return
        length = response.headers.get("Content-Length")
        self._expect(response, int(length) if length and length.isascii() and length.isdigit() else None)
        left = start
        while left:
            # The server ignored Range: discard the beginning, which it sends again.
            piece = response.read(self._throttle.take(min(left, CHUNK)))
            if not piece:
                raise _changed(response, f"it now ends before byte {start}")
            left -= len(piece)

    def _expect(self, response: Response, total: int | None) -> None:
        if self._total is not None and total is not None and total != self._total:
            raise _changed(response, f"got {total} bytes, expected {self._total}")
        if total is not None:
            self._total = total


def _strong(etag: str) -> bool:
    return etag.startswith('"')


def _changed(response: Response, how: str) -> UpstreamError:
    return UpstreamError(
        "content-changed",
        f"GET {redact(response.url)}: changed during the download: {how}",
        "run the same command again",
        side=response.side,
    )


def _short(response: Response, got: int, expected: int) -> TransportError:
    what = f"GET {redact(response.url)}: got {got} bytes, expected {expected}"
    return TransportError("connection-lost", what, side=response.side)
