"""What `doctor` makes of a clock, of errors, and of what it could not look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from airgap.base.errors import InputError, UpstreamError
from airgap.base.probe import Health, Probes, exit_of
from airgap.jobs.doctor.local import probe_folder, probe_state
from airgap.net.probe import probe_clock

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "health"),
    [(0, Health.OK), (59, Health.OK), (-120, Health.WARNING), (299, Health.WARNING), (3600, Health.PROBLEM)],
)
def test_clocks_are_compared(ahead: int, health: Health) -> None:
    found = Probes("https://harbor.example.org")
    probe_clock(found, format_datetime(NOW - timedelta(seconds=ahead), usegmt=True), NOW)
    [one] = found.found
    assert one.health is health
    assert health is Health.OK or f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'}" in one.said


def test_an_answer_without_a_time_says_nothing() -> None:
    found = Probes("x")
    for date in (None, "", "yesterday", "Mon, 99 Foo 2026 99:99:99 GMT"):
        probe_clock(found, date, NOW)
    assert found.found == []


def test_only_problems_decide_the_exit_code() -> None:
    found = Probes("x")
    found.ok("a", "good")
    found.warn("b", "soon", "renew it")
    found.unknown("c", "may not look")
    assert exit_of(found.found) == 0
    found.refused("d", "stays as it is", "see the runbook")
    assert exit_of(found.found) == 3
    found.problem("e", InputError("no-bucket", "missing", "create it"))
    assert exit_of(found.found) == 3
    found.problem("f", UpstreamError("unreachable", "no answer", "check it"), "another way on")
    assert exit_of(found.found) == 5
    assert found.found[-1].as_dict()["next"] == "another way on"


def test_folders_and_states_are_looked_at_and_left_alone(tmp_path: Path) -> None:
    found = Probes("x")
    (tmp_path / "file").write_text("")
    probe_folder(found, tmp_path / "file" / "below", 0)
    probe_folder(found, tmp_path / "new", 1 << 60)
    assert [one.code for one in found.found] == ["disk-error", "disk-full"]
    assert {one.health for one in probe_state(tmp_path / "new", "bank", NOW)} == {Health.OK}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "accepted.json").write_text("{")
    tmp_path.chmod(0o755)
    state = probe_state(tmp_path, "bank", NOW)
    assert {one.code for one in state if one.health is Health.PROBLEM} == {"state-damaged"}
    assert [one.what for one in state if one.health is Health.WARNING] == ["mode"]
