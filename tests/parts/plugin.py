"""pytest's side of `need`: the `part` marker, and the summary of what went untested."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from tests.parts.need import require_part

# What need.missing says.
_REASON = re.compile(r"(?:Skipped: |Failed: )?needs (.+?): ")
# What was missing → the tests that did not run for it.
_MISSED: defaultdict[str, list[str]] = defaultdict(list)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked with parts that are not here."""
    for marker in item.iter_markers("part"):
        for name in marker.args:
            require_part(name)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note each test that ended for want of a part; a shared fixture's word counts for all.

    Reports come to the process that prints the summary, also from the workers of xdist.
    """
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    if not report.passed and (found := _REASON.match(said)):
        _MISSED[found[1]].append(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which parts were missing, and what was not tested for it."""
    if not _MISSED:
        return
    terminalreporter.section("parts that are not here, and what was not tested without them")
    for part, tests in sorted(_MISSED.items()):
        terminalreporter.write_line(f"{part}: {len(tests)} not tested")
        for name in tests:
            terminalreporter.write_line(f"    {name}")
