"""pytest's side of `need`: the `part` marker, and the summary of what went untested."""

from __future__ import annotations

import pytest

from tests.parts.need import MISSED, require_part


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked with parts that are not here."""
    for marker in item.iter_markers("part"):
        for name in marker.args:
            require_part(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which parts were missing, and what was not tested for it."""
    if not MISSED:
        return
    terminalreporter.section("parts that are not here, and what was not tested without them")
    for part, tests in sorted(MISSED.items()):
        terminalreporter.write_line(f"{part}: {len(tests)} not tested")
        for name in sorted(set(tests)):
            terminalreporter.write_line(f"    {name}")
