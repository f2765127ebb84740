"""`Scanner`: the interface of everything that looks into content. To add one, write a module and a line in `table`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from airgap.content.scan_result import ScannerIdentity, ScanResult
from airgap.content.scan_subject import ScanSubject

SBOM_FILE = "sbom.cdx.json"
"""The name in `work` of the CycloneDX document whose sha256 is `ScanResult.sbom`; the caller keeps it."""
REPORT_FILE = "cosign-vuln.json"
"""The name in `work` of the report in the format `cosign-vuln`, of an image; the caller keeps it."""


class Scanner(Protocol):
    """One scanner, ready to run. Several threads may call `scan` at once."""

    @property
    def name(self) -> str:
        """The name in verdicts and policies: `trivy`, `clamav`."""

    def identity(self) -> ScannerIdentity:
        """Which program with which databases will run: checked, and then fixed for the whole scan.

        Raises `AirgapError` if it may not or cannot run (missing, another sha256, a refused version, no database): then
        every subject that it takes is not-run, with the error's code.
        """

    def takes(self, subject: ScanSubject) -> bool:
        """True if this scanner has anything to say about it."""

    def prepare(self, subjects: Sequence[ScanSubject], work: Path) -> None:
        """Called once before the first `scan`, with every subject that it will get: some share layers.

        `work` is a private empty folder that the caller removes after the last `scan`. Returns at once, and raises
        nothing: what takes long, or can fail, is done by `scan`.
        """

    def scan(self, subject: ScanSubject, work: Path) -> ScanResult:
        """Scans one subject. `work` is a private empty folder that the caller removes, after it has taken what it keeps
        (`SBOM_FILE`, `REPORT_FILE`).

        A scan that did not come to its end is a result with `not_run`, and never one without findings; or it raises
        `AirgapError`, whose code is then the reason.
        """
