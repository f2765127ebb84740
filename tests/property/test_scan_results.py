"""Scan results: what is written is read again, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.errors import IntegrityError
from airgap.content.scan_result import ScanResult
from tests.worlds.scan_strategies import RESULTS


@given(RESULTS)
def test_a_result_is_read_as_it_was_written(result: ScanResult) -> None:
    data = result.encode()
    read = ScanResult.decode(data, "result")
    assert read == result
    assert read.findings == result.findings
    assert [one.severities for one in read.findings] == [one.severities for one in result.findings]
    assert read.encode() == data


@given(RESULTS, st.sampled_from(["subject", "scanner"]))
def test_a_result_that_lacks_a_field_or_has_an_unknown_one_is_refused(result: ScanResult, name: str) -> None:
    document = json.loads(result.encode())
    for changed in ({key: value for key, value in document.items() if key != name}, document | {"clean": True}):
        with pytest.raises(IntegrityError) as caught:
            ScanResult.decode(json.dumps(changed).encode(), "result")
        assert caught.value.code == "bad-scan-result"
