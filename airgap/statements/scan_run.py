"""`ScanRun`: what one run of the scanners answered, as the judge asks for it. It judges nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from airgap.base.digest import Digest
from airgap.content.item import Item
from airgap.content.scan_result import ScannerIdentity, ScanResult
from airgap.statements.scans import Scan


@dataclass(frozen=True, slots=True)
class SubjectScans:
    """The answers of all scanners that take a subject, not-runs included."""

    digest: Digest
    title: str
    """For people: the item's name, and its platform where there are several."""
    results: tuple[ScanResult, ...]
    """Sorted by the scanner's name; empty if no scanner takes it."""


class ScanRun(Protocol):
    """One run. Several threads may ask at once."""

    @property
    def scanners(self) -> tuple[ScannerIdentity, ...]:
        """Those that were asked, sorted by name; one that may not run has an identity, too, without databases."""

    def scans(self, item: Item) -> Sequence[Scan]:
        """The answers about an item by their digests; none if it was not scanned."""

    def answers(self, item: Item) -> Iterable[SubjectScans]:
        """The answers about an item, read when they are asked for; none if it was not scanned.

        Raises `IntegrityError` (`bad-scan-result`) if one cannot be read: then the item is not-run.
        """
