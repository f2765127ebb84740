"""Surroundings for jobs that tests call without the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airgap.jobs.surroundings import Surroundings


def quiet(folder: Path) -> Surroundings:
    """The local clock, and state below `folder`; no messages, no passwords, no proxies."""
    return Surroundings(lambda: datetime.now(UTC), folder / "state")
