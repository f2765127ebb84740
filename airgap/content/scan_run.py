"""`ScanRun`: what one run of the scanners gave for the items of some locks. It judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airgap.base.digest import Digest
from airgap.content.scan_result import ScannerIdentity, ScanResult


@dataclass(frozen=True, slots=True)
class SubjectScans:
    """The answers of all scanners that take a subject, not-runs included."""

    digest: Digest
    title: str
    """For people: the item's name, and its platform where there are several."""
    results: tuple[ScanResult, ...]
    """Sorted by the scanner's name."""


@dataclass(frozen=True, slots=True)
class ScanRun:
    """The scanners of one run, and what they answered, by `Item.pin`. An item that is missing here was not scanned."""

    scanners: tuple[ScannerIdentity, ...]
    """Sorted by name; one that may not run has an identity, too, without databases."""
    items: Mapping[Digest, tuple[SubjectScans, ...]] = field(hash=False)
