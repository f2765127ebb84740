"""What may come into an inbox: exactly what `verify` passes with the inbox's Trust resource."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from airgap.diode.gate import TrustGate
from airgap.jobs.surroundings import DEFAULT_JOBS, Surroundings
from airgap.jobs.verify import check_content, open_verified, verified_outside
from airgap.resources.load import load_trust


def inbox_gate(trust: Path, surroundings: Surroundings, jobs: int = DEFAULT_JOBS) -> TrustGate:
    """The gate of an inbox. `trust` is read each time; its first reading is here, so that a mistake is said at once.

    Raises `InputError` for a Trust resource that cannot be read.
    """
    load_trust(trust)
    silent = replace(surroundings, note=lambda _message: None)

    def closed(folder: Path) -> bool:
        """True for an encrypted delivery that nobody opens here: its signatures and its sums are all that is asked."""
        return verified_outside((folder,), trust, None, silent) is not None and not silent.identities()

    def judge(folder: Path) -> None:
        if not closed(folder):
            open_verified((folder,), trust, None, silent, judges=True)

    def verify(folder: Path) -> None:
        if not closed(folder):
            check_content(open_verified((folder,), trust, None, silent, judges=True), jobs)

    return TrustGate(lambda: load_trust(trust), surroundings.clock, judge, verify)
