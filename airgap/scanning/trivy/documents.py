"""The SBOM and the report for cosign, out of the report of the same run: nothing is analysed again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from airgap.base.digest import Digest
from airgap.base.disk import disk_errors
from airgap.content.scan_subject import ScanSubject
from airgap.scanning.scanner import REPORT_FILE, SBOM_FILE
from airgap.scanning.trivy.image import ImageFacts
from airgap.scanning.trivy.report import TrivyReport
from airgap.scanning.trivy.sbom import cyclonedx
from airgap.tools.trivy import Trivy


def write_sbom(
    report: TrivyReport, subject: ScanSubject, facts: ImageFacts, trivy: Trivy, work: Path, now: datetime
) -> Digest:
    """Writes the CycloneDX document of an image, made now, into `work`; returns its digest.

    Raises `ToolError` (`scanner-garbage`), `StoreError`.
    """
    document = cyclonedx(about(report.document, subject, facts), trivy.version, now)
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    with disk_errors(work):
        (work / SBOM_FILE).write_bytes(data)
    return Digest.of(data)


def write_cosign_report(report: TrivyReport, subject: ScanSubject, facts: ImageFacts, trivy: Trivy, work: Path) -> None:
    """Writes the report into `work`, as `trivy image --format cosign-vuln` does.

    Secrets stay out, because everybody inside may read it.

    Source: Trivy, pkg/report/predicate/vuln.go; cosign, specs/COSIGN_VULN_ATTESTATION_SPEC.md.
    """
    shown = about(report.document, subject, facts)
    results = [_without(one, "Packages", "Secrets") for one in shown["Results"] if one.get("Class") != "secret"]
    shown["Results"] = results
    document = {
        "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": f"pkg:github/aquasecurity/trivy@{trivy.version}",
            "version": trivy.version,
            "db": {"uri": "", "version": ""},
            "result": shown,
        },
        "metadata": {"scanStartedOn": shown.get("CreatedAt"), "scanFinishedOn": shown.get("CreatedAt")},
    }
    with disk_errors(work):
        (work / REPORT_FILE).write_text(json.dumps(document))


def about(document: Mapping[str, Any], subject: ScanSubject, facts: ImageFacts) -> dict[str, Any]:
    """The report with the image's own name and ids in the place of those that were made for the scanner."""
    made = dict(document)
    metadata = {name: value for name, value in made.get("Metadata", {}).items() if name in ("OS", "Size", "Layers")}
    metadata["ImageID"] = str(facts.config)
    metadata["DiffIDs"] = [str(layer.diff_id) for layer in facts.layers]
    metadata["ImageConfig"] = {"architecture": facts.architecture, "os": facts.os}
    made["Metadata"] = metadata
    name = made["ArtifactName"]
    made["ArtifactName"] = f"{subject.title}@{subject.digest}"
    made["Results"] = [
        dict(one, Target=str(one.get("Target", "")).replace(name, subject.title)) for one in made.get("Results") or []
    ]
    return made


def _without(result: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in names}
