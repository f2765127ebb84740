"""Scan results that an earlier version wrote are read as they were: verdicts name them by their digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap.base.zstd import unpacked
from airgap.content.scan_result import MAX_RESULT, ScanResult

GOLDEN = Path(__file__).parent.parent / "golden" / "scans"


@pytest.mark.parametrize("name", ["found", "not-run"])
def test_a_result_of_before_is_read_and_written_the_same(name: str) -> None:
    data = (GOLDEN / f"{name}.json").read_bytes()
    assert unpacked((GOLDEN / f"{name}.json.zst").read_bytes(), MAX_RESULT) == data
    result = ScanResult.decode(data, name)
    assert result.encode() == data
    assert (len(result.findings), result.not_run) == ((2, "") if name == "found" else (0, "clamd-unreachable"))
