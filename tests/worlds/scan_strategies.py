"""Scan results of any content, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from airgap.base.digest import Digest
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
