"""The scanner that says what no scanner can look into: it asks the kind of the content, and reads no content itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airgap.base.digest import Digest
from airgap.content.scan_finding import FindingKind
from airgap.content.scan_result import ScannerIdentity, ScanResult, ordered
from airgap.content.scan_subject import ScanSubject

RULES = b"coverage 1: artifacts that are no images; LFS objects that are not carried"
"""Changes whenever the answers do, so that results of older rules are not taken."""


class CoverageScanner:
    """Gives the findings of the kind `coverage` that a subject's own kind knows."""

    name = "coverage"

    def identity(self) -> ScannerIdentity:
        """The rules."""
        return ScannerIdentity(self.name, "1", Digest.of(RULES))

    def takes(self, subject: ScanSubject) -> bool:
        """Everything."""
        return True

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        """Nothing."""

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        """What the kind says of the subject."""
        found = ordered(subject.coverage())
        return ScanResult(subject.digest, self.identity(), found, looked_for=frozenset({FindingKind.COVERAGE}))
