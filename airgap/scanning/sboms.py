"""Scans of images that are no longer here: what their SBOMs list is compared with today's database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import make_private
from airgap.base.errors import AirgapError, StoreError
from airgap.base.progress import Progress
from airgap.content.scan_result import ScanResult
from airgap.resources.station import Station
from airgap.scanning.run import work_base
from airgap.scanning.table import ScannerSetup
from airgap.scanning.trivy.scanner import TrivyScanner
from airgap.scanning.work import scan_folder
from airgap.station.files import Records
from airgap.store.layout import Layout


def scan_sboms(
    sboms: Mapping[Digest, bytes], store: Layout, station: Station, records: Records, progress: Progress, now: datetime
) -> tuple[dict[Digest, ScanResult], str]:
    """The answer about each subject by its SBOM, vulnerabilities only; and why there is none, if Trivy may not run.

    A Station without Trivy answers nothing. Raises `StoreError`, and `InputError` (`bad-resource`).
    """
    if station.trivy is None:
        return {}, ""
    base, found = work_base(station, records), dict[Digest, ScanResult]()
    scanner = TrivyScanner(station.trivy, ScannerSetup(station, store, base / "kept", progress, now))
    with scan_folder(base / "work") as folder:
        try:
            scanner.identity()
        except AirgapError as error:
            return {}, f"{error.what} [{error.code}]"
        progress.start("rescan", sum(map(len, sboms.values())), len(sboms))
        for number, (subject, data) in enumerate(sboms.items()):
            progress.item(str(subject))
            found[subject] = _scan(scanner, subject, data, folder / f"sbom-{number}")
            progress.advance(len(data))
            progress.done(str(subject), found[subject].not_run or "pass")
    return found, ""


def _scan(scanner: TrivyScanner, subject: Digest, data: bytes, work: Path) -> ScanResult:
    make_private(work)
    try:
        return scanner.sbom(subject, data, work)
    except StoreError:
        raise
    except AirgapError as error:
        return ScanResult.failed(subject, scanner.identity(), error.code, error.what)
