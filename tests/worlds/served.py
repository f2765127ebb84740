"""`airgap serve` in a process of its own, on a free loopback port."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.parts.process import Process
from tests.worlds.commands import AIRGAP, ROOT


class ServedSite:
    """A running registry; its lines of JSON are in `events`."""

    def __init__(self, folder: Path, log: Path, *arguments: str) -> None:
        line = [*AIRGAP, "serve", *arguments, "--listen", "127.0.0.1:0", "--json"]
        self._process = Process(line, log=log, cwd=folder, env={"PYTHONPATH": str(ROOT)})
        self._process.wait_ready(lambda: b'"serving"' in log.read_bytes())
        self.url = str(self.events()[0]["url"])
        self.host = self.url.partition("://")[2]

    def events(self) -> list[dict[str, Any]]:
        """Everything that it printed as JSON so far."""
        lines = self._process.log_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, body; a body that is cut off is an `IncompleteRead`."""
        with closing(http.client.HTTPConnection(self.host, timeout=20)) as connection:
            connection.request(method, path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def interrupt(self) -> dict[str, Any]:
        """Ctrl-C; returns its last line."""
        os.kill(self._process.pid, signal.SIGINT)
        until = time.monotonic() + 10
        while self.events()[-1].get("event") != "ended" and time.monotonic() < until:
            time.sleep(0.02)
        self._process.stop()
        return self.events()[-1]

    def stop(self) -> None:
        """Ends it."""
        self._process.stop()


def start_serving(stack: ExitStack, folder: Path, log: Path, *arguments: str) -> ServedSite:
    """Starts one that ends with `stack`."""
    made = ServedSite(folder, log, *arguments)
    stack.callback(made.stop)
    return made
