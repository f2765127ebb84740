"""A site whose commands run where no route leads out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.parts.system import NetworkNamespace
from tests.worlds.site import Site

DEAD = "http://127.0.0.1:9"
"""A proxy that nobody runs: asking it is a failed connection."""
PROXIES = {f"{name}_proxy": DEAD for name in ("http", "https", "all")}
GUARD = 300
"""Seconds after which a command is thought to hang."""
ASKED = (("Ip", "OutNoRoutes"), ("Tcp", "AttemptFails"), ("Udp", "OutDatagrams"))
"""Where the kernel counts what had no route, what nobody answered, and questions for names."""


class Inside:
    """A site whose commands run in the namespace, with proxies of the environment that are dead."""

    def __init__(self, site: Site, netns: NetworkNamespace) -> None:
        self.site, self.netns = site, netns

    def run(self, *arguments: str, expect: int = 0) -> Any:
        """As `Site.run`."""
        environ = {**os.environ, **PROXIES, **{name.upper(): DEAD for name in PROXIES}, "NO_PROXY": ""}
        command = self.netns.argv(sys.executable, "-m", "airgap.cli.main", *arguments, "--json")
        done = subprocess.run(
            command,
            cwd=self.site.folder,
            env={**environ, "AIRGAP_KEY_PASSWORD_FILE": "password"},
            capture_output=True,
            text=True,
            check=False,
            timeout=GUARD,
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def asked(self) -> list[int]:
        """The kernel's counts of `ASKED`, for the namespace."""
        found: dict[str, list[str]] = {}
        counts = {}
        for line in self.netns.run(["cat", "/proc/net/snmp"]).stdout.splitlines():
            name, *values = line.replace(":", "").split()
            if name in found:
                counts[name] = dict(zip(found[name], map(int, values), strict=True))
            found[name] = values
        return [counts[group][name] for group, name in ASKED]
