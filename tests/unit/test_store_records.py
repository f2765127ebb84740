"""Which records of removed locks may go after some time."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from airgap.jobs.storing.check import CheckOptions, check
from airgap.jobs.storing.retention import old_records
from airgap.station.files import store_records
from airgap.station.scans import ScanRecords
from tests.worlds.scanned import ScannedWorld
from tests.worlds.surroundings import quiet
from tests.worlds.trust import NOW

YEAR = timedelta(days=365)


def test_only_what_no_kept_or_young_verdict_names_goes(tmp_path: Path) -> None:
    world = ScannedWorld()
    world.write(tmp_path)
    records = store_records(tmp_path / "store")
    ScanRecords(records.folder).save_sbom(b"sbom")
    ScanRecords(records.folder).save_sbom(b"of nothing")
    records.save_report(b"report")
    files = [path for folder in ("scans", "sboms", "reports") for path in (records.folder / folder).iterdir()]
    for path in files:
        os.utime(path, (NOW.timestamp() - 2e8, NOW.timestamp() - 2e8))  # six years ago
    old = old_records(records, {world.lock.digest}, NOW - YEAR)
    assert {path.parent.name for path in old} == {"sboms", "reports"}
    assert len(old) == 2  # what the verdict names stays, with its SBOM
    # The lock was removed, and its verdict is young: nothing more.
    assert old_records(records, (), NOW - YEAR) == old
    # It is old: everything that it alone names.
    assert set(old_records(records, (), NOW + timedelta(days=1))) == set(files)


def test_a_damaged_record_is_found(tmp_path: Path) -> None:
    ScannedWorld().write(tmp_path)
    records = store_records(tmp_path / "store")
    (tmp_path / "store/blobs/sha256").mkdir(parents=True)
    options, outside = CheckOptions(tmp_path / "store"), quiet(tmp_path)
    assert check(options, outside).records == []
    damaged = min((records.folder / "scans").iterdir())
    damaged.write_bytes(b"other")
    assert check(options, outside).records == [damaged]
