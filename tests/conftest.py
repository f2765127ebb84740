"""What every test can ask for: the real parts of tests.parts."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.worlds import commands, effort

pytest_plugins = ["tests.parts.plugin", "tests.parts.fixtures"]

# A machine that is busy with other work is slow, not wrong: no test here is about time.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("airgap", PATIENT, max_examples=50)
settings.register_profile("thorough", PATIENT, max_examples=1000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--thorough`: what CONTRIBUTING.md says of it."""
    parser.addoption("--thorough", action="store_true", help="more examples, larger numbers, commands as processes")


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is read: how much is done. Workers of xdist inherit the environment, and the option too."""
    thorough = bool(config.getoption("thorough"))
    if thorough:
        os.environ.update({effort.VARIABLE: "1", commands.VARIABLE: "1"})
    settings.load_profile("thorough" if thorough else "airgap")
