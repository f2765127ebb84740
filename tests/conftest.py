"""What every test can ask for: the real parts of tests.parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

from airgap.net.http import Client

pytest_plugins = ["tests.parts.plugin", "tests.parts.fixtures"]

# A machine that is busy with other work is slow, not wrong: no test here is about time.
settings.register_profile("airgap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("airgap")

LONGEST_WAIT = 0.05
"""Seconds. A host that is gone is asked as often as ever: only the waits between are shorter, 15 s in all otherwise."""


@pytest.fixture(scope="session", autouse=True)
def _short_waits() -> Iterator[None]:
    """The HTTP client of a command in this process does not wait long before it tries again."""
    defaults = Client.__init__.__kwdefaults__
    with mock.patch.dict(defaults, sleep=lambda seconds: time.sleep(min(seconds, LONGEST_WAIT))):
        yield
