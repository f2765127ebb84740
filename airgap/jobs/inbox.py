"""What may come into an inbox: exactly what `verify` passes with the inbox's Trust resource."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from airgap.diode.gate import TrustGate
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.jobs.verify import check_content, open_verified
from airgap.resources.load import load_trust


def inbox_gate(trust: Path, surroundings: Surroundings, jobs: int = DEFAULT_JOBS) -> TrustGate:
    """The gate of an inbox. `trust` is read each time; its first reading is here, so that a mistake is said at once.

    Raises `InputError` for a Trust resource that cannot be read.
    """
    load_trust(trust)
    silent = replace(surroundings, note=lambda _message: None)

    def judge(folder: Path) -> None:
        open_verified((folder,), trust, None, silent, judges=True)

    def verify(folder: Path) -> None:
        check_content(open_verified((folder,), trust, None, silent, judges=True), jobs)

    return TrustGate(lambda: load_trust(trust), surroundings.clock, judge, verify)
