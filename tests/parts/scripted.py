"""A server that answers what a test wrote down, in order, and keeps what it was asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.parts.tls import Certificate
from tests.parts.web import Handler, Server


@dataclass(frozen=True, slots=True)
class Answer:
    """`drop`: hang up without a word; `length`: a Content-Length that may lie (then the connection ends);
    `stall`: seconds of silence before anything is said."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    length: int | None = None
    stall: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Scripted:
    """The server: `answers` are given in turn, the last one again and again."""

    def __init__(self, *answers: Answer, certificate: Certificate | None = None) -> None:
        """Start it."""
        self.answers = list(answers) or [Answer()]
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self._server = Server(type("Bound", (_Handler,), {"script": self}), certificate)
        self.url, self.host, self.port = self._server.url, self._server.host, self._server.port

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def next(self, asked: Asked) -> Answer:
        """The answer to this request."""
        with self.lock:
            self.asked.append(asked)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(Handler):
    script: Scripted

    def do_GET(self) -> None:
        """Every method is handled alike."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = b"".join(self.body())
        except ConnectionError:
            self.close_connection = True
            return
        answer = self.script.next(Asked(self.command, self.path, headers, body))
        time.sleep(answer.stall)
        if answer.drop:
            self.close_connection = True
            return
        if answer.length is None:
            self.answer(answer.status, answer.body, dict(answer.headers))
            return
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(answer.length)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET
