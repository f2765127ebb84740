"""Scan results: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.base.digest import Digest
from airgap.base.errors import IntegrityError
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.content.scan_subject import SubjectForm

DIGESTS = st.binary(max_size=4).map(Digest.of)
TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=["L", "N", "P"]), max_size=12)
NAMES = TEXTS.filter(bool)
FINDINGS = st.builds(
    ScanFinding,
    kind=st.sampled_from(FindingKind),
    id=NAMES,
    severity=st.sampled_from(Severity),
    title=TEXTS,
    severities=st.dictionaries(NAMES, st.sampled_from(Severity), max_size=3),
    aliases=st.lists(NAMES, max_size=3).map(tuple),
    package=TEXTS,
    layer=st.none() | DIGESTS,
    path=TEXTS,
    line=st.integers(0, 9999),
)
IDENTITIES = st.builds(
    ScannerIdentity,
    name=NAMES,
    version=NAMES,
    digest=DIGESTS,
    databases=st.lists(st.builds(Database, NAMES, DIGESTS, st.just(datetime(2026, 11, 1, tzinfo=UTC))), max_size=2).map(
        tuple
    ),
    options=TEXTS,
)
RESULTS = st.builds(
    ScanResult,
    subject=DIGESTS,
    scanner=IDENTITIES,
    findings=st.lists(FINDINGS, max_size=3).map(tuple),
    packages=st.integers(0, 9999),
    sbom=st.none() | DIGESTS,
    not_run=TEXTS,
    detail=TEXTS,
    looked_for=st.frozensets(st.sampled_from(FindingKind)),
    form=st.none() | st.sampled_from(SubjectForm),
)


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
