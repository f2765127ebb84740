"""What people see: nothing that a stranger wrote moves their cursor."""

from __future__ import annotations

import json
import os

import pytest

from airgap.cli.bar import Bar
from airgap.cli.context import Context
from airgap.cli.output import visible


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert visible("a\tb\n") == "a\tb\n"
    assert visible("no\x1b[1A\ryes\x9b2J\u202e") == r"no\u001b[1A\u000dyes\u009b2J\u202e"
    assert visible("Müller 東京 ×") == "Müller 東京 ×"


def test_results_are_for_people_or_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    name = "app\x1b[2J\x9b"
    Context(os.environ).result({"item": name}, name)
    assert capsys.readouterr().out == r"app\u001b[2J\u009b" + "\n"
    Context(os.environ, as_json=True).result({"item": name}, name)
    assert json.loads(capsys.readouterr().out) == {"item": name}
    Context(os.environ).note(name)
    assert "\x1b" not in capsys.readouterr().err


def test_work_without_bytes_shows_items_alone() -> None:
    bar = Bar(None, lambda _line: None, plain=True)
    bar.start("judge", 0, 2)
    bar.item("app\x1b[2J")
    assert bar.line() == r"judge  0/2  app\u001b[2J"
    bar.close()
