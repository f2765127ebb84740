"""A site whose commands run where no route leads out."""

from __future__ import annotations

import json
from typing import Any

from tests.parts.system import NetworkNamespace
from tests.worlds.commands import PASSWORD, run_process
from tests.worlds.site import Site

DEAD = "http://127.0.0.1:9"
"""A proxy that nobody runs: asking it is a failed connection."""
PROXIES = {f"{name}_proxy": DEAD for name in ("http", "https", "all")}
ASKED = (("Ip", "OutNoRoutes"), ("Tcp", "AttemptFails"), ("Udp", "OutDatagrams"))
"""Where the kernel counts what had no route, what nobody answered, and questions for names."""


class Inside:
    """A site whose commands run in the namespace, with proxies of the environment that are dead."""

    def __init__(self, site: Site, netns: NetworkNamespace) -> None:
        self.site, self.netns = site, netns

    def run(self, *arguments: str, expect: int = 0) -> Any:
        """As `Site.run`."""
        environ = {**PASSWORD, **PROXIES, **{name.upper(): DEAD for name in PROXIES}, "NO_PROXY": ""}
        line = [*arguments, "--json"]
        said = run_process(line, self.site.folder, environ, before=self.netns.argv(), hasty=True)
        assert said.code == expect, f"{arguments}: {said}"
        return json.loads(said.out)

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
