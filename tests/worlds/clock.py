"""A machine whose clock is elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from tests.parts.need import require_part
from tests.worlds.attacks import World
from tests.worlds.commands import VARIABLE
from tests.worlds.site import Site


def at(site: Site | World, clock: str, *arguments: str, expect: int = 0) -> Any:
    """As `Site.run`, on a machine whose clock is elsewhere: `+3 days`."""
    command = [str(require_part("faketime")), "-f", clock, sys.executable, "-m", "airgap.cli.main"]
    done = subprocess.run(
        [*command, *arguments, "--json"],
        cwd=site.folder,
        env={**os.environ, "AIRGAP_KEY_PASSWORD_FILE": "password"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def later(site: Site | World, days: int, *arguments: str, expect: int = 0) -> Any:
    """The same some days later, for most purposes; cheaper, because it needs no process."""
    if VARIABLE in os.environ:
        return at(site, f"+{days} days", *arguments, expect=expect)
    from airgap.cli.context import Context

    now = Context.now

    def then(context: Context) -> datetime:
        return now(context) + timedelta(days=days)

    with mock.patch.object(Context, "now", then):
        return site.run(*arguments, expect=expect)
