"""A real headless Chromium, driven through chromedriver: one start serves all pages of a test session.

Chromium's own background traffic is off; what a page asks for is in `requests`, what it says in `console`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.parts.need import require_part
from tests.parts.process import Process, answers_http, free_ports

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root in a container has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--window-size=1280,1000",
)


class Browser:
    """One browser with one tab."""

    def __init__(self, address: str, session: str) -> None:
        self._address = f"{address}/session/{session}"

    def open(self, page: Path) -> None:
        """Opens a file, as a double click does; what earlier pages asked for and said is forgotten."""
        self._logs("browser")
        self._logs("performance")
        self._ask("POST", "/url", {"url": page.resolve().as_uri()})

    def blank(self) -> None:
        """Leaves the browser's own first page, which loads much."""
        self._ask("POST", "/url", {"url": "about:blank"})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script of the test returns in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's DevTools."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def console(self) -> list[str]:
        """What was said on the console since the page was opened: errors of scripts and of the page's policy, too."""
        return [str(one["message"]) for one in self._logs("browser")]

    def requests(self) -> list[str]:
        """Every address that was asked for since the page was opened, the page itself too."""
        events = [json.loads(one["message"])["message"] for one in self._logs("performance")]
        sent = (one["params"] for one in events if one["method"] == "Network.requestWillBeSent")
        return [one["request"]["url"] for one in sent if not one["documentURL"].startswith("chrome://")]

    def picture(
        self, to: Path, *, dark: bool = False, width: int = 1280, height: int = 1000, all_of_it: bool = True
    ) -> None:
        """A PNG of the page."""
        self.devtools("Emulation.setEmulatedMedia", features=[_scheme("dark" if dark else "light")])
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        made = self.devtools("Page.captureScreenshot", captureBeyondViewport=all_of_it)
        to.write_bytes(base64.b64decode(made["data"]))

    def printed(self, to: Path) -> None:
        """A PDF, as a printer gets it."""
        made = self.devtools("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        to.write_bytes(base64.b64decode(made["data"]))

    def scripts(self, *, allowed: bool) -> None:
        """Whether pages that are opened from now on may run scripts."""
        self.devtools("Emulation.setScriptExecutionDisabled", value=not allowed)

    def _logs(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("POST", "/se/log", {"type": kind})
        return found

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return ask(method, self._address + path, body)


def ask(method: str, url: str, body: Any = None) -> Any:
    """One command of the WebDriver protocol."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode(errors='replace')[:2000]}") from error


def _scheme(value: str) -> dict[str, str]:
    return {"name": "prefers-color-scheme", "value": value}


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """A browser whose files are in `folder`; it and its driver end with the block."""
    driver, chromium = require_part("chromium", "chromedriver"), require_part("chromium")
    port = free_ports(1)[0]
    address = f"http://127.0.0.1:{port}"
    argv: list[str | Path] = [driver, f"--port={port}", "--allowed-ips="]
    with Process(argv, log=folder / "chromedriver.log", env={"HOME": str(folder)}, group=True) as process:
        process.wait_ready(lambda: answers_http(f"{address}/status", 200))
        options = {"binary": str(chromium), "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        made = ask("POST", f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
        try:
            browser = Browser(address, made["sessionId"])
            browser.blank()
            yield browser
        finally:
            ask("DELETE", f"{address}/session/{made['sessionId']}")
