"""What is known of an image whose content is gone: today's vulnerabilities, and what else was found in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from airgap.base.digest import Digest
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.jobs.rescan_sboms import as_known_today

SUBJECT, PROGRAM = Digest.of(b"image"), Digest.of(b"program")
DATABASE = Database("trivy-db", Digest.of(b"db"), datetime(2026, 1, 1, tzinfo=UTC))
THEN = ScannerIdentity("trivy", "0.74.0", PROGRAM, (DATABASE,))
TODAY = replace(THEN, databases=(replace(DATABASE, updated=datetime(2026, 2, 1, tzinfo=UTC)),))
OLD, NEW = (
    ScanFinding(FindingKind.VULNERABILITY, one, Severity.HIGH, package="musl") for one in ("CVE-2020-1", "CVE-2020-2")
)
SECRET = ScanFinding(FindingKind.SECRET, "private-key", Severity.HIGH, path="a.key")
LOOKED = frozenset({FindingKind.VULNERABILITY, FindingKind.SECRET})
EARLIER = ScanResult(SUBJECT, THEN, (OLD, SECRET), 3, Digest.of(b"sbom"), looked_for=LOOKED)
COMPARED = ScanResult(SUBJECT, TODAY, (NEW,), 3, looked_for=frozenset({FindingKind.VULNERABILITY}))


def test_vulnerabilities_are_those_of_today_and_the_rest_stays() -> None:
    found = as_known_today(COMPARED, EARLIER)
    assert (found.scanner, set(found.findings), found.looked_for) == (TODAY, {NEW, SECRET}, LOOKED)
    malware = replace(EARLIER, scanner=replace(THEN, name="clamav"), looked_for=frozenset({FindingKind.MALWARE}))
    kept = as_known_today(COMPARED, malware)
    assert (kept.scanner.databases, kept.findings, kept.looked_for) == ((), (SECRET,), malware.looked_for)


def test_what_is_no_answer_about_vulnerabilities() -> None:
    """No SBOM, a comparison that did not run, and an SBOM without the packages that the scan had read."""
    assert as_known_today(None, EARLIER).looked_for == {FindingKind.SECRET}
    failed = ScanResult.failed(SUBJECT, TODAY, "scanner-timeout", "too slow")
    assert as_known_today(failed, EARLIER) is failed
    assert as_known_today(replace(COMPARED, packages=0), EARLIER).not_run == "scanner-mismatch"
    assert as_known_today(replace(COMPARED, packages=0), replace(EARLIER, packages=0)).not_run == ""
