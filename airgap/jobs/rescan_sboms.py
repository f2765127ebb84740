"""What is known today of images whose content is gone: their SBOMs, compared with today's database."""

from __future__ import annotations

from dataclasses import replace

from airgap.content.scan_finding import FindingKind
from airgap.content.scan_result import ScanResult, ordered


def as_known_today(compared: ScanResult | None, earlier: ScanResult) -> ScanResult:
    """What is known today of a subject by an earlier result and by its SBOM, as it was `compared`.

    Vulnerabilities are those of today; everything else was found in the content, and stays. Databases of the earlier
    scan are not named: it was judged then whether they were new enough. An SBOM without the packages that the scan read
    is no answer.
    """
    vulnerability = FindingKind.VULNERABILITY
    rest = replace(
        earlier,
        scanner=replace(earlier.scanner, databases=()),
        findings=tuple(one for one in earlier.findings if one.kind is not vulnerability),
        looked_for=earlier.looked_for - {vulnerability},
    )
    if compared is None or vulnerability not in earlier.looked_for:
        return rest
    if compared.not_run:
        return compared
    if not compared.packages and earlier.packages:
        what = f"the SBOM of {earlier.subject} names no package, and the scan had read {earlier.packages}"
        return ScanResult.failed(earlier.subject, compared.scanner, "scanner-mismatch", what)
    findings = ordered((*compared.findings, *rest.findings))
    return replace(compared, findings=findings, looked_for=compared.looked_for | rest.looked_for, form=earlier.form)
