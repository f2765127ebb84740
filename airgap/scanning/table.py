"""The table of scanners: which of them a Station has. To add one, write a module and a line in `TABLE`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from airgap.base.progress import Progress
from airgap.resources.station import Station
from airgap.scanning.scanner import Scanner
from airgap.store.layout import Layout


@dataclass(frozen=True, slots=True)
class ScannerSetup:
    """What a scanner is made of."""

    station: Station
    store: Layout
    folder: Path
    """A folder of the station's own that stays between runs, and need not exist: unpacked databases are there."""
    progress: Progress
    now: datetime
    """When the run began."""


def _archives(setup: ScannerSetup) -> Scanner | None:
    from airgap.scanning.archives.scanner import ArchiveScanner

    return ArchiveScanner(setup.station.archives)


def _clamav(setup: ScannerSetup) -> Scanner | None:
    from airgap.scanning.clamav import ClamavScanner

    station = setup.station
    return None if station.clamd is None else ClamavScanner(station.clamd, station.archives, setup.now)


def _coverage(_setup: ScannerSetup) -> Scanner | None:
    from airgap.scanning.coverage import CoverageScanner

    return CoverageScanner()


def _models(setup: ScannerSetup) -> Scanner | None:
    from airgap.scanning.models.scanner import ModelScanner

    return ModelScanner(setup.station.models)


def _trivy(setup: ScannerSetup) -> Scanner | None:
    from airgap.scanning.trivy.scanner import TrivyScanner

    return None if setup.station.trivy is None else TrivyScanner(setup.station.trivy, setup)


TABLE: tuple[Callable[[ScannerSetup], Scanner | None], ...] = (_archives, _clamav, _coverage, _models, _trivy)
"""Makes each scanner; `None` if the Station does not configure it. Each imports its module when it is called.

Making one costs nothing and raises nothing: `Scanner.identity` looks whether it can run.
"""


def scanners_of(setup: ScannerSetup) -> tuple[Scanner, ...]:
    """The scanners that a Station has, sorted by name."""
    made = (make(setup) for make in TABLE)
    return tuple(sorted((one for one in made if one is not None), key=lambda one: one.name))
