"""Sites that tests of commands ask for by name; a module may have its own under the same name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds import commands
from tests.worlds.countersign import delivery, start
from tests.worlds.row import Row
from tests.worlds.site import Site

__all__ = ["delivery", "start"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty site with keys and a Trust."""
    return Site(tmp_path)


@pytest.fixture
def row(tmp_path: Path) -> Row:
    """A site from which one delivery after another is cut."""
    return Row(tmp_path)


@pytest.fixture(autouse=True)
def _own_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token's library keeps who is logged in for the whole process, so commands that use one have their own."""
    if "hsm" in request.fixturenames:
        monkeypatch.setenv(commands.VARIABLE, "1")
