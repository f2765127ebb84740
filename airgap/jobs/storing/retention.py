"""Which records of removed locks may go after some time: what scanners answered, and what only verdicts name.

Statements, locks, the log, and the records of deliveries are small, and stay for good: the log names the statements.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.bundling.gate import kept_verdicts
from airgap.statements.verdict import Verdict
from airgap.station.files import Records
from airgap.station.scans import ScanRecords

KEPT_BY_VERDICTS = ("scans", "sboms", "reports", "vex")
"""The folders whose files a later scan can make again, as long as the content is there."""


def old_records(records: Records, locks: Collection[Digest], before: datetime) -> list[Path]:
    """The files that are older than `before`, and that no verdict names which is about one of `locks`, or younger.

    Raises `StoreError` (`bad-statement`): what a verdict names that cannot be read is not known.
    """
    names = set[str]()
    for statement, verdict, _, _ in kept_verdicts(records):
        if statement.subject in locks or statement.signed_at >= before:
            names |= _named(verdict, ScanRecords(records.folder))
    found = []
    for folder in KEPT_BY_VERDICTS:
        with disk_errors(records.folder / folder):
            for path in sorted((records.folder / folder).glob("[0-9a-f]*")):
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                if written < before and not _parts(path) & names:
                    found.append(path)
    return found


def _parts(path: Path) -> set[str]:
    """The digests by which a verdict names a file: of a scan result, that of the result alone."""
    parts = path.name.split(".")
    return {parts[2]} if path.parent.name == "scans" and len(parts) > 2 else {parts[0]}


def _named(verdict: Verdict, scans: ScanRecords) -> set[str]:
    made = {one.digest.hex for one in verdict.reports} | {one.digest.hex for one in verdict.vex}
    for scan in verdict.scans:
        made.add(scan.result.hex)
        _, sbom = scans.named(scan) or (b"", None)
        if sbom is not None:
            made.add(sbom.hex)
    return made
